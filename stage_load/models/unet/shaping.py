"""Ops that change a map's size or axes: pooling, padding, cutting, reshaping, transposing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from stage_load.export_view import Node
from stage_load.models.unet.context import Context
from stage_load.models.unet.feature import Feature
from stage_load.models.unet.misfit import FAMILY, misfit
from stage_load.models.unet.sizes import NotComputable, slice_index
from stage_load.models.unet.steps import Crop, Margins, Pad, Padding, Pair, Pool


def windowed_size(
    size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair = (1, 1)
) -> Pair:
    """Return the size (height, width) that a window of ``kernel`` gives."""

    def axis_size(axis: int) -> int:
        lost = 0 if padding == "SAME" else (kernel[axis] - 1) * dilation[axis]
        return -(-(size[axis] - lost) // stride[axis])

    return axis_size(0), axis_size(1)


def pool(context: Context, node: Node, maps: list[Feature]) -> Feature:
    """Max or average pooling: ends a level of the encoder."""
    (given,) = maps
    if not given.is_encoder:
        raise misfit(node, "pools after an up-sampling", "no pooling in the decoder")
    kernel, stride = _window(node, "ksize"), _window(node, "strides")
    padding: Padding = node.attributes["padding"]
    method: Literal["max", "average"] = "max" if node.op == "MaxPool" else "average"
    step = Pool(method, kernel, stride, padding)
    size = windowed_size(given.size, kernel, stride, padding)
    if stride == (1, 1):
        raise misfit(node, "pools with a stride of 1", "a pooling that halves the map")
    return given.halved(node.output(), step, size)


def pad(context: Context, node: Node, maps: list[Feature]) -> Feature:
    """Fixed rows and columns added around a map."""
    (given,) = maps
    amounts = _computed(context, node, node.inputs[1]).tolist()
    margins = _spatial(given, amounts)
    if sum(map(sum, amounts)) == 0:
        return given.moved(node.output())
    mode = node.attributes.get("mode") or "CONSTANT"
    if mode == "SYMMETRIC" or sum(map(sum, margins)) != sum(map(sum, amounts)):
        raise misfit(node, f"pads by {amounts} ({mode})", "zeros or a reflection around the map")
    value = float(_computed(context, node, node.inputs[2])) if node.op == "PadV2" else 0.0
    step = Pad(margins, "reflect" if mode == "REFLECT" else "constant", value)
    size = given.size[0] + sum(margins[0]), given.size[1] + sum(margins[1])
    return given.then(node.output(), step, size)


def cut(context: Context, node: Node, maps: list[Feature]) -> Feature:
    """A part of a map: the crop of a skip."""
    given = maps[0]
    shape = given.shape(1)
    kept = [
        range(size)[part] for size, part in zip(shape, _parts(context, node, shape), strict=True)
    ]
    axes = (2, 3) if given.channels_first else (1, 2)
    whole = [len(part) == size for part, size in zip(kept, shape, strict=True)]
    unit_steps = all(part.step == 1 for part in kept)
    if all(whole):
        return given.moved(node.output())
    if not unit_steps or not all(ok for axis, ok in enumerate(whole) if axis not in axes):
        raise misfit(
            node, "cuts a map along its channels or with gaps", "a crop of rows and columns"
        )
    if not given.is_encoder:
        raise misfit(node, "crops a map that is no skip of the encoder", "a crop of the skip")
    margins = (
        _cut_margins(kept[axes[0]], shape[axes[0]]),
        _cut_margins(kept[axes[1]], shape[axes[1]]),
    )
    size = len(kept[axes[0]]), len(kept[axes[1]])
    return replace(given, tensor=node.output(), crop=Crop(margins), size=size)


def expand(context: Context, node: Node, maps: list[Feature]) -> Feature:
    """The channel axis of an image that came without one."""
    given = maps[0]
    axis = int(_computed(context, node, node.inputs[1]))
    if given.has_channel_axis or axis not in (1, 3, -1):
        raise misfit(node, f"adds axis {axis} to a map", "maps of four axes")
    return _with_channel_axis(node, given, channels_first=axis == 1)


def reshape(context: Context, node: Node, maps: list[Feature]) -> Feature:
    """A reshape to the shape that the map has already, its channel axis of one aside."""
    given = maps[0]
    if not given.has_channel_axis:
        given = _with_channel_axis(node, given, channels_first=given.channels_first)
    if not keeps_shape(context, node, given):
        static = context.view.shape(node.output())
        shown = "another shape" if static is None else list(static)
        raise misfit(node, f"reshapes a map to {shown}", "maps of four axes up to the output")
    return given.moved(node.output())


def keeps_shape(context: Context, node: Node, given: Feature) -> bool:
    """Whether ``node`` reshapes a map to the shape that it has already."""
    if node.op != "Reshape":
        return False
    wanted = [int(size) for size in _computed(context, node, node.inputs[1]).ravel()]
    return (
        len(wanted) == 4
        and wanted.count(-1) <= 1
        and all(size in (-1, own) for size, own in zip(wanted[1:], given.shape(1)[1:], strict=True))
    )


def transpose(context: Context, node: Node, maps: list[Feature]) -> Feature:
    """A change between NHWC and NCHW, which torch does not need."""
    given = maps[0]
    order = [int(axis) for axis in _computed(context, node, node.inputs[1]).ravel()]
    if order == [0, 1, 2, 3]:
        return given.moved(node.output())
    expected = [0, 2, 3, 1] if given.channels_first else [0, 3, 1, 2]
    if order != expected:
        raise misfit(node, f"orders the axes as {order}", "a change between NHWC and NCHW")
    return replace(given, tensor=node.output(), channels_first=not given.channels_first)


def cast(context: Context, node: Node, maps: list[Feature]) -> Feature:
    """A cast to a floating type, of an image of whole numbers for instance."""
    target = str(node.attributes.get("DstT"))
    if "float" not in target:
        raise misfit(node, f"casts a map to {target}", FAMILY)
    return maps[0].moved(node.output())


def _parts(context: Context, node: Node, shape: tuple[int, ...]) -> list[slice]:
    values = [_computed(context, node, tensor) for tensor in node.inputs[1:]]
    if node.op == "Slice":
        begin, size = (value.ravel().tolist() for value in values)
        ends = [None if s == -1 else int(b + s) for b, s in zip(begin, size, strict=True)]
        return [slice(int(b), end) for b, end in zip(begin, ends, strict=True)]
    index: list[Any] = list(slice_index(node, *values))
    if Ellipsis in index:
        at = index.index(Ellipsis)
        index[at : at + 1] = [slice(None)] * (len(shape) - len(index) + 1)
    index += [slice(None)] * (len(shape) - len(index))
    if not all(isinstance(part, slice) for part in index):
        raise misfit(node, "takes an axis away from a map or adds one", FAMILY)
    return index


def _with_channel_axis(node: Node, given: Feature, channels_first: bool) -> Feature:
    return replace(
        given, tensor=node.output(), has_channel_axis=True, channels_first=channels_first
    )


def _computed(context: Context, node: Node, tensor: str) -> np.ndarray[Any, np.dtype[Any]]:
    try:
        return context.sizes.value(tensor)
    except NotComputable as error:
        raise misfit(
            error.node,
            f"decides how '{node.name}' ({node.op}) works and is no arithmetic on sizes",
            "sizes computed from the sizes of maps",
        ) from error


def _window(node: Node, name: str) -> Pair:
    values = node.attributes[name]
    height, width = values[2:4] if node.attributes.get("data_format") == "NCHW" else values[1:3]
    return int(height), int(width)


def _spatial(given: Feature, amounts: list[list[int]]) -> Margins:
    rows, columns = amounts[2:4] if given.channels_first else amounts[1:3]
    return (int(rows[0]), int(rows[1])), (int(columns[0]), int(columns[1]))


def _cut_margins(kept: range, size: int) -> Pair:
    return kept.start, size - kept.stop
