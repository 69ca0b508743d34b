"""PReLU: a rectifier whose slope below zero is learnt, in whatever way it is written."""

from __future__ import annotations

from typing import List, Optional, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.arithmetic import (
    VARIABLE,
    Arithmetic,
    Polynomial,
    nodes_between,
    plus,
    times,
)
from stage_extract.graph.layers.flatten import FORMATS
from stage_extract.graph.layers.layer import Forward, Layer, is_channels_first, vector_axes
from stage_extract.graph.traverse import PASS_THROUGH, behind

# Relu is the first op of most forms, Abs of one, Maximum or Select of others.
RECTIFYING_OPS = frozenset(("Abs", "Maximum", "Minimum", "Relu", "Select"))
_COMPARISONS = frozenset(("Greater", "GreaterEqual", "Less", "LessEqual"))
_X: Polynomial = {("x",): 1.0}
_POSITIVE: Polynomial = {("x",): 0.5, ("|x|",): 0.5}
_NEGATIVE: Polynomial = {("x",): 0.5, ("|x|",): -0.5}
_ABSOLUTE: Polynomial = {("|x|",): 1.0}
_MAX_NODES = 16
_PIXELS = "its slopes differ from pixel to pixel; torch has one a channel"
_SCALAR = "its one slope is a scalar without an axis; torch's has one axis, of size one"


def match_prelu(forward: Forward, node: Node) -> Optional[Layer]:
    """Match relu(x) - alpha * relu(-x) and its like: equal to max(x, 0) + alpha * min(x, 0).

    Read as sums of x and |x|, all of them are one: relu(x) is (x + |x|) / 2.

    Args:
        node: the first rectifying op of it.
    """
    for data in _candidates(forward, node):
        reader = _Reader(forward, data)
        found = reader.find(node)
        if found is not None:
            return _layer(forward, data, reader, *found)
    return None


def _candidates(forward: Forward, node: Node) -> List[str]:
    """Give what x may be: the operand of the op, or what that operand is the negative of."""
    operand = forward.operand(node, 1 if node.op == "Select" else 0)
    if node.op == "Select":
        comparison = forward.graph.producer(forward.operand(node, 0))
        if comparison is None or comparison.op not in _COMPARISONS:
            return []
        return [forward.operand(comparison, 0)]
    inner = forward.graph.producer(operand)
    negated = [forward.operand(inner, 0)] if inner is not None and inner.op == "Neg" else []
    others = [forward.operand(node, 1)] if node.op in ("Maximum", "Minimum") else []
    known = [operand, *negated, *others]
    return [one for one in known if forward.evaluator.value(one) is None]


class _Reader:
    """Reads tensors as sums of x, |x| and variables."""

    def __init__(self, forward: Forward, data: str) -> None:
        self._forward = forward
        self._data = data
        special = {
            "Abs": self._absolute,
            "Maximum": self._extreme,
            "Minimum": self._extreme,
            "Relu": self._relu,
            "Select": self._select,
        }
        self.arithmetic = Arithmetic(forward, self._symbol_of, special=special)

    def find(self, start: Node) -> Optional[Tuple[str, str]]:
        """Give (result, variable) of a PReLU that the op is part of, None if it is of none."""
        pending, seen = [start], 0
        while pending and seen < _MAX_NODES:
            node = pending.pop(0)
            seen += 1
            polynomial = self.arithmetic.of(f"{node.name}:0")
            if polynomial is None:
                continue
            slope = _slope(polynomial)
            if slope is not None:
                return f"{node.name}:0", slope
            pending.extend(use.node for use in self._forward.readers(f"{node.name}:0"))
        return None

    def _symbol_of(self, tensor: str) -> Optional[Polynomial]:
        return _X if tensor == self._data else None

    def _relu(self, node: Node) -> Optional[Polynomial]:
        return self._rectified(node.operand(0), _POSITIVE, _NEGATIVE)

    def _absolute(self, node: Node) -> Optional[Polynomial]:
        return self._rectified(node.operand(0), _ABSOLUTE, plus({}, _ABSOLUTE, -1.0))

    def _rectified(
        self, tensor: str, of_x: Polynomial, of_minus_x: Polynomial
    ) -> Optional[Polynomial]:
        """Give f(x), and f(-x) as minus the given; no other operand is known."""
        operand = self.arithmetic.of(tensor)
        if operand == _X:
            return of_x
        return plus({}, of_minus_x, -1.0) if operand == {("x",): -1.0} else None

    def _extreme(self, node: Node) -> Optional[Polynomial]:
        operands = [self.arithmetic.of(tensor) for tensor in node.inputs]
        if {} not in operands or _X not in operands:
            return None
        return _POSITIVE if node.op == "Maximum" else _NEGATIVE

    def _select(self, node: Node) -> Optional[Polynomial]:
        comparison = self._forward.graph.producer(self._forward.operand(node, 0))
        if comparison is None or comparison.op not in _COMPARISONS or len(node.inputs) != 3:
            return None
        left, right = (self.arithmetic.of(comparison.operand(index)) for index in (0, 1))
        branches = [self.arithmetic.of(tensor) for tensor in node.inputs[1:]]
        if left != _X or right != {} or None in branches:
            return None
        above, below = branches if comparison.op.startswith("Greater") else branches[::-1]
        factors = _factor_of_x(above, 1.0), _factor_of_x(below, -1.0)
        if factors[0] is None or factors[1] is None:
            return None
        return plus(times(factors[0], _POSITIVE), times(factors[1], _NEGATIVE))


def _factor_of_x(polynomial: Optional[Polynomial], sign: float) -> Optional[Polynomial]:
    """Give f of f * x, where |x| is sign * x; None if the polynomial is no multiple of x."""
    factor: Polynomial = {}
    for product, coefficient in (polynomial or {}).items():
        rest = [one for one in product if one not in ("x", "|x|")]
        if len(rest) != len(product) - 1:
            return None
        value = coefficient * (sign if "|x|" in product else 1.0)
        factor = plus(factor, {tuple(rest): value})
    return factor


def _slope(polynomial: Polynomial) -> Optional[str]:
    """Give the variable a of max(x, 0) + a * min(x, 0)."""
    names = {one for product in polynomial for one in product if one.startswith(VARIABLE)}
    if len(names) != 1:
        return None
    name = names.pop()
    wanted = plus(_POSITIVE, times({(name,): 1.0}, _NEGATIVE))
    return name[len(VARIABLE) :] if polynomial == wanted else None


def _layer(forward: Forward, data: str, reader: _Reader, output: str, variable: str) -> Layer:
    data = behind(forward.graph, data, PASS_THROUGH)
    layer = Layer(
        kind="prelu",
        op=output.rpartition(":")[0],
        variables={"alpha": variable},
        axes={},
        input=data,
        op_output=output,
        output=output,
        attributes={},
        nodes=frozenset(nodes_between(forward, output, {data})),
    )
    shape = forward.table.info[variable].shape
    axes = vector_axes(shape)
    if axes is None:
        return layer._replace(
            kind="other",
            variables={"operand_0": variable},
            attributes={"op_type": "PReLU"},
            reason=_PIXELS if shape else _SCALAR,
        )
    through = forward.shapes.of(reader.arithmetic.read_through[variable]) or shape
    first = is_channels_first(vector_axes(through) or axes)
    rank = forward.shapes.rank(output) or 2
    letters = FORMATS.get(rank, (None, None))
    return layer._replace(axes={variable: axes}, attributes={"data_format": letters[first]})
