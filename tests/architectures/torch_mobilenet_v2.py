"""MobileNet v2: a flat list of blocks; the depthwise convolutions pad as SAME."""

from __future__ import annotations

from torch import Tensor, nn

from stage_load.modules import SamePadConv2d

# (factor of the inner width, channels, blocks, stride of the first)
GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class Bottleneck(nn.Module):
    """Wide inside, narrow outside; what is last in it is defined first."""

    def __init__(self, before: int, after: int, factor: int, stride: int) -> None:
        super().__init__()
        inner = before * factor
        self.adds = before == after and stride == 1
        self.linear = nn.Conv2d(inner, after, 1, bias=False)
        self.linear_norm = nn.BatchNorm2d(after)
        self.spatial = SamePadConv2d(inner, inner, 3, stride, groups=inner, bias=False)
        self.spatial_norm = nn.BatchNorm2d(inner)
        self.wide: nn.Module | None = None
        if factor != 1:
            self.wide = nn.Sequential(
                nn.Conv2d(before, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU6()
            )

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, before, H, W]."""
        y = x if self.wide is None else self.wide(x)
        y = nn.functional.relu6(self.spatial_norm(self.spatial(y)))
        y = self.linear_norm(self.linear(y))
        return x + y if self.adds else y


class MobileNetV2(nn.Module):
    """[N, 3, 64, 64] -> scores [N, 10], before the softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.classify = nn.Linear(1280, 10)
        self.last = nn.Sequential(
            nn.Conv2d(320, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6()
        )
        blocks = []
        before = 32
        for factor, after, count, stride in GROUPS:
            for number in range(count):
                step = stride if number == 0 else 1
                blocks.append(Bottleneck(before, after, factor, step))
                before = after
        self.blocks = nn.ModuleList(blocks)
        self.begin = nn.Sequential(self.first(), nn.BatchNorm2d(32), nn.ReLU6())

    def first(self) -> nn.Module:
        """The first window."""
        return SamePadConv2d(3, 32, 3, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, 3, 64, 64]."""
        x = self.begin(x)
        for block in self.blocks:
            x = block(x)
        return self.classify(self.last(x).mean((2, 3)))
