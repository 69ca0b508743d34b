"""Inception v3: heads first, blocks and branches from the last to the first."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stage_load.modules import SamePadAvgPool2d, SamePadConv2d

Size = int | tuple[int, int]


class CBR(nn.Sequential):
    """Convolution without a bias, batch norm, activation; SAME unless it is said."""

    def __init__(
        self, before: int, after: int, kernel: Size, stride: int = 1, same: bool = True
    ) -> None:
        kind = SamePadConv2d if same else nn.Conv2d
        convolution = kind(before, after, kernel, stride, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


def chain(before: int, *steps: tuple[int, Size]) -> nn.Sequential:
    """Convolutions one after another: (channels, kernel) of each."""
    sizes = [before, *(after for after, _ in steps)]
    return nn.Sequential(*(CBR(b, *step) for b, step in zip(sizes, steps, strict=False)))


class Parallel(nn.Module):
    """Branches side by side, joined in the order of ``joined``; the last one runs first."""

    joined: tuple[str, ...]

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, before, H, W]."""
        results = [getattr(self, name)(x) for name in reversed(self.joined)]
        return torch.cat(results[::-1], 1)


class Large(Parallel):
    """The blocks of the large maps: 1x1, 5x5, twice 3x3, pooled."""

    joined = ("one", "five", "twice", "pooled")

    def __init__(self, before: int, pooled: int) -> None:
        super().__init__()
        self.pooled = nn.Sequential(SamePadAvgPool2d(3, 1), CBR(before, pooled, 1))
        self.twice = chain(before, (64, 1), (96, 3), (96, 3))
        self.five = chain(before, (48, 1), (64, 5))
        self.one = CBR(before, 64, 1)


class ShrinkLarge(Parallel):
    """From the large maps to the middle ones."""

    joined = ("three", "twice", "pool")

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2)
        self.twice = nn.Sequential(chain(288, (64, 1), (96, 3)), CBR(96, 96, 3, 2, same=False))
        self.three = CBR(288, 384, 3, 2, same=False)


class Middle(Parallel):
    """The blocks of the middle maps: windows of 7 by 1 and 1 by 7."""

    joined = ("one", "seven", "twice", "pooled")

    def __init__(self, width: int) -> None:
        super().__init__()
        wide, tall = (1, 7), (7, 1)
        self.one = CBR(768, 192, 1)
        self.pooled = nn.Sequential(SamePadAvgPool2d(3, 1), CBR(768, 192, 1))
        self.twice = chain(
            768, (width, 1), (width, tall), (width, wide), (width, tall), (192, wide)
        )
        self.seven = chain(768, (width, 1), (width, wide), (192, tall))


class ShrinkMiddle(Parallel):
    """From the middle maps to the small ones."""

    joined = ("three", "seven", "pool")

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2)
        self.seven = nn.Sequential(
            chain(768, (192, 1), (192, (1, 7)), (192, (7, 1))), CBR(192, 192, 3, 2, same=False)
        )
        self.three = nn.Sequential(CBR(768, 192, 1), CBR(192, 320, 3, 2, same=False))


class Fork(nn.Module):
    """1x3 and 3x1 on the same map, joined."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.tall = CBR(before, 384, (3, 1))
        self.wide = CBR(before, 384, (1, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Run ``x`` [N, before, H, W]."""
        return torch.cat(self.sides(x), 1)

    def sides(self, x: Tensor) -> list[Tensor]:
        """Both, in the order in which they are joined."""
        return [self.wide(x), self.tall(x)]


class Small(Parallel):
    """The blocks of the small maps."""

    joined = ("one", "fork", "deep", "pooled")

    def __init__(self, before: int) -> None:
        super().__init__()
        self.deep = nn.Sequential(chain(before, (448, 1), (384, 3)), Fork(384))
        self.fork = nn.Sequential(CBR(before, 384, 1), Fork(384))
        self.pooled = nn.Sequential(SamePadAvgPool2d(3, 1), CBR(before, 192, 1))
        self.one = CBR(before, 320, 1)


class InceptionV3(nn.Module):
    """[N, 3, 107, 107] -> scores of the helping head [N, 9], probabilities [N, 9]."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Conv2d(2048, 9, 1)
        self.helper = nn.Sequential(
            nn.AvgPool2d(5, 3), CBR(768, 128, 1), CBR(128, 768, 1), nn.Conv2d(768, 9, 1)
        )
        self.small = nn.Sequential(ShrinkMiddle(), Small(1280), Small(2048))
        self.middle = nn.Sequential(
            ShrinkLarge(), Middle(128), Middle(160), Middle(160), Middle(192)
        )
        self.large = nn.Sequential(Large(192, 32), Large(256, 64), Large(288, 64))
        self.stem = nn.Sequential(
            self.first(),
            CBR(32, 32, 3, same=False),
            CBR(32, 64, 3),
            nn.MaxPool2d(3, 2),
            CBR(64, 80, 1, same=False),
            CBR(80, 192, 3, same=False),
            nn.MaxPool2d(3, 2),
        )

    def first(self) -> nn.Module:
        """The first window, without padding."""
        return CBR(3, 32, 3, 2, same=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run ``x`` [N, 3, 107, 107]."""
        x = self.middle(self.large(self.stem(x)))
        scores = self.logits(self.small(x).mean((2, 3), keepdim=True)).flatten(1)
        return self.helper(x).flatten(1), scores.softmax(1)
