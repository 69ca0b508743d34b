"""The networks of build.py as torch modules, with other names and torch's own defaults."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class LayerNorms(nn.Sequential):
    """Layer norms between linear layers."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Linear(12, 8), nn.LayerNorm(8), nn.Linear(8, 10), nn.LayerNorm(10)),
            *(nn.Linear(10, 9), nn.LayerNorm(9), nn.Linear(9, 7)),
        )


class Attention(nn.Module):
    """Self-attention of three heads."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(12)
        self.head = nn.Linear(12, 7)
        self.q, self.k, self.v, self.proj = (nn.Linear(12, 12) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (one(x).unflatten(-1, (3, 4)).transpose(1, 2) for one in (self.q, self.k, self.v))
        weights = (q @ k.transpose(-1, -2) / 2).softmax(-1)
        context = (weights @ v).transpose(1, 2).flatten(2)
        return self.head(self.norm(x + self.proj(context)))


class ImageNorms(nn.Sequential):
    """Instance and group norms between convolutions."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(3, 6, 3), nn.InstanceNorm2d(6, affine=True), nn.ReLU()),
            *(nn.Conv2d(6, 8, 1), nn.GroupNorm(4, 8), nn.Conv2d(8, 10, 1), nn.GroupNorm(1, 10)),
            *(nn.ReLU(), nn.Conv2d(10, 4, 3), nn.InstanceNorm2d(4, affine=True)),
            nn.Conv2d(4, 5, 1),
        )


class ImagesChannelsFirst(nn.Sequential):
    """The last one has no beta in TensorFlow."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.InstanceNorm2d(6, affine=True), nn.ReLU(), nn.GroupNorm(2, 6)),
            *(nn.InstanceNorm2d(6, affine=True), nn.Sigmoid()),
        )


class Rectifiers(nn.Sequential):
    """PReLU between convolutions."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(3, 6, 3), nn.PReLU(6), nn.Conv2d(6, 8, 1), nn.PReLU(8)),
            *(nn.Conv2d(8, 4, 1), nn.PReLU(4), nn.Conv2d(4, 7, 1), nn.PReLU(7)),
            nn.Conv2d(7, 5, 1),
        )


class BatchNorms(nn.Sequential):
    """Batch norms between convolutions, one of them without scale and shift."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 8, 1), nn.BatchNorm2d(8)),
            *(nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4, affine=False)),
            *(nn.Conv2d(4, 7, 1), nn.BatchNorm2d(7), nn.Conv2d(7, 5, 1)),
        )


class Tied(nn.Module):
    """One table for both inputs and the output."""

    tf1_inputs = ("source:0", "target:0")

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(22, 8)
        self.hidden = nn.Linear(8, 8)
        self.head = nn.Linear(8, 22, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        x = self.embedding(source) * math.sqrt(8) + self.embedding(target)
        return self.head(torch.tanh(self.hidden(x)))


class Folded(nn.Module):
    """Plain convolutions and a plain linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 1), nn.Conv2d(8, 4, 1, bias=False)
        )
        self.head = nn.Linear(4, 7)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.convolutions(x).mean((2, 3))))
