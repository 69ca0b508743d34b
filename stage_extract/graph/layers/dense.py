"""Matrix products with a variable, and the flattened image that one may read."""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, List, Optional, Tuple, Union

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward, Layer, NoMatch, why_not_plain
from stage_extract.graph.variables import Origin

# Ops between a flatten and a matrix product that keep every feature in its place.
_POINTWISE_OPS = frozenset(
    ("Add", "AddV2", "BiasAdd", "Elu", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3",
     "Identity", "LeakyRelu", "Maximum", "Minimum", "Mul", "RealDiv", "Relu", "Relu6", "Selu",
     "Sigmoid", "Softplus", "Softsign", "Sub", "Tanh")
)  # fmt: skip
_FLATTENING_OPS = frozenset(("Reshape", "Squeeze"))
_MAX_STEPS = 32


def match_dense(forward: Forward, node: Node) -> Union[Layer, NoMatch]:
    """Match MatMul with a variable [in, out], or [out, in] when it is transposed."""
    if len(node.inputs) != 2:
        return NoMatch("a product of other than two operands")
    origin = forward.table.origin(node.inputs[1])
    if origin is None:
        return NoMatch("its variable is the left operand")
    reason = _why_no_kernel(forward, node, origin)
    if reason is not None:
        return NoMatch(reason)
    swapped = _is_swapped(forward, origin)
    if swapped is None:
        return NoMatch("its variable is rearranged first")
    transposed = bool(node.attribute("transpose_b")) != swapped
    ends = _ends(forward, node, origin)
    return Layer(
        kind="dense",
        op=node.name,
        variables={"kernel": origin.variable},
        axes={origin.variable: "OI" if transposed else "IO"},
        input=ends[0],
        op_output=ends[1],
        output=ends[1],
        attributes={"transpose_b": transposed, "flatten": _flatten(forward, ends[0])},
        nodes=ends[2],
    )


def _why_no_kernel(forward: Forward, node: Node, origin: Origin) -> Optional[str]:
    reason = why_not_plain(origin)
    if reason is None and node.attribute("transpose_a"):
        reason = "its left operand is transposed"
    rank = len(forward.table.info[origin.variable].shape)
    if reason is None and rank != 2:
        reason = f"its variable has {rank} axes instead of 2"
    return reason


def _is_swapped(forward: Forward, origin: Origin) -> Optional[bool]:
    """Tell whether a matrix arrives transposed; None if it arrives in any other arrangement."""
    swapped = False
    shape = list(forward.table.info[origin.variable].shape)
    for node in origin.reshaping:
        sizes = forward.evaluator.vector(node.inputs[1]) if len(node.inputs) == 2 else None
        if node.op == "Transpose" and sizes in ([0, 1], [1, 0]):
            swapped = swapped != (sizes == [1, 0])
        elif node.op != "Reshape" or sizes != (shape[::-1] if swapped else shape):
            return None
    return swapped


def _ends(forward: Forward, node: Node, origin: Origin) -> Tuple[str, str, FrozenSet[str]]:
    """Give input, output and nodes: of the product itself, or of the tf.tensordot around it.

    tf.tensordot, and with it tf.layers.dense on more than two axes, multiplies matrices between two
    reshapes, and reshapes the variable as well.
    """
    data = forward.operand(node, 0)
    plain = (data, f"{node.name}:0", frozenset((node.name,)))
    if not any(one.op == "Reshape" for one in origin.reshaping):
        return plain
    before = forward.graph.producer(data)
    after = forward.sole_reader(f"{node.name}:0")
    if before is None or before.op != "Reshape" or after is None or after.node.op != "Reshape":
        return plain
    source = forward.operand(before, 0)
    moved = forward.graph.producer(source)
    if moved is not None and moved.op == "Transpose":
        axes = forward.evaluator.vector(moved.inputs[1])
        if axes != list(range(len(axes or ()))):
            return plain
        source = forward.operand(moved, 0)
    nodes = frozenset((before.name, node.name, after.node.name))
    return source, f"{after.node.name}:0", nodes


def _flatten(forward: Forward, tensor: str) -> Optional[Dict[str, Any]]:
    """Give the reshape of an image to rows that lies before a product, None if there is none."""
    for _ in range(_MAX_STEPS):
        node = forward.graph.producer(tensor)
        if node is None or not node.inputs:
            return None
        if node.op in _FLATTENING_OPS:
            before, after = forward.shapes.of(node.inputs[0]), forward.shapes.of(tensor)
            if before is not None and len(before) == 4 and (after is None or len(after) == 2):
                return {
                    "node": node.name,
                    "shape": list(before),
                    "data_format": _image_format(forward, node.inputs[0]),
                }
            if node.op != "Reshape" or before is None or len(before) != 2:
                return None
        elif node.op not in _POINTWISE_OPS:
            return None
        tensor = _data_operand(forward, node)
    return None


def _data_operand(forward: Forward, node: Node) -> str:
    """Give the operand of a pointwise op that is neither a variable nor a constant."""
    for tensor in node.inputs:
        if forward.table.origin(tensor) is None and forward.evaluator.value(tensor) is None:
            return tensor
    return node.inputs[0]


def _image_format(forward: Forward, tensor: str) -> str:
    """Give the order of the axes of an image: as the nearest op above it that says it."""
    permutations: List[List[Optional[int]]] = []
    for _ in range(_MAX_STEPS):
        node = forward.graph.producer(tensor)
        if node is None or not node.inputs:
            break
        if node.op == "Transpose":
            permutations.append(forward.evaluator.vector(node.inputs[1]) or [])
            tensor = node.inputs[0]
            continue
        data_format = node.attribute("data_format")
        if data_format in ("NCHW", "NHWC"):
            for permutation in reversed(permutations):
                data_format = _permuted(data_format, permutation)
            return str(data_format)
        operand = 2 if node.op == "Conv2DBackpropInput" else 0
        tensor = node.inputs[min(operand, len(node.inputs) - 1)]
    return "NHWC"


def _permuted(data_format: str, permutation: List[Optional[int]]) -> str:
    if permutation == [0, 2, 3, 1] and data_format == "NCHW":
        return "NHWC"
    if permutation == [0, 3, 1, 2] and data_format == "NHWC":
        return "NCHW"
    return data_format
