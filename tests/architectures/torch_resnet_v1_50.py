"""ResNet with 50 layers as slim has it: a stage shrinks in its last unit, SAME pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stage_load.modules import SamePadMaxPool2d

# (width, units, stride of the last unit) of each stage.
STAGES = ((64, 3, 2), (128, 4, 2), (256, 6, 2), (512, 3, 1))


def normalised(before: int, after: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution without a bias, and its batch norm."""
    convolution = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after))


class Unit(nn.Module):
    """1x1, 3x3, 1x1 beside a shortcut; the shortcut is defined last."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.widen = normalised(width, 4 * width, 1)
        self.middle = normalised(width, width, 3, stride)
        self.narrow = normalised(before, width, 1)
        self.side: nn.Module = nn.MaxPool2d(1, stride) if stride > 1 else nn.Identity()
        if before != 4 * width:
            self.side = normalised(before, 4 * width, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, before, H, W]."""
        y = torch.relu(self.narrow(x))
        y = self.widen(torch.relu(self.middle(y)))
        return torch.relu(y + self.side(x))


class ResNetV1(nn.Module):
    """[N, 3, 64, 64] -> scores [N, 12], before the softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(2048, 12, 1)
        self.stages = nn.ModuleList(self.stage(number) for number in range(len(STAGES)))
        self.entry = self.first()
        self.pool = self.pooling()

    def first(self) -> nn.Module:
        """The 7x7 window."""
        return normalised(3, 64, 7, 2)

    def pooling(self) -> nn.Module:
        """Half the size."""
        return SamePadMaxPool2d(3, 2)

    def stage(self, number: int) -> nn.Sequential:
        """The units of one stage."""
        width, units, stride = STAGES[number]
        before = 64 if number == 0 else 4 * STAGES[number - 1][0]
        sizes = [before] + [4 * width] * (units - 1)
        strides = [1] * (units - 1) + [stride]
        return nn.Sequential(*(Unit(b, width, s) for b, s in zip(sizes, strides, strict=True)))

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, 3, 64, 64]."""
        x = self.pool(torch.relu(self.entry(x)))
        for stage in self.stages:
            x = stage(x)
        return self.classifier(x.mean((2, 3), keepdim=True)).flatten(1)
