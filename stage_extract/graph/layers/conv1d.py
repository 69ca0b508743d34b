"""Convolutions over one axis: TensorFlow 1 computes them as images of height one."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Dict, Mapping, Optional, Sequence, Union

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.atrous import with_holes
from stage_extract.graph.layers.layer import Forward, Layer, NoMatch, why_not_plain
from stage_extract.graph.traverse import MAX_CHAIN
from stage_extract.graph.variables import Origin

_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "conv2d": "conv1d",
        "conv2d_transpose": "conv1d_transpose",
        "depthwise_conv2d": "depthwise_conv1d",
    }
)
_FORMATS: Mapping[str, str] = MappingProxyType({"NHWC": "NWC", "NCHW": "NCW"})
_LISTS = ("strides", "explicit_padding", "dilations", "kernel_size", "output_size")
# They keep an axis of size one, but for images of unknown size do not say so.
_KEEPING_OPS = frozenset(("BatchToSpaceND", "DepthwiseConv2dNative", "SpaceToBatchND"))
_IMAGE_RANK = 4


def unit_axis(forward: Forward, origin: Origin) -> Optional[int]:
    """Give where a kernel [width, in, out] is given an axis of size one; None if it is not."""
    shape = list(forward.table.info[origin.variable].shape)
    if why_not_plain(origin) is not None or len(shape) != 3 or len(origin.reshaping) != 1:
        return None
    node = origin.reshaping[0]
    if node.op == "ExpandDims":
        place = _added_axis(forward, node)
        return place if place in (0, 1) else None
    sizes = forward.evaluator.vector(node.inputs[1]) if node.op == "Reshape" else None
    fitting = (place for place in (0, 1) if sizes == [*shape[:place], 1, *shape[place:]])
    return next(fitting, None)


def one_dimensional(forward: Forward, layer: Layer, unit: int) -> Union[Layer, NoMatch]:
    """Turn a convolution of images whose kernel lacks a spatial axis into one over the other axis.

    Args:
        unit: which of the two spatial axes it is, 0 or 1.
    """
    image_format = layer.attributes["data_format"]
    place = image_format.index("HW"[unit])
    explicit = layer.attributes["explicit_padding"]
    if explicit is not None and explicit[unit] != [0, 0]:
        return NoMatch("its kernel has one spatial axis, its padding two")
    if not _has_size_one(forward, layer.input or "", place):
        return NoMatch("its kernel has one spatial axis, its image two")
    attributes: Dict[str, Any] = {**layer.attributes, "data_format": _FORMATS[image_format]}
    for key in _LISTS:
        if attributes.get(key) is not None:
            attributes[key] = [attributes[key][1 - unit]]
    [(variable, axes)] = layer.axes.items()
    layer = layer._replace(
        kind=_KINDS[layer.kind], axes={variable: axes.replace("H", "")}, attributes=attributes
    )
    return with_holes(forward, _without_axis(forward, layer, place))


def with_squeeze(forward: Forward, layer: Layer) -> Layer:
    """Let the axis of size one end with the layer, if it ends right behind its bias."""
    rank = forward.shapes.rank(layer.output)
    if layer.kind not in _KINDS.values() or rank != _IMAGE_RANK:
        return layer
    places = (2, 3) if layer.attributes["data_format"] == "NCW" else (1, 2)
    after = _squeeze_of(forward, layer.output, places)
    if after is None:
        return layer
    return layer._replace(output=f"{after.name}:0", nodes=layer.nodes | {after.name})


def _without_axis(forward: Forward, layer: Layer, place: int) -> Layer:
    """Leave out the ExpandDims and Squeeze around a convolution, if they stand there."""
    before = forward.graph.producer(layer.input or "")
    if before is None or not _adds(forward, before, place):
        return layer
    layer = layer._replace(input=forward.operand(before, 0), nodes=layer.nodes | {before.name})
    after = _squeeze_of(forward, layer.op_output, (place,))
    if after is None:
        return layer
    output = f"{after.name}:0"
    return layer._replace(op_output=output, output=output, nodes=layer.nodes | {after.name})


def _added_axis(forward: Forward, node: Node) -> Optional[int]:
    """Give the axis of an image that an ExpandDims adds."""
    axis = forward.evaluator.scalar(node.inputs[1]) if len(node.inputs) == 2 else None
    return axis % _IMAGE_RANK if isinstance(axis, int) else None


def _squeeze_of(forward: Forward, tensor: str, places: Sequence[int]) -> Optional[Node]:
    """Give the Squeeze of one axis of an image, one of these, if it alone reads it."""
    use = forward.sole_reader(tensor)
    if use is None or use.node.op != "Squeeze":
        return None
    dropped = [axis % _IMAGE_RANK for axis in use.node.attribute("squeeze_dims") or ()]
    return use.node if len(dropped) == 1 and dropped[0] in places else None


def _has_size_one(forward: Forward, tensor: str, place: int) -> bool:
    for _ in range(MAX_CHAIN):
        shape = forward.shapes.of(tensor)
        if shape is not None and place < len(shape) and shape[place] is not None:
            return shape[place] == 1
        node = forward.graph.producer(tensor)
        if node is None or node.op not in _KEEPING_OPS:
            return node is not None and _adds(forward, node, place)
        tensor = forward.operand(node, 0)
    return False


def _adds(forward: Forward, node: Node, place: int) -> bool:
    return node.op == "ExpandDims" and _added_axis(forward, node) == place
