"""Factors of one and summands of zero, as a branch of training leaves them at inference.

Batch renormalisation multiplies gamma by a correction r and adds gamma * d to beta; at inference r
is one and d is zero, both as constants of the branch that inference takes.
"""

from __future__ import annotations

from stage_extract.graph.layers.arithmetic import ADDITIONS
from stage_extract.graph.layers.layer import Forward
from stage_extract.graph.traverse import MAX_CHAIN, PASS_THROUGH, behind


def without_neutral(forward: Forward, tensor: str) -> str:
    """Give the tensor that is handed on, multiplied by one or added to zero at most."""
    for _ in range(MAX_CHAIN):
        tensor = behind(forward.graph, tensor, PASS_THROUGH)
        node = forward.graph.producer(tensor)
        if node is None or len(node.inputs) != 2:
            return tensor
        for other, operand in (node.inputs, node.inputs[::-1]):
            is_one = node.op == "Mul" and _is_all(forward, operand, 1.0)
            if is_one or (node.op in ADDITIONS and _is_zero(forward, operand)):
                tensor = other
                break
        else:
            return tensor
    return tensor


def _is_zero(forward: Forward, tensor: str) -> bool:
    """Tell whether a tensor is zero: a constant, or a product with such a constant."""
    tensor = behind(forward.graph, tensor, PASS_THROUGH)
    node = forward.graph.producer(tensor)
    factors = node.inputs if node is not None and node.op == "Mul" else ()
    return any(_is_all(forward, one, 0.0) for one in (tensor, *factors))


def _is_all(forward: Forward, tensor: str, number: float) -> bool:
    value = forward.evaluator.value(tensor)
    return value is not None and value.dtype.kind == "f" and bool((value == number).all())
