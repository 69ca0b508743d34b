"""Xception: separable convolutions in three flows, the shortcuts in a list of their own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stage_load.modules import SamePadMaxPool2d

# (before, after) of the blocks of the entry flow and of the first one of the exit flow.
ENTRY = ((64, 128), (128, 256), (256, 728))


class Separable(nn.Module):
    """Each channel by itself, then all of them at each place, then a norm."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(after)
        self.mix = nn.Conv2d(before, after, 1, bias=False)
        self.each = self.spatial(before)

    def spatial(self, channels: int) -> nn.Module:
        """The 3x3 window."""
        return nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, before, H, W]."""
        return self.norm(self.mix(self.each(x)))


class Shrink(nn.Module):
    """Two separable convolutions and a pooling beside a shortcut."""

    def __init__(self, before: int, middle: int, after: int, active: bool) -> None:
        super().__init__()
        self.active = active
        self.two = Separable(middle, after)
        self.one = Separable(before, middle)
        self.pool = self.pooling()
        self.norm = nn.BatchNorm2d(after)
        self.short = nn.Conv2d(before, after, 1, 2, bias=False)

    def pooling(self) -> nn.Module:
        """Half the size."""
        return SamePadMaxPool2d(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, before, H, W]."""
        y = self.one(torch.relu(x) if self.active else x)
        y = self.pool(self.two(torch.relu(y)))
        return y + self.norm(self.short(x))


class Middle(nn.Module):
    """Three separable convolutions beside what they are given."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList(Separable(728, 728) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, 728, H, W]."""
        y = x
        for step in self.steps:
            y = step(torch.relu(y))
        return x + y


class Xception(nn.Module):
    """[N, 3, 73, 73] -> probabilities [N, 15]"""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2048, 15)
        self.exit = nn.Sequential(
            Separable(1024, 1536), nn.ReLU(), Separable(1536, 2048), nn.ReLU()
        )
        self.middle = nn.Sequential(*(Middle() for _ in range(8)))
        self.shrink = nn.ModuleList(
            Shrink(before, after, after, number > 0) for number, (before, after) in enumerate(ENTRY)
        )
        self.last_shrink = Shrink(728, 728, 1024, True)
        self.stem = nn.Sequential(
            self.first(),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
        )

    def first(self) -> nn.Module:
        """The first window, without padding."""
        return nn.Conv2d(3, 32, 3, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, 3, 73, 73]."""
        x = self.stem(x)
        for block in self.shrink:
            x = block(x)
        x = self.exit(self.last_shrink(self.middle(x)))
        return self.fc(x.mean((2, 3))).softmax(1)
