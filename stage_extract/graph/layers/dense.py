"""Matrix products with a variable."""

from __future__ import annotations

from typing import FrozenSet, Optional, Tuple, Union

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.flatten import flatten_before
from stage_extract.graph.layers.layer import Forward, Layer, NoMatch, why_not_plain
from stage_extract.graph.variables import Origin


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
    rows = forward.table.info[origin.variable].shape[1 if transposed else 0]
    return Layer(
        kind="dense",
        op=node.name,
        variables={"kernel": origin.variable},
        axes={origin.variable: "OI" if transposed else "IO"},
        input=ends[0],
        op_output=ends[1],
        output=ends[1],
        attributes={"transpose_b": transposed, "flatten": flatten_before(forward, ends[0], rows)},
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
