"""Matrix products with a variable."""

from __future__ import annotations

import re
from typing import FrozenSet, Tuple, Union

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.flatten import flatten_before
from stage_extract.graph.layers.kernel_axes import kernel_axes
from stage_extract.graph.layers.layer import Forward, Layer, NoMatch, why_not_plain
from stage_extract.graph.variables import Origin

# Names that tf.einsum gives to what it consists of.
_OF_EINSUM = re.compile(r"(^|/)einsum(_\d+)?/MatMul$")


def match_dense(forward: Forward, node: Node) -> Union[Layer, NoMatch]:
    """Match MatMul with a variable [in, out], or [out, in] when it is transposed.

    A variable of three axes, two of which a reshape joins, is a projection into or out of the heads
    of an attention: [in, heads, units], [heads, in, units] or [heads, units, out].
    """
    if len(node.inputs) != 2:
        return NoMatch("a product of other than two operands")
    origin = forward.table.origin(node.inputs[1])
    if origin is None:
        return NoMatch("its variable is the left operand")
    reason = why_not_plain(origin)
    if reason is None and node.attribute("transpose_a"):
        reason = "its left operand is transposed"
    if reason is not None:
        return NoMatch(reason)
    shape = forward.table.info[origin.variable].shape
    axes = kernel_axes(forward, origin, len(shape), bool(node.attribute("transpose_b")))
    if axes is None:
        return NoMatch(f"its variable {list(shape)} is rearranged to no matrix of a dense layer")
    ends = _ends(forward, node, origin)
    rows = shape[axes.index("I")] if len(axes) == 2 else None
    flatten = None if rows is None else flatten_before(forward, ends[0], rows)
    return Layer(
        kind="dense",
        op=node.name,
        variables={"kernel": origin.variable},
        axes={origin.variable: axes},
        input=ends[0],
        op_output=ends[1],
        output=ends[1],
        attributes={
            "transpose_b": axes == "OI",
            "flatten": flatten,
        },
        nodes=ends[2],
    )


def _ends(forward: Forward, node: Node, origin: Origin) -> Tuple[str, str, FrozenSet[str]]:
    """Give input, output and nodes: of the product itself, or of the tf.tensordot around it.

    tf.tensordot, and with it tf.layers.dense on more than two axes, multiplies matrices between two
    reshapes, and reshapes the variable as well. tf.einsum leaves a variable alone that is a matrix.
    """
    data = forward.operand(node, 0)
    plain = (data, f"{node.name}:0", frozenset((node.name,)))
    before = forward.graph.producer(data)
    after = forward.sole_reader(f"{node.name}:0")
    if before is None or before.op != "Reshape" or after is None or after.node.op != "Reshape":
        return plain
    source = forward.operand(before, 0)
    if not any(one.op == "Reshape" for one in origin.reshaping):
        ranks = {forward.shapes.rank(source), forward.shapes.rank(f"{after.node.name}:0")}
        if ranks != {3} or _OF_EINSUM.search(node.name) is None:
            return plain
    moved = forward.graph.producer(source)
    if moved is not None and moved.op == "Transpose":
        axes = forward.evaluator.vector(moved.operand(1))
        if axes == list(range(len(axes or ()))):
            source = forward.operand(moved, 0)
        elif not _OF_EINSUM.search(node.name):
            return plain
    nodes = frozenset((before.name, node.name, after.node.name))
    return source, f"{after.node.name}:0", nodes
