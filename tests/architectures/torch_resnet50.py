"""ResNet with 50 layers as Keras has it: biases, and the first convolution of a unit strides."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# (width, units, stride of the first unit) of each stage.
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))


class Residual(nn.Module):
    """1x1, 3x3, 1x1, each with a norm, beside a shortcut."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(before, width, 1, stride),
                nn.Conv2d(width, width, 3, padding=1),
                nn.Conv2d(width, 4 * width, 1),
            ]
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for n in (width, width, 4 * width))
        self.downsample = None
        if before != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, 4 * width, 1, stride), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, before, H, W]."""
        y = x
        for number, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            y = norm(convolution(y))
            y = torch.relu(y) if number < 2 else y
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet50(nn.Module):
    """[N, 3, 64, 64] -> scores [N, 11], before the softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2048, 11)
        before = 64
        stages = []
        for width, count, stride in STAGES:
            strides = [stride] + [1] * (count - 1)
            sizes = [before] + [4 * width] * (count - 1)
            before = 4 * width
            units = (Residual(b, width, s) for b, s in zip(sizes, strides, strict=True))
            stages.append(nn.Sequential(*units))
        self.layer4, self.layer3, self.layer2, self.layer1 = reversed(stages)
        self.norm = nn.BatchNorm2d(64)
        self.conv = self.first()

    def first(self) -> nn.Module:
        """The 7x7 window: the graph pads it evenly, by an operation of its own."""
        return nn.Conv2d(3, 64, 7, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, 3, 64, 64]."""
        x = torch.relu(self.norm(self.conv(x)))
        x = nn.functional.max_pool2d(x, 3, 2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(x.mean((2, 3)))
