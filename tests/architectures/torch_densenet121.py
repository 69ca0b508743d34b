"""DenseNet with 121 layers: each layer is its own module, transitions are kept apart from them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

GROWTH = 32
LAYERS = (6, 12, 24, 16)


class Grow(nn.Module):
    """Adds ``GROWTH`` channels to what it is given."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.conv2 = nn.Conv2d(4 * GROWTH, GROWTH, 3, padding=1, bias=False)
        self.conv1 = nn.Conv2d(before, 4 * GROWTH, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * GROWTH)
        self.norm1 = nn.BatchNorm2d(before)

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, before, H, W]."""
        y = self.conv1(torch.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(torch.relu(self.norm2(y)))], 1)


class DenseNet(nn.Module):
    """[N, 3, 64, 64] -> probabilities [N, 7]"""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1024, 7)
        self.dense = nn.ModuleList()
        self.between = nn.ModuleList()
        channels = 64
        for number, count in enumerate(LAYERS):
            self.dense.append(
                nn.Sequential(*(Grow(channels + GROWTH * index) for index in range(count)))
            )
            channels += GROWTH * count
            if number < len(LAYERS) - 1:
                half = nn.Conv2d(channels, channels // 2, 1, bias=False)
                norm = nn.BatchNorm2d(channels)
                self.between.append(nn.Sequential(norm, nn.ReLU(), half, nn.AvgPool2d(2)))
                channels //= 2
        self.last = nn.BatchNorm2d(channels)
        self.stem = nn.Sequential(
            self.first(), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)
        )

    def first(self) -> nn.Module:
        """The 7x7 window: the graph pads it evenly, by an operation of its own."""
        return nn.Conv2d(3, 64, 7, 2, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, 3, 64, 64]."""
        x = self.stem(x)
        for number, layers in enumerate(self.dense):
            x = layers(x)
            if number < len(self.between):
                x = self.between[number](x)
        return self.linear(torch.relu(self.last(x)).mean((2, 3))).softmax(1)
