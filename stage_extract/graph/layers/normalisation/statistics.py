"""Mean and variance that a layer takes from its own input, and the root that divides by them."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.arithmetic import ADDITIONS
from stage_extract.graph.layers.layer import Forward
from stage_extract.graph.traverse import PASS_THROUGH, behind

ROOT_OPS = frozenset(("Pow", "Rsqrt", "Sqrt"))
_SQUARES = frozenset(("Mul", "Pow", "Square"))
# Between a statistic and its use: axes of size one come and go.
RESHAPING_OPS = PASS_THROUGH | frozenset(("ExpandDims", "Reshape", "Squeeze"))


class Statistics(NamedTuple):
    """What a layer normalises by.

    Attributes:
        data: the tensor whose mean and variance they are.
        axes: the axes that they are taken over, ascending, from 0.
        rank: number of axes of the data.
        epsilon: what is added to the variance, or to its root.
        divisor: the root, or the sum of root and epsilon.
        is_inverse: the divisor is one over the root already (rsqrt).
        epsilon_outside: epsilon is added to the root.
    """

    data: str
    axes: Tuple[int, ...]
    rank: int
    epsilon: float
    divisor: str
    is_inverse: bool
    epsilon_outside: bool


def read_statistics(forward: Forward, root: Node) -> Optional[Statistics]:
    """Read rsqrt(variance + epsilon), sqrt(variance + epsilon) or sqrt(variance) + epsilon.

    Gives None if the variance is not computed from one tensor, or is one over the batch.
    """
    exponent = _exponent(forward, root)
    if exponent not in (0.5, -0.5):
        return None
    divisor = f"{root.name}:0"
    inside = forward.operand(root, 0)
    added = _with_constant(forward, forward.graph.producer(inside))
    outside = None
    if added is None and exponent == 0.5:
        use = forward.sole_reader(divisor)
        outside = _with_constant(forward, use.node if use is not None else None)
        if outside is not None and use is not None:
            divisor = f"{use.node.name}:0"
    variance = inside if added is None else added[0]
    found = _variance(forward, variance)
    if found is None or 0 in found[1]:
        return None
    epsilon = added[1] if added is not None else (outside[1] if outside is not None else 0.0)
    data, axes, rank = found
    return Statistics(data, axes, rank, epsilon, divisor, exponent < 0, outside is not None)


def is_mean(forward: Forward, tensor: str, statistics: Statistics) -> bool:
    """Tell whether a tensor is the mean that belongs to a variance."""
    found = _mean(forward, tensor)
    return found is not None and found[:2] == (statistics.data, statistics.axes)


def _exponent(forward: Forward, root: Node) -> Optional[float]:
    if root.op == "Pow":
        power = forward.evaluator.scalar(root.operand(1))
        return power if isinstance(power, float) else None
    return -0.5 if root.op == "Rsqrt" else 0.5


def _with_constant(forward: Forward, node: Optional[Node]) -> Optional[Tuple[str, float]]:
    """Give (other operand, number) of the addition of a number."""
    if node is None or node.op not in ADDITIONS or len(node.inputs) != 2:
        return None
    for other, constant in (node.inputs, node.inputs[::-1]):
        number = forward.evaluator.scalar(constant)
        if isinstance(number, float):
            return other, number
    return None


def _variance(forward: Forward, tensor: str) -> Optional[Tuple[str, Tuple[int, ...], int]]:
    """Give (data, axes, rank) of mean((x - mean(x))**2) or mean(x**2) - mean(x)**2."""
    node = forward.graph.producer(behind(forward.graph, tensor, RESHAPING_OPS))
    if node is not None and node.op == "Sub":
        return _variance_by_squares(forward, node)
    reduced = _mean(forward, tensor)
    if reduced is None:
        return None
    squared = forward.graph.producer(reduced[0])
    if squared is None:
        return None
    pair = _squared_difference(forward, squared)
    if pair is None:
        return None
    data = forward_data(forward, pair[0])
    mean = _mean(forward, pair[1])
    if mean is None or mean != (data, *reduced[1:]):
        return None
    return mean


def _variance_by_squares(
    forward: Forward, node: Node
) -> Optional[Tuple[str, Tuple[int, ...], int]]:
    of_squares = _mean(forward, node.operand(0))
    square = forward.graph.producer(behind(forward.graph, node.operand(1), RESHAPING_OPS))
    if of_squares is None or square is None:
        return None
    base, inner = _base(forward, square), forward.graph.producer(of_squares[0])
    data = _base(forward, inner) if inner is not None else None
    mean = _mean(forward, base) if base is not None else None
    if mean is None or data is None:
        return None
    return mean if mean == (forward_data(forward, data), *of_squares[1:]) else None


def _squared_difference(forward: Forward, node: Node) -> Optional[Tuple[str, str]]:
    if node.op == "SquaredDifference":
        return node.operand(0), node.operand(1)
    base = _base(forward, node)
    difference = forward.graph.producer(base) if base is not None else None
    if difference is None or difference.op != "Sub":
        return None
    return difference.operand(0), difference.operand(1)


def _base(forward: Forward, node: Node) -> Optional[str]:
    """Give what a node squares."""
    if node.op not in _SQUARES:
        return None
    base = forward_data(forward, node.operand(0))
    if node.op == "Mul" and forward_data(forward, node.operand(1)) != base:
        return None
    if node.op == "Pow" and forward.evaluator.scalar(node.operand(1)) != 2.0:
        return None
    return base


def _mean(forward: Forward, tensor: str) -> Optional[Tuple[str, Tuple[int, ...], int]]:
    """Give (data, axes, rank) of the mean of some axes, however that is shaped afterwards."""
    node = forward.graph.producer(behind(forward.graph, tensor, RESHAPING_OPS))
    if node is None or node.op != "Mean":
        return None
    data = forward_data(forward, node.operand(0))
    axes, rank = forward.evaluator.value(node.operand(1)), forward.shapes.rank(data)
    if axes is None or not rank or axes.dtype.kind != "i":
        return None
    return data, tuple(sorted(int(axis) % rank for axis in axes.flat)), rank


def forward_data(forward: Forward, tensor: str) -> str:
    """Give the tensor that is handed on, without what hands it on."""
    return behind(forward.graph, tensor, PASS_THROUGH)
