"""GoogLeNet with batch norms: branches are defined from the last to the first, and run so."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stage_load.modules import SamePadConv2d, SamePadMaxPool2d

# Channels of 1x1; of 3x3, reduced and full; of the small 3x3, reduced and full; after the pooling.
BLOCKS = {
    "p3a": (192, 64, 96, 128, 16, 32, 32),
    "p3b": (256, 128, 128, 192, 32, 96, 64),
    "p4a": (480, 192, 96, 208, 16, 48, 64),
    "p4b": (512, 160, 112, 224, 24, 64, 64),
    "p4c": (512, 128, 128, 256, 24, 64, 64),
    "p4d": (512, 112, 144, 288, 32, 64, 64),
    "p4e": (528, 256, 160, 320, 32, 128, 128),
    "p5a": (832, 256, 160, 320, 32, 128, 128),
    "p5b": (832, 384, 192, 384, 48, 128, 128),
}


class ConvNorm(nn.Module):
    """SAME convolution, batch norm, activation."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(after)
        self.conv = SamePadConv2d(before, after, kernel, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, before, H, W]."""
        return torch.relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Four branches side by side."""

    def __init__(self, before: int, *channels: int) -> None:
        super().__init__()
        one, reduced, full, small_reduced, small, pooled = channels
        self.after_pool = nn.Sequential(SamePadMaxPool2d(3, 1), ConvNorm(before, pooled, 1))
        self.small = nn.Sequential(
            ConvNorm(before, small_reduced, 1), ConvNorm(small_reduced, small, 3)
        )
        self.large = nn.Sequential(ConvNorm(before, reduced, 1), ConvNorm(reduced, full, 3))
        self.one = ConvNorm(before, one, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, before, H, W]."""
        after_pool = self.after_pool(x)
        small, large = self.branches(x)
        return torch.cat([self.one(x), large, small, after_pool], 1)

    def branches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The two branches with a 3x3 window, in the order in which they run."""
        return self.small(x), self.large(x)


class InceptionV1(nn.Module):
    """[N, 3, 200, 200] -> scores [N, 8], before the softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(1024, 8, 1)
        self.blocks = nn.ModuleDict({name: Block(*sizes) for name, sizes in BLOCKS.items()})
        self.stem = nn.ModuleList(
            [ConvNorm(64, 192, 3), ConvNorm(64, 64, 1), self.first(3, 64, 7, 2)]
        )

    def first(self, before: int, after: int, kernel: int, stride: int) -> nn.Module:
        """The large window."""
        return ConvNorm(before, after, kernel, stride)

    def shrink(self, x: Tensor, kernel: int) -> Tensor:
        """Half the size."""
        return SamePadMaxPool2d(kernel, 2)(x)

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, 3, 200, 200]."""
        full, point, first = self.stem
        x = self.shrink(full(point(self.shrink(first(x), 3))), 3)
        for name, block in self.blocks.items():
            if name == "p4a":
                x = self.shrink(x, 3)
            if name == "p5a":
                x = self.shrink(x, 2)
            x = block(x)
        x = nn.functional.avg_pool2d(x, 7, 1)
        return self.head(x).flatten(1)
