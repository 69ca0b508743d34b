"""What the reader knows of one map on its way through a graph: how a UNet would have computed it.

Every op of the forward pass turns the feature that it reads into another one. Features are frozen
and share their past, so a fork in the graph is nothing special: both branches start from the same
feature.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from stage_load.models.unet.steps import Convolution, Crop, Pair, Step, channels_after


@dataclass(frozen=True)
class Placed:
    """A step and the tensor that holds its result."""

    tensor: str
    step: Step


@dataclass(frozen=True)
class Level:
    """An encoder level that has ended: what was computed on it, and the op that halved it."""

    start: str  # the tensor that the level starts from
    placed: tuple[Placed, ...]
    size: Pair
    down: Placed


@dataclass(frozen=True)
class Merge:
    """A concat that has been read, and what lay between it and the concat before.

    ``common`` counts the steps of the encoder level that the skip and the pooling share.
    ``skip_first`` is None for an up-sampling that no concat follows.
    """

    before: tuple[Placed, ...]
    up: tuple[Placed, ...]
    common: int
    skip: tuple[Placed, ...]
    skip_first: bool | None
    crop: Crop | None


@dataclass(frozen=True)
class Feature:
    """One map [N, H, W, C] (or NCHW) of the forward pass.

    ``placed`` holds the steps since the last pooling, concat or up-sampling; ``before_up`` the
    ones before that up-sampling, while its concat has not come yet.
    """

    tensor: str
    channels: int
    size: Pair
    start: str
    placed: tuple[Placed, ...] = ()
    levels: tuple[Level, ...] = ()
    merges: tuple[Merge, ...] = ()
    before_up: tuple[Placed, ...] | None = None
    crop: Crop | None = None
    channels_first: bool = False
    has_channel_axis: bool = True

    @property
    def is_encoder(self) -> bool:
        """Whether nothing has been up-sampled on the way to this map."""
        return not self.merges and self.before_up is None

    @property
    def is_finished(self) -> bool:
        """Whether every skip has been taken and a convolution has come after the last one."""
        return bool(self.merges) and self.waiting is None and has_convolution(self.placed)

    @property
    def ends_without_skip(self) -> bool:
        """Whether only the outermost level's skip is left, and this map is up-sampled already.

        Networks that halve the image by their first convolution have no map to take there.
        """
        rest = len(self.levels) - len(self.merges)
        return bool(self.merges) and rest == 1 and self.before_up is not None

    @property
    def waiting(self) -> Level | None:
        """The encoder level whose skip the next concat must take; None when all have been taken."""
        rest = len(self.levels) - len(self.merges)
        return self.levels[rest - 1] if rest else None

    def shape(self, batch: int) -> tuple[int, ...]:
        """Return the map's shape in the graph's own axes."""
        if not self.has_channel_axis:
            return (batch, *self.size)
        if self.channels_first:
            return (batch, self.channels, *self.size)
        return (batch, *self.size, self.channels)

    def moved(self, tensor: str) -> Feature:
        """Return the same map under another tensor name."""
        return replace(self, tensor=tensor)

    def then(self, tensor: str, step: Step, size: Pair | None = None) -> Feature:
        """Return what ``step`` makes of this map."""
        channels = channels_after((step,), self.channels)
        return replace(
            self,
            tensor=tensor,
            channels=channels,
            size=size or self.size,
            placed=(*self.placed, Placed(tensor, step)),
        )

    def halved(self, tensor: str, step: Step, size: Pair) -> Feature:
        """Return what a pooling or a strided convolution makes of this map: a new level."""
        level = Level(self.start, self.placed, self.size, Placed(tensor, step))
        return Feature(
            tensor=tensor,
            channels=channels_after((step,), self.channels),
            size=size,
            start=tensor,
            levels=(*self.levels, level),
            channels_first=self.channels_first,
        )

    def up_sampled(self, tensor: str, step: Step, size: Pair) -> Feature:
        """Return what an up-sampling makes of this map; its concat is now waited for."""
        return replace(
            self,
            tensor=tensor,
            channels=channels_after((step,), self.channels),
            size=size,
            placed=(Placed(tensor, step),),
            before_up=self.placed,
        )

    def merged(self, tensor: str, skip: Feature, common: int, skip_first: bool) -> Feature:
        """Return the concat of this up-sampled map and ``skip``."""
        merge = Merge(
            before=self.before_up or (),
            up=self.placed,
            common=common,
            skip=skip.placed[common:],
            skip_first=skip_first,
            crop=skip.crop,
        )
        return replace(
            self,
            tensor=tensor,
            channels=self.channels + skip.channels,
            start=tensor,
            placed=(),
            before_up=None,
            merges=(*self.merges, merge),
        )

    def closed(self) -> Feature:
        """Return this map, its up-sampling being one that no concat follows."""
        level = self.levels[len(self.levels) - len(self.merges) - 1]
        merge = Merge(self.before_up or (), self.placed[:1], len(level.placed), (), None, None)
        merges = (*self.merges, merge)
        return replace(self, placed=self.placed[1:], before_up=None, merges=merges)


def starts_with_convolution(levels: tuple[Level, ...]) -> bool:
    """Whether a strided convolution, not a pooling, led to the map that ``levels`` lie above."""
    return bool(levels) and isinstance(levels[-1].down.step, Convolution)


def has_convolution(placed: tuple[Placed, ...]) -> bool:
    """Whether a convolution is among the steps."""
    return any(isinstance(item.step, Convolution) for item in placed)


def common_length(first: tuple[Placed, ...], second: tuple[Placed, ...]) -> int:
    """Return how many steps two maps share from their start."""
    pairs = zip(first, second, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
