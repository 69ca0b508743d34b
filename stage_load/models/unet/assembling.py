"""Makes the configuration from what the reader found at the outputs of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stage_load.errors import ModelDoesNotFit
from stage_load.export_view import Endpoint, ExportView, Node
from stage_load.models.unet.afterwards import Afterwards
from stage_load.models.unet.config import DecoderLevel, EncoderLevel, UNetConfig
from stage_load.models.unet.feature import Feature, Level, Merge, Placed
from stage_load.models.unet.joining import SizeRejected
from stage_load.models.unet.misfit import FAMILY, misfit
from stage_load.models.unet.reading import Reader, image_is_channels_first
from stage_load.models.unet.steps import (
    BatchNorm,
    Bias,
    Convolution,
    DepthwiseConvolution,
    Pair,
    Steps,
    TransposedConvolution,
)

# Tried in turn where the graph fixes no size and no reference was recorded: multiples of 32 for
# SAME, and sizes at which VALID networks of up to five levels come out even (572:
# arXiv:1505.04597).
SAMPLE_SIZES: tuple[Pair, ...] = ((64, 96), (320, 352), (572, 604), (188, 204), (92, 108))

# Steps that are layers of the export: what each of them gave out was recorded.
RECORDED = (BatchNorm, Bias, Convolution, DepthwiseConvolution, TransposedConvolution)


@dataclass(frozen=True)
class End:
    """Where the module ends: its last map, that map's recorded name, and what TF does after it."""

    feature: Feature
    tensor: str
    afterwards: tuple[str, ...] = ()


def read_configuration(view: ExportView) -> UNetConfig:
    """Read a UNet's configuration from an export that has a graph.

    Raises:
        ModelDoesNotFit: names the first op that no UNet of this family has.
    """
    _check_endpoints(view)
    rejected: SizeRejected | None = None
    for size in _sample_sizes(view):
        reader = Reader(view, size)
        try:
            reader.read()
        except SizeRejected as error:
            rejected = rejected or error
            continue
        return _assemble(view, reader, size)
    if rejected is None:
        raise AssertionError("there is always a size to try")
    raise misfit(
        rejected.node,
        f"joins a skip of {rejected.skip} and a map of {rejected.other} (height, width)",
        "a crop of the skip, or sizes that meet again",
    )


def _check_endpoints(view: ExportView) -> None:
    if len(view.inputs) != 1 or not view.outputs:
        inputs, outputs = _names(view.inputs), _names(view.outputs)
        raise ModelDoesNotFit(
            f"The graph has {len(view.inputs)} inputs ({inputs}) and {len(view.outputs)} outputs "
            f"({outputs}).",
            "Expected one image and at least one output.",
            "Name them by --inputs and --outputs; the command 'inspect' lists what there is.",
        )


def _names(endpoints: Sequence[Endpoint]) -> str:
    return ", ".join(endpoint.tensor for endpoint in endpoints) or "none"


def _sample_sizes(view: ExportView) -> list[Pair]:
    """Return the sizes (height, width) to try, the ones that the network surely accepts first."""
    tensor = view.inputs[0].tensor
    feeds = view.reference["feeds"]
    shapes = [feed["shape"] for feed in feeds if feed["tensor"] == tensor]
    shapes += [view.inputs[0].shape or ()]
    axes = (2, 3) if image_is_channels_first(view) else (1, 2)
    known = [(shape[axes[0]], shape[axes[1]]) for shape in shapes if len(shape) == 4]
    known += [(shape[1], shape[2]) for shape in shapes if len(shape) == 3]
    fixed = [(int(h), int(w)) for h, w in known if h is not None and w is not None]
    return fixed[:1] or list(SAMPLE_SIZES)


def _assemble(view: ExportView, reader: Reader, size: Pair) -> UNetConfig:
    end = _end(view, reader)
    feature = end.feature.closed() if end.feature.ends_without_skip else end.feature
    node = view.node_of(feature.tensor)
    _check_complete(node, feature)
    block, head = _split_head(node, feature)
    blocks = [*(merge.before for merge in feature.merges), block]
    encoder = [
        _encoder_level(level, merge)
        for level, merge in zip(feature.levels, reversed(feature.merges), strict=True)
    ]
    decoder = [
        DecoderLevel(_steps(merge.up), _steps(after), merge.skip_first, merge.crop)
        for merge, after in zip(feature.merges, blocks[1:], strict=True)
    ]
    if end.afterwards:
        reader.context.assume(
            f"TensorFlow computes '{view.outputs[0].tensor}' from this module's result by "
            f"{', '.join(end.afterwards)}; the module returns the scores, which can be trained."
        )
    return UNetConfig(
        in_channels=reader.in_channels,
        encoder=tuple(encoder),
        bottleneck=_steps(blocks[0]),
        decoder=tuple(decoder),
        head=_steps(head),
        sample_size=size,
        tf1_output=end.tensor,
        assumptions=tuple(reader.context.assumptions),
    )


def _end(view: ExportView, reader: Reader) -> End:
    """Return the network's last map. Further outputs must lie on the way to it."""
    ends = [_end_of(view, reader, output.tensor) for output in view.outputs]
    last = max(ends, key=lambda end: (len(end.feature.merges), len(end.feature.placed)))
    for end in ends:
        same_part = end.feature.merges == last.feature.merges
        placed = end.feature.placed
        if not same_part or placed != last.feature.placed[: len(placed)]:
            raise misfit(
                view.node_of(end.tensor),
                "gives a second output that does not lie on the way to the first",
                f"one result; name it by --outputs, one of {_names(view.outputs)}",
            )
    return last


def _end_of(view: ExportView, reader: Reader, tensor: str) -> End:
    feature = reader.context.feature(tensor)
    if feature is not None:
        return End(feature, tensor)
    after = reader.scores.afterwards.get(tensor)
    if after is None:
        raise misfit(view.node_of(tensor), "is an output that the image does not lead to", FAMILY)
    return _at_last_layer(view, after)


def _at_last_layer(view: ExportView, after: Afterwards) -> End:
    """Go back to the last layer's result: only those were recorded on the way to an output."""
    feature, ops = after.feature, after.ops
    placed = feature.placed
    while placed and not isinstance(placed[-1].step, RECORDED):
        ops = (view.node_of(placed[-1].tensor).op, *ops)
        placed = placed[:-1]
    if not placed:
        return End(feature, feature.tensor, after.ops)
    tensor = placed[-1].tensor
    layer = view.layer_of_output(tensor)
    recorded = tensor if layer is None or layer.output is None else layer.output
    return End(replace(feature, tensor=tensor, placed=placed), recorded, ops)


def _check_complete(node: Node, feature: Feature) -> None:
    missing = len(feature.levels) - len(feature.merges)
    if feature.before_up is not None:
        raise misfit(
            node,
            "ends the network with an up-sampled map that no concat follows",
            "the concat with the skip after each up-sampling",
        )
    if missing or not feature.levels:
        raise misfit(
            node,
            f"ends the network after {len(feature.levels)} poolings "
            f"and {len(feature.merges)} concats with a skip",
            "at least one pooling, and a concat with a skip for each",
        )


def _split_head(node: Node, feature: Feature) -> tuple[tuple[Placed, ...], tuple[Placed, ...]]:
    """Split the steps after the last concat: the head starts at the last convolution.

    Where the up-sampling that no concat follows is itself the last one, the head is the rest.
    """
    placed = feature.placed
    places = [n for n, item in enumerate(placed) if isinstance(item.step, Convolution)]
    if not places and feature.merges[-1].skip_first is None:
        return (), placed
    if not places:
        raise misfit(node, "ends the network with no convolution after the last concat", FAMILY)
    return placed[: places[-1]], placed[places[-1] :]


def _encoder_level(level: Level, merge: Merge) -> EncoderLevel:
    return EncoderLevel(
        block=_steps(level.placed[: merge.common]),
        down=(*_steps(level.placed[merge.common :]), level.down.step),
        skip=_steps(merge.skip),
    )


def _steps(placed: tuple[Placed, ...]) -> Steps:
    return tuple(item.step for item in placed)
