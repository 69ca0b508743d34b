"""Convolutions: plain, atrous, depthwise and transposed."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Union

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward, Layer, NoMatch, spatial_pair
from stage_extract.graph.traverse import PASS_THROUGH, behind

_KERNEL_AXES = {
    "conv2d": "HWIO",
    "depthwise_conv2d": "HWCM",
    "conv2d_transpose": "HWOI",
}
_TO_BATCH = frozenset(("SpaceToBatch", "SpaceToBatchND"))
_TO_SPACE = frozenset(("BatchToSpace", "BatchToSpaceND"))


def match_conv2d(forward: Forward, node: Node) -> Union[Layer, NoMatch]:
    """Match Conv2D; its kernel has the axes [kernel_h, kernel_w, in, out]."""
    return _match(forward, node, "conv2d")


def match_depthwise(forward: Forward, node: Node) -> Union[Layer, NoMatch]:
    """Match DepthwiseConv2dNative; its kernel has the axes [kernel_h, kernel_w, in, multiplier]."""
    return _match(forward, node, "depthwise_conv2d")


def match_transpose(forward: Forward, node: Node) -> Union[Layer, NoMatch]:
    """Match Conv2DBackpropInput of a forward pass; its kernel has the axes [h, w, out, in]."""
    layer = _match(forward, node, "conv2d_transpose", data_operand=2)
    if isinstance(layer, NoMatch):
        return layer
    output_size = _output_size(forward, node, layer.attributes["data_format"])
    attributes = {**layer.attributes, "output_size": output_size}
    return layer._replace(attributes=attributes)


def _match(forward: Forward, node: Node, kind: str, data_operand: int = 0) -> Union[Layer, NoMatch]:
    if len(node.inputs) <= max(1, data_operand):
        return NoMatch(f"{node.op} lacks an operand")
    kernel = forward.plain_variable(node.inputs[1])
    if kernel.variable is None:
        return NoMatch(kernel.reason or "")
    shape = forward.table.info[kernel.variable].shape
    if len(shape) != 4:
        return NoMatch(f"its kernel has {len(shape)} axes instead of 4")
    attributes = _attributes(node, list(shape[:2]))
    if isinstance(attributes, NoMatch):
        return attributes
    layer = Layer(
        kind=kind,
        op=node.name,
        variables={"kernel": kernel.variable},
        axes={kernel.variable: _KERNEL_AXES[kind]},
        input=forward.operand(node, data_operand),
        op_output=f"{node.name}:0",
        output=f"{node.name}:0",
        attributes=attributes,
        nodes=frozenset((node.name,)),
    )
    return _with_atrous(forward, node, layer)


def _attributes(node: Node, kernel_size: List[int]) -> Union[Dict[str, Any], NoMatch]:
    data_format = node.attribute("data_format") or "NHWC"
    strides = spatial_pair(node.attribute("strides"), data_format)
    dilations = spatial_pair(node.attribute("dilations") or [1, 1, 1, 1], data_format)
    padding = node.attribute("padding")
    explicit = None
    if strides is None or dilations is None:
        return NoMatch("its strides or dilations are no four sizes")
    if padding == "EXPLICIT":
        flat = node.attribute("explicit_paddings")
        first = 4 if data_format == "NCHW" else 2
        if not isinstance(flat, list) or len(flat) != 8:
            return NoMatch("its explicit paddings are no eight sizes")
        explicit = [flat[first : first + 2], flat[first + 2 : first + 4]]
    elif padding not in ("SAME", "VALID"):
        return NoMatch(f"its padding {padding!r} is unknown")
    return {
        "strides": strides,
        "padding": padding,
        "explicit_padding": explicit,
        "dilations": dilations,
        "data_format": data_format,
        "kernel_size": kernel_size,
    }


def _with_atrous(forward: Forward, node: Node, layer: Layer) -> Union[Layer, NoMatch]:
    """Join SpaceToBatch, convolution and BatchToSpace to one convolution with holes.

    tf.nn.convolution with a dilation rate and tf.nn.atrous_conv2d are built so in TensorFlow 1.
    """
    before = forward.graph.producer(layer.input or "")
    if before is None or before.op not in _TO_BATCH:
        return layer
    after = forward.sole_reader(layer.op_output)
    if after is None or after.node.op not in _TO_SPACE:
        return NoMatch("SpaceToBatch before it has no BatchToSpace behind it")
    rates = _block_sizes(forward, before)
    padding = _atrous_padding(forward, before, after.node, layer)
    if rates is None or padding is None:
        return NoMatch("the sizes of SpaceToBatch before it are not known before the run")
    output = f"{after.node.name}:0"
    return layer._replace(
        input=forward.operand(before, 0),
        op_output=output,
        output=output,
        attributes={**layer.attributes, "dilations": rates, "padding": padding},
        nodes=frozenset((before.name, node.name, after.node.name)),
    )


def _block_sizes(forward: Forward, node: Node) -> Optional[List[int]]:
    if node.op == "SpaceToBatch":
        size = node.attribute("block_size")
        return [size, size]
    value = forward.evaluator.vector(node.inputs[1])
    if value is None or len(value) != 2:
        return None
    return [size for size in value if size is not None]


def _atrous_padding(forward: Forward, before: Node, after: Node, layer: Layer) -> Optional[str]:
    """Give the padding of the whole: only SAME pads before the first pixel."""
    paddings = forward.evaluator.value(before.inputs[-1])
    if layer.attributes["kernel_size"] == [1, 1]:
        return "SAME"
    if paddings is not None and paddings.shape == (2, 2):
        return "SAME" if (paddings[:, 0] > 0).any() else "VALID"
    sizes_before = forward.shapes.of(before.inputs[0])
    sizes_after = forward.shapes.of(f"{after.name}:0")
    if sizes_before and sizes_after and None not in (*sizes_before[1:3], *sizes_after[1:3]):
        return "SAME" if sizes_before[1:3] == sizes_after[1:3] else "VALID"
    starts = _padding_starts(forward, before)
    return None if starts is None else ("SAME" if any(starts) else "VALID")


def _padding_starts(forward: Forward, before: Node) -> Optional[List[int]]:
    """Read the first column of paddings that are put together for an image of unknown size."""
    # with_space_to_batch cuts the spatial rows out of the table.
    tensor = forward.operand(before, len(before.inputs) - 1)
    table = forward.graph.producer(behind(forward.graph, tensor, PASS_THROUGH | {"StridedSlice"}))
    if table is None or table.op != "Pack":
        return None
    starts = []
    for row in table.inputs:
        pair = forward.evaluator.vector(row)
        if not pair or pair[0] is None:
            return None
        starts.append(pair[0])
    return starts


def _output_size(forward: Forward, node: Node, data_format: str) -> Optional[List[int]]:
    sizes = forward.evaluator.vector(node.inputs[0])
    if sizes is None or len(sizes) != 4:
        sizes = list(forward.shapes.of(f"{node.name}:0") or ())
    pair = spatial_pair(sizes, data_format)
    if pair is None:
        pair = spatial_pair(list(forward.shapes.of(f"{node.name}:0") or ()), data_format)
    return pair
