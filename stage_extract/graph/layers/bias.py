"""Biases: part of the layer whose result they are added to, or layers of their own."""

from __future__ import annotations

from typing import Dict, Mapping, Optional, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward, Layer, is_channels_first

BIAS_OPS = frozenset(("Add", "AddV2", "BiasAdd", "BiasAddV1"))
_KINDS_WITH_BIAS = frozenset(
    ("conv1d", "conv1d_transpose", "conv2d", "conv2d_transpose", "conv3d", "conv3d_transpose",
     "dense", "depthwise_conv1d", "depthwise_conv2d")
)  # fmt: skip


def attach_or_make(forward: Forward, node: Node, by_output: Mapping[str, Layer]) -> Optional[Layer]:
    """Match the addition of a variable.

    Args:
        by_output: the layers so far, by their results before a bias.

    Returns:
        The layer whose result the node reads, now with its bias, or a bias_add layer; None if the
        node adds no vector of channels.
    """
    found = _bias_and_data(forward, node)
    if found is None:
        return _of_heads(forward, node, by_output)
    variable, axes, data = found
    layer = by_output.get(data)
    if layer is not None and _fits(forward, node, layer, variable, axes):
        return _with_bias(layer, node, variable, axes)
    volume = _volume_behind(forward, node, by_output)
    if volume is not None and _fits(forward, node, volume[0], variable, axes):
        return _with_bias(volume[0], node, variable, axes)._replace(output=volume[1])
    if not _is_along_channels(forward, node, axes):
        return None
    return _bias_add(node, variable, axes, data)


def _volume_behind(
    forward: Forward, node: Node, by_output: Mapping[str, Layer]
) -> Optional[Tuple[Layer, str]]:
    """Give the layer of a volume [N, C, D, H, W] that gets its bias as an image, and its result.

    The image is [N, C, D * H, W]. So did tf.layers.conv3d of TensorFlow 1.12 and before, whose
    BiasAdd took no other rank.
    """
    before = forward.graph.producer(forward.operand(node, 0))
    after = forward.sole_reader(f"{node.name}:0")
    if before is None or before.op != "Reshape" or after is None or after.node.op != "Reshape":
        return None
    layer = by_output.get(forward.operand(before, 0))
    is_volume = layer is not None and layer.attributes.get("data_format") == "NCDHW"
    ranks = [forward.shapes.rank(f"{one.name}:0") for one in (before, after.node)]
    is_image = node.attribute("data_format") == "NCHW" and ranks == [4, 5]
    if layer is None or not is_volume or not is_image:
        return None
    nodes = layer.nodes | {before.name, after.node.name}
    return layer._replace(nodes=nodes), f"{after.node.name}:0"


def _of_heads(forward: Forward, node: Node, by_output: Mapping[str, Layer]) -> Optional[Layer]:
    """Match the addition of [heads, units] to a projection into the heads of an attention."""
    if node.op not in BIAS_OPS or len(node.inputs) != 2:
        return None
    for operand in (1, 0):
        plain = forward.plain_variable(node.inputs[operand])
        layer = by_output.get(forward.operand(node, 1 - operand))
        if plain.variable is None or layer is None or layer.kind != "dense":
            continue
        kernel = layer.variables["kernel"]
        by_letter = dict(zip(layer.axes[kernel], forward.table.info[kernel].shape))
        heads = (by_letter.get("N"), by_letter.get("K"))
        if "I" in by_letter and forward.table.info[plain.variable].shape == heads:
            return _with_bias(layer, node, plain.variable, "NK")
    return None


def _bias_and_data(forward: Forward, node: Node) -> Optional[Tuple[str, str, str]]:
    if node.op not in BIAS_OPS or len(node.inputs) != 2:
        return None
    operands = (1,) if node.op.startswith("BiasAdd") else (1, 0)
    for operand in operands:
        vector = forward.vector(node.inputs[operand])
        if vector is not None and forward.table.origin(node.inputs[1 - operand]) is None:
            return vector[0], vector[1], forward.operand(node, 1 - operand)
    return None


def _fits(forward: Forward, node: Node, layer: Layer, variable: str, axes: str) -> bool:
    if layer.kind not in _KINDS_WITH_BIAS or "bias" in layer.variables:
        return False
    size = max(forward.table.info[variable].shape)
    kernel = layer.variables["kernel"]
    letters, sizes = layer.axes[kernel], forward.table.info[kernel].shape
    by_letter: Dict[str, int] = dict(zip(letters, sizes))
    if "K" in by_letter and "I" in by_letter:
        return False
    outputs = by_letter.get("O") or by_letter["C"] * by_letter["M"]
    channels_first = str(layer.attributes.get("data_format")).startswith("NC")
    if channels_first and not node.op.startswith("BiasAdd"):
        # A plain vector would be added along the width.
        rearranged = any(forward.table.is_rearranged(tensor) for tensor in node.inputs)
        return size == outputs and (is_channels_first(axes) or rearranged)
    return size == outputs and _is_along_channels(forward, node, axes)


def _is_along_channels(forward: Forward, node: Node, axes: str) -> bool:
    """Tell whether a broadcast addition adds along the last axis, as a bias does."""
    if node.op.startswith("BiasAdd"):
        return True
    rank = forward.shapes.rank(f"{node.name}:0")
    if is_channels_first(axes):
        return rank in (len(axes), None)
    return rank is None or rank >= len(axes)


def _with_bias(layer: Layer, node: Node, variable: str, axes: str) -> Layer:
    return layer._replace(
        variables={**layer.variables, "bias": variable},
        axes={**layer.axes, variable: axes},
        output=f"{node.name}:0",
        nodes=layer.nodes | {node.name},
    )


def _bias_add(node: Node, variable: str, axes: str, data: str) -> Layer:
    default = "NCHW" if is_channels_first(axes) else "NHWC"
    return Layer(
        kind="bias_add",
        op=node.name,
        variables={"bias": variable},
        axes={variable: axes},
        input=data,
        op_output=f"{node.name}:0",
        output=f"{node.name}:0",
        attributes={"data_format": node.attribute("data_format") or default},
        nodes=frozenset((node.name,)),
    )
