"""Along which axes a layer normalises, and along which its scale and shift vary."""

from __future__ import annotations

from typing import Mapping, NamedTuple, Optional, Tuple

from stage_extract.graph.layers.layer import Forward
from stage_extract.graph.layers.normalisation.form import Parameter


class Split(NamedTuple):
    """A reshape that gives groups of channels an axis of their own.

    Attributes:
        input: the tensor before it.
        rank: number of its axes.
        channels: its axis of channels.
        groups: number of groups.
        joined_rest: the groups' channels and all pixels are one axis behind the groups.
    """

    input: str
    rank: int
    channels: int
    groups: int
    joined_rest: bool


class Place(NamedTuple):
    """The axes of a normalisation, as those of the layer's input.

    Attributes:
        rank: number of axes of the input.
        axes: those normalised over; with groups the axis of channels is among them.
        parameter_axes: those along which gamma and beta vary.
        groups: number of groups into which the channels are split, None if they are not.
    """

    rank: int
    axes: Tuple[int, ...]
    parameter_axes: Tuple[int, ...]
    groups: Optional[int]

    @property
    def pixels(self) -> Optional[Tuple[int, ...]]:
        """All axes but those of the batch and of one vector of channels; None without such."""
        if len(self.parameter_axes) != 1 or self.parameter_axes[0] not in (1, self.rank - 1):
            return None
        return tuple(axis for axis in range(1, self.rank) if axis != self.parameter_axes[0])

    @property
    def data_format(self) -> str:
        """The letters of its axes: NCHW where the channels come directly behind the batch."""
        pixels = "DHW"[5 - self.rank :] if self.rank > 3 else "W"
        return f"NC{pixels}" if self.parameter_axes == (1,) else f"N{pixels}C"


def find_split(forward: Forward, tensor: str) -> Optional[Split]:
    """Give the reshape before a normalisation if it splits the channels into groups."""
    node = forward.graph.producer(tensor)
    if node is None or node.op != "Reshape":
        return None
    before, after = forward.shapes.of(node.operand(0)), forward.shapes.of(tensor)
    if before is None or after is None or len(before) < 2:
        return None
    data = forward.operand(node, 0)
    if len(after) == 3 and len(before) > 3 and before[1] and after[1]:
        # [N, C, H, W] to [N, groups, C / groups * H * W]
        divides = before[1] % after[1] == 0
        return Split(data, len(before), 1, after[1], True) if divides else None
    if len(after) != len(before) + 1:
        return None
    for axis in (1, len(before) - 1):
        groups, size = after[axis], after[axis + 1]
        rest = after[:axis] + after[axis + 2 :]
        same = all(None in pair or pair[0] == pair[1] for pair in zip(rest, _but(before, axis)))
        if groups and size and before[axis] == groups * size and same:
            return Split(data, len(before), axis, groups, False)
    return None


def find_place(
    axes: Tuple[int, ...], rank: int, parameters: Mapping[str, Parameter], split: Optional[Split]
) -> Optional[Place]:
    """Give the axes of a normalisation as those of its input.

    Args:
        axes: the axes normalised over, of the tensor behind the split.
        rank: number of axes of that tensor.
        parameters: gamma and beta, at least one.
        split: the reshape before it, if any.

    Returns:
        None where gamma and beta differ, or where what is normalised over is no group.
    """
    if split is None:
        whole = {one.axes for one in parameters.values()}
        return Place(rank, axes, whole.pop(), None) if len(whole) == 1 else None
    whole = {_joined(one, split, rank) for one in parameters.values()}
    inside = range(1, rank) if split.joined_rest else [split.channels + 1]
    groups_axis = 1 if split.joined_rest else split.channels
    if len(whole) != 1 or groups_axis in axes or not set(axes) & (set(inside) - {groups_axis}):
        return None
    normalised = tuple(range(1, split.rank)) if split.joined_rest else _joined_axes(axes, split)
    return Place(split.rank, normalised, whole.pop(), split.groups)


def _joined(parameter: Parameter, split: Split, rank: int) -> Tuple[int, ...]:
    if parameter.rank != rank or parameter.rank == split.rank:
        return parameter.axes
    return _joined_axes(parameter.axes, split)


def _joined_axes(axes: Tuple[int, ...], split: Split) -> Tuple[int, ...]:
    """Give axes behind a split as axes before it: the two of the channels become one."""
    return tuple(sorted({axis - (axis > split.channels) for axis in axes}))


def _but(shape: Tuple[Optional[int], ...], axis: int) -> Tuple[Optional[int], ...]:
    return shape[:axis] + shape[axis + 1 :]
