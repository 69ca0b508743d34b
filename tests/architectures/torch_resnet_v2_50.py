"""ResNet with pre-activations, 50 layers, as slim trains it; units lie in one flat list."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stage_load.modules import SamePadMaxPool2d

# (width, units, stride of the last unit) of each stage.
STAGES = ((64, 3, 2), (128, 4, 2), (256, 6, 2), (512, 3, 1))


class PreUnit(nn.Module):
    """Norm and activation first; only the two inner convolutions have a norm of their own."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.bn_b = nn.BatchNorm2d(width)
        self.bn_a = nn.BatchNorm2d(width)
        self.bn_in = nn.BatchNorm2d(before)
        self.conv_c = nn.Conv2d(width, 4 * width, 1)
        self.conv_b = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.conv_a = nn.Conv2d(before, width, 1, bias=False)
        self.project = nn.Conv2d(before, 4 * width, 1, stride) if before != 4 * width else None

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, before, H, W]."""
        active = torch.relu(self.bn_in(x))
        y = torch.relu(self.bn_a(self.conv_a(active)))
        y = self.conv_c(torch.relu(self.bn_b(self.conv_b(y))))
        if self.project is not None:
            return y + self.project(active)
        return y + x[:, :, :: self.stride, :: self.stride]


class ResNetV2(nn.Module):
    """[N, 3, 64, 64] -> probabilities [N, 13, 1, 1], as the graph computes them."""

    def __init__(self) -> None:
        super().__init__()
        self.tail = nn.ModuleDict({"scores": nn.Conv2d(2048, 13, 1), "norm": nn.BatchNorm2d(2048)})
        units = []
        before = 64
        for width, count, stride in STAGES:
            for number in range(count):
                units.append(PreUnit(before, width, stride if number == count - 1 else 1))
                before = 4 * width
        self.units = nn.Sequential(*units)
        self.pool = self.pooling()
        self.begin = self.first()

    def first(self) -> nn.Module:
        """The 7x7 window."""
        return nn.Conv2d(3, 64, 7, 2, 3)

    def pooling(self) -> nn.Module:
        """Half the size."""
        return SamePadMaxPool2d(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, 3, 64, 64]."""
        x = self.units(self.pool(self.begin(x)))
        x = torch.relu(self.tail["norm"](x)).mean((2, 3), keepdim=True)
        return self.tail["scores"](x).softmax(1)
