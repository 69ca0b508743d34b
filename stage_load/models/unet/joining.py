"""Where the encoder and the decoder meet: resizes and the concat with the skip."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from stage_load.export_view import Node
from stage_load.models.unet.context import Context
from stage_load.models.unet.feature import (
    Feature,
    common_length,
    has_convolution,
    starts_with_convolution,
)
from stage_load.models.unet.misfit import misfit
from stage_load.models.unet.steps import Crop, DepthToSpace, Pair, Resize
from stage_load.models.unet.up_sampling import check_may_up_sample, computed_size, takes_skip_size

AN_UP_SAMPLED_MAP = "the concat of an up-sampled map with the skip of its encoder level"


class SizeRejected(Exception):
    """With the sample size chosen, two maps that are to be joined differ in size."""

    def __init__(self, node: Node, skip: Pair, other: Pair) -> None:
        super().__init__(f"{node.name}: {skip} and {other}")
        self.node = node
        self.skip = skip
        self.other = other


def resize(context: Context, node: Node, maps: list[Feature]) -> Feature:
    """A nearest or bilinear resize, which up-samples."""
    given = maps[0]
    height, width = computed_size(context, node, node.inputs[1])
    if (height, width) == given.size:
        return given.moved(node.output())
    check_may_up_sample(node, given)
    factor = max(height // given.size[0], 1), max(width // given.size[1], 1)
    natural = given.size[0] * factor[0], given.size[1] * factor[1]
    follows = takes_skip_size(context, node, node.inputs[1], given, (height, width), natural)
    method: Literal["nearest", "bilinear"] = (
        "bilinear" if node.op == "ResizeBilinear" else "nearest"
    )
    step = Resize(
        method=method,
        factor=None if follows else factor,
        align_corners=bool(node.attributes.get("align_corners")),
        half_pixel_centers=bool(node.attributes.get("half_pixel_centers")),
    )
    return given.up_sampled(node.output(), step, (height, width))


def depth_to_space(context: Context, node: Node, maps: list[Feature]) -> Feature:
    """Channels laid out as pixels: an up-sampling in the decoder, a larger result at its end."""
    (given,) = maps
    step = DepthToSpace(int(node.attributes["block_size"]))
    size = given.size[0] * step.block_size, given.size[1] * step.block_size
    if given.is_finished:
        return given.then(node.output(), step, size)
    check_may_up_sample(node, given)
    return given.up_sampled(node.output(), step, size)


def concat(context: Context, node: Node, maps: list[Feature]) -> Feature:
    """The concat of the up-sampled map and the skip."""
    if len(maps) != 2 or len(node.inputs) != 3:
        others = [tensor for tensor in node.inputs[:-1] if context.feature(tensor) is None]
        and_others = f", among them '{others[0]}', which is no map of the network" if others else ""
        raise misfit(node, f"joins {len(node.inputs) - 1} tensors{and_others}", AN_UP_SAMPLED_MAP)
    axis = int(context.sizes.value(node.inputs[2]))
    if axis not in ((1, -3) if maps[0].channels_first else (3, -1)):
        raise misfit(node, f"joins maps along axis {axis}", "a concat of the channels")
    up_side = [feature.before_up is not None for feature in maps]
    if up_side.count(True) != 1:
        which = "both of which were" if all(up_side) else "neither of which was"
        raise misfit(node, f"joins two maps, {which} up-sampled just before", AN_UP_SAMPLED_MAP)
    up, skip = maps[up_side.index(True)], maps[up_side.index(False)]
    common = _check_skip(node, up, skip)
    skip = _with_crop(node, up, skip)
    return up.merged(node.output(), skip, common, skip_first=up_side.index(False) == 0)


def _check_skip(node: Node, up: Feature, skip: Feature) -> int:
    """Return how many steps the skip shares with the way to the pooling."""
    expected = "the map that goes into the pooling of the same level"
    level = up.waiting
    if not skip.is_encoder or level is None:
        raise misfit(node, f"takes '{skip.tensor}', a map of the decoder, as its skip", expected)
    common = common_length(level.placed, skip.placed)
    same_level = skip.start == level.start
    computed = has_convolution(skip.placed) or starts_with_convolution(skip.levels)
    if not same_level or not computed:
        where = "after a pooling" if skip.levels else "before any convolution"
        what = "a map of another level" if computed else f"a map {where}"
        raise misfit(node, f"takes as its skip '{skip.tensor}', {what}", expected)
    if has_convolution(level.placed[common:]) or has_convolution(skip.placed[common:]):
        raise misfit(node, f"takes '{skip.tensor}', from inside the block, as its skip", expected)
    return common


def _with_crop(node: Node, up: Feature, skip: Feature) -> Feature:
    """Return the skip with its crop as a rule that holds for other sizes too."""
    if skip.size != up.size:
        raise SizeRejected(node, skip.size, up.size)
    if skip.crop is None or skip.crop.margins is None:
        return skip
    centred = all(before == (before + after) // 2 for before, after in skip.crop.margins)
    return replace(skip, crop=Crop(None)) if centred else skip
