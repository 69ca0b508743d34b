"""Convolutions with holes, which TensorFlow 1 builds of SpaceToBatch and BatchToSpace."""

from __future__ import annotations

from typing import List, Optional, Union

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward, Layer, NoMatch, spatial_places
from stage_extract.graph.traverse import PASS_THROUGH, behind

_TO_BATCH = frozenset(("SpaceToBatch", "SpaceToBatchND"))
_TO_SPACE = frozenset(("BatchToSpace", "BatchToSpaceND"))


def with_holes(forward: Forward, layer: Layer) -> Union[Layer, NoMatch]:
    """Join SpaceToBatch, convolution and BatchToSpace to one convolution with holes.

    tf.nn.convolution with a dilation rate and tf.nn.atrous_conv2d are built so in TensorFlow 1.
    """
    before = forward.graph.producer(layer.input or "")
    if before is None or before.op not in _TO_BATCH:
        return layer
    after = forward.sole_reader(layer.op_output)
    if after is None or after.node.op not in _TO_SPACE:
        return NoMatch("SpaceToBatch before it has no BatchToSpace behind it")
    rates = _rates(forward, before, layer.attributes["data_format"])
    padding = _padding(forward, before, after.node, layer)
    if rates is None or padding is None:
        return NoMatch("the sizes of SpaceToBatch before it are not known before the run")
    output = f"{after.node.name}:0"
    return layer._replace(
        input=forward.operand(before, 0),
        op_output=output,
        output=output,
        attributes={**layer.attributes, "dilations": rates, "padding": padding},
        nodes=layer.nodes | {before.name, after.node.name},
    )


def _rates(forward: Forward, node: Node, data_format: str) -> Optional[List[int]]:
    """Give one rate a spatial axis; SpaceToBatchND counts its axes from the first after N."""
    places = spatial_places(data_format)
    if node.op == "SpaceToBatch":
        return [node.attribute("block_size")] * len(places)
    blocks = forward.evaluator.vector(node.inputs[1])
    if blocks is None or len(blocks) > places[-1]:
        return None
    by_place = dict(enumerate(blocks, start=1))
    rates = [by_place.pop(place, 1) for place in places]
    known = [rate for rate in rates if rate is not None]
    # What is left would cut the channels.
    cuts_others = any(block != 1 for block in by_place.values())
    return None if cuts_others or len(known) < len(rates) else known


def _padding(forward: Forward, before: Node, after: Node, layer: Layer) -> Optional[str]:
    """Give the padding of the whole: only SAME pads before the first pixel."""
    if all(size == 1 for size in layer.attributes["kernel_size"]):
        return "SAME"
    paddings = forward.evaluator.value(before.inputs[-1])
    if paddings is not None and paddings.ndim == 2 and paddings.shape[1] == 2:
        return "SAME" if (paddings[:, 0] > 0).any() else "VALID"
    places = spatial_places(layer.attributes["data_format"])
    known = [forward.shapes.of(one) for one in (before.inputs[0], f"{after.name}:0")]
    sizes = [[shape[place] for place in places] for shape in known if shape is not None]
    if len(sizes) == 2 and all(None not in one for one in sizes):
        return "SAME" if sizes[0] == sizes[1] else "VALID"
    starts = _padding_starts(forward, forward.operand(before, len(before.inputs) - 1))
    return None if starts is None else ("SAME" if any(starts) else "VALID")


def _padding_starts(forward: Forward, tensor: str) -> Optional[List[int]]:
    """Read the first column of paddings that are put together for an image of unknown size."""
    value = forward.evaluator.value(tensor)
    if value is not None:
        return [int(row[0]) for row in value] if value.ndim == 2 else None
    # with_space_to_batch cuts the spatial rows out of the table.
    table = forward.graph.producer(behind(forward.graph, tensor, PASS_THROUGH | {"StridedSlice"}))
    if table is None or table.op not in ("ConcatV2", "Pack"):
        return None
    if table.op == "ConcatV2":
        pieces = [_padding_starts(forward, piece) for piece in table.inputs[:-1]]
        known = [piece for piece in pieces if piece is not None]
        return [start for piece in known for start in piece] if len(known) == len(pieces) else None
    starts = []
    for row in table.inputs:
        pair = forward.evaluator.vector(row)
        if not pair or pair[0] is None:
            return None
        starts.append(pair[0])
    return starts
