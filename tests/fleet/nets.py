"""The torch side of the fleet, as strangers would write it: `--model nets.py:Classifier`."""

from __future__ import annotations

import os

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 3


class Classifier(nn.Module):
    """[N, 3, 14, 18] to [N, 3]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.head = nn.Linear(size + 5, CLASSES)
        self.norms = nn.ModuleList(
            [nn.BatchNorm2d(size, eps=1e-3), nn.BatchNorm2d(size + 5, eps=1e-3)]
        )
        self.first = nn.Conv2d(3, size, 3, stride=2, bias=False)
        self.second = nn.Conv2d(size, size + 5, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norms[0](self.first(F.pad(x, (0, 1, 0, 1)))))
        return self.head(F.relu(self.norms[1](self.second(x))).mean((2, 3)))


class Perceptron(nn.Module):
    """[N, 6] to [N, 3]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.scores = nn.Linear(size + 2, CLASSES)
        self.second = nn.Linear(size, size + 2)
        self.first = nn.Linear(6, size)

    def forward(self, x: Tensor) -> Tensor:
        return self.scores(self.between(self.second(self.between(self.first(x)))))

    def between(self, x: Tensor) -> Tensor:
        return F.relu(x)


class OtherFunction(Perceptron):
    """The same parameters, and another activation."""

    def between(self, x: Tensor) -> Tensor:
        return torch.tanh(x)


class Crash(Perceptron):
    """Ends its process, as a fault in native code does."""

    def forward(self, x: Tensor) -> Tensor:
        os.abort()


class WordBag(nn.Module):
    """[N, 7] to [N, 3]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.scores = nn.Linear(size, CLASSES)
        self.words = nn.Embedding(23, size)

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(self.scores(self.words(x).mean(1)), 1)


class Separable(nn.Module):
    """[N, 3, 11, 8] to [N, 3]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(3, 6, 3, groups=3, bias=False)
        self.pointwise = nn.Conv2d(6, size, 1)
        self.plain = nn.Conv2d(size, size + 1, (3, 2))
        self.scores = nn.Linear((size + 1) * 7 * 5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.plain(F.relu(self.pointwise(self.depthwise(x)))))
        return self.scores(x.flatten(1))


class Sequence(nn.Module):
    """[N, 9, 4] to [N, 3]; in torch's axes [N, 4, 9]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.scores = nn.Linear(size + 3, CLASSES)
        self.memory = nn.LSTM(size, size + 3, batch_first=True)
        self.norm = nn.BatchNorm1d(size, eps=1e-3)
        self.conv = nn.Conv1d(4, size, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(F.relu(self.conv(x)))
        states, _ = self.memory(x.transpose(1, 2))
        return self.scores(states[:, -1])


class Tiny(nn.Module):
    """[N, 2] to [N, 3]."""

    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Linear(2, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.only(x)
