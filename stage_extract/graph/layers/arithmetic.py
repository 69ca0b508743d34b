"""What pointwise arithmetic computes, as a polynomial: however a formula is written, it is one sum.

(x - m) * r * g + b and x * (r * g) + (b - m * (r * g)) are the same polynomial, so whoever looks
for a formula compares polynomials and need not know its spellings.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple

import numpy

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward, why_not_plain
from stage_extract.graph.traverse import PASS_THROUGH, behind

# A product of symbols, sorted, and the sum of such products, each with its coefficient.
Product = Tuple[str, ...]
Polynomial = Mapping[Product, float]

ADDITIONS = frozenset(("Add", "AddV2", "BiasAdd", "BiasAddV1"))
DIVISIONS = frozenset(("Div", "RealDiv"))
# No formula of a layer is longer or deeper.
_MAX_TERMS = 12
_MAX_DEPTH = 24
# A variable's symbol; it can be no name that a matcher gives to anything else.
VARIABLE = "variable "


def plus(left: Polynomial, right: Polynomial, sign: float = 1.0) -> Polynomial:
    """Give left + sign * right, without the products that cancel out."""
    total = dict(left)
    for product, coefficient in right.items():
        total[product] = total.get(product, 0.0) + sign * coefficient
    return {product: value for product, value in total.items() if value != 0.0}


def times(left: Polynomial, right: Polynomial) -> Polynomial:
    """Give left * right."""
    total: Polynomial = {}
    for one, factor in left.items():
        scaled = {
            tuple(sorted(one + other)): factor * coefficient for other, coefficient in right.items()
        }
        total = plus(total, scaled)
    return total


class Arithmetic:
    """Reads tensors as polynomials of variables and of the symbols that a matcher names.

    Args:
        forward: the forward pass.
        symbol_of: gives the polynomial of a tensor that the matcher knows, None for any other.
        inverse_of: gives the polynomial of 1 / tensor for a divisor that the matcher knows.
        special: how further ops are read, by type.
    """

    def __init__(
        self,
        forward: Forward,
        symbol_of: Callable[[str], Optional[Polynomial]],
        inverse_of: Callable[[str], Optional[Polynomial]] = lambda tensor: None,
        special: Mapping[str, Callable[[Node], Optional[Polynomial]]] = MappingProxyType({}),
    ) -> None:
        self._forward = forward
        self._symbol_of = symbol_of
        self._inverse_of = inverse_of
        self._special = special
        self._known: Dict[str, Optional[Polynomial]] = {}
        self._depth = 0
        self.read_through: Dict[str, str] = {}
        """Variable -> the tensor through which the arithmetic read it last."""

    def of(self, tensor: str) -> Optional[Polynomial]:
        """Give the polynomial of a tensor, None if it is computed in any other way."""
        tensor = behind(self._forward.graph, tensor, PASS_THROUGH)
        if tensor not in self._known:
            self._known[tensor] = None
            if self._depth < _MAX_DEPTH:
                self._depth += 1
                self._known[tensor] = self._read(tensor)
                self._depth -= 1
        return self._known[tensor]

    def define(self, tensor: str, polynomial: Polynomial) -> None:
        """Say what a tensor is that no arithmetic computes, such as a reshaped one."""
        self._known[tensor] = polynomial

    def _read(self, tensor: str) -> Optional[Polynomial]:
        known = self._symbol_of(tensor)
        if known is None:
            known = self._constant(tensor)
        if known is None:
            known = self._variable(tensor)
        node = self._forward.graph.producer(tensor)
        if known is None and node is not None and tensor.endswith(":0"):
            known = self._computed(node)
        return known if known is None or len(known) <= _MAX_TERMS else None

    def _constant(self, tensor: str) -> Optional[Polynomial]:
        value = self._forward.evaluator.value(tensor)
        if value is None or not value.size or not numpy.issubdtype(value.dtype, numpy.floating):
            return None
        first = float(value.flat[0])
        if not numpy.isfinite(first) or (value != value.flat[0]).any():
            return None
        return {(): first} if first else {}

    def _variable(self, tensor: str) -> Optional[Polynomial]:
        origin = self._forward.table.origin(tensor)
        if origin is None or why_not_plain(origin) is not None:
            return None
        if any(node.op == "Transpose" for node in origin.reshaping):
            return None
        self.read_through[origin.variable] = tensor
        return {(VARIABLE + origin.variable,): 1.0}

    def _computed(self, node: Node) -> Optional[Polynomial]:
        if node.op in self._special:
            return self._special[node.op](node)
        if node.op == "Neg":
            operand = self.of(node.operand(0))
            return None if operand is None else plus({}, operand, -1.0)
        if len(node.inputs) != 2:
            return None
        left = self.of(node.operand(0))
        if left is None:
            return None
        if node.op in DIVISIONS:
            inverse = self._inverse(node.operand(1))
            return None if inverse is None else times(left, inverse)
        right = self.of(node.operand(1))
        if right is None:
            return None
        if node.op in ADDITIONS or node.op == "Sub":
            return plus(left, right, -1.0 if node.op == "Sub" else 1.0)
        return times(left, right) if node.op == "Mul" else None

    def _inverse(self, tensor: str) -> Optional[Polynomial]:
        known = self._inverse_of(behind(self._forward.graph, tensor, PASS_THROUGH))
        if known is not None:
            return known
        divisor = self.of(tensor)
        if divisor is None or set(divisor) != {()}:
            return None
        return {(): 1.0 / divisor[()]}


def nodes_between(forward: Forward, output: str, sources: Set[str]) -> List[str]:
    """Give the nodes that compute a tensor from some others, these and variables left out.

    Args:
        sources: tensors at which the walk ends.
    """
    found: Dict[str, Any] = {}
    pending = [output]
    while pending:
        tensor = pending.pop()
        node = forward.graph.producer(tensor)
        if tensor in sources or node is None or node.name in found:
            continue
        if forward.table.origin(tensor) is None:
            found[node.name] = node
            pending.extend(node.inputs)
    return list(found)
