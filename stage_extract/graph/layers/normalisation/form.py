"""The arithmetic from a root to the normalised, scaled and shifted tensor."""

from __future__ import annotations

from typing import Dict, FrozenSet, NamedTuple, Optional, Tuple

from stage_extract.graph.graphdef import Node, Use
from stage_extract.graph.layers.arithmetic import (
    ADDITIONS,
    VARIABLE,
    Arithmetic,
    Polynomial,
    nodes_between,
    times,
)
from stage_extract.graph.layers.layer import Forward
from stage_extract.graph.layers.normalisation.statistics import (
    RESHAPING_OPS,
    Statistics,
    is_mean,
)
from stage_extract.graph.traverse import behind

_DATA, _MEAN, _INVERSE = "data", "mean", "inverse root"
_NORMALISED: Polynomial = {
    tuple(sorted((_DATA, _INVERSE))): 1.0,
    tuple(sorted((_MEAN, _INVERSE))): -1.0,
}
_MAX_NODES = 32


class Parameter(NamedTuple):
    """A variable that scales or shifts.

    Attributes:
        variable: its name.
        axes: the axes of the result along which it varies.
        rank: number of axes of the result, None if unknown.
    """

    variable: str
    axes: Tuple[int, ...]
    rank: Optional[int]


class Form(NamedTuple):
    """A normalisation as it was found.

    Attributes:
        output: the result.
        parameters: "gamma" and "beta", as far as they are there.
        nodes: what it consists of.
    """

    output: str
    parameters: Dict[str, Parameter]
    nodes: FrozenSet[str]


def read_form(forward: Forward, statistics: Statistics, is_split: bool) -> Optional[Form]:
    """Follow (x - mean) / root, * gamma and + beta, in whatever order they are computed.

    Args:
        is_split: the channels were split into groups before, and will be joined by a reshape.
    """
    return _FormReader(forward, statistics, is_split).read()


class _FormReader:
    def __init__(self, forward: Forward, statistics: Statistics, is_split: bool) -> None:
        self._forward = forward
        self._statistics = statistics
        self._is_split = is_split
        self._arithmetic = Arithmetic(forward, self._symbol_of, self._inverse_of)
        self._parameters: Dict[str, Parameter] = {}

    def read(self) -> Optional[Form]:
        start = self._first_normalised()
        if start is None:
            return None
        output = self._follow(f"{start.name}:0")
        nodes = nodes_between(self._forward, output, {self._statistics.data})
        return Form(output, self._parameters, frozenset(nodes))

    def _symbol_of(self, tensor: str) -> Optional[Polynomial]:
        if tensor == self._statistics.data:
            return {(_DATA,): 1.0}
        if self._is_divisor(tensor) and self._statistics.is_inverse:
            return {(_INVERSE,): 1.0}
        return {(_MEAN,): 1.0} if is_mean(self._forward, tensor, self._statistics) else None

    def _inverse_of(self, tensor: str) -> Optional[Polynomial]:
        is_root = self._is_divisor(tensor) and not self._statistics.is_inverse
        return {(_INVERSE,): 1.0} if is_root else None

    def _is_divisor(self, tensor: str) -> bool:
        return behind(self._forward.graph, tensor, RESHAPING_OPS) == self._statistics.divisor

    def _first_normalised(self) -> Optional[Node]:
        pending, seen = [self._statistics.divisor], 0
        while pending and seen < _MAX_NODES:
            for use in self._forward.readers(pending.pop(0)):
                seen += 1
                polynomial = self._arithmetic.of(f"{use.node.name}:0")
                if polynomial is None and use.node.op not in RESHAPING_OPS:
                    continue
                if polynomial is not None and self._take(polynomial, use.node):
                    return use.node
                pending.append(f"{use.node.name}:0")
        return None

    def _take(self, polynomial: Polynomial, node: Node) -> bool:
        """Read gamma and beta out of a polynomial of the wanted form; False for any other form."""
        scale, shift = _scale_and_shift(polynomial)
        if scale is None or times(_NORMALISED, scale) != _without(polynomial, shift):
            return False
        for role, part in (("gamma", scale), ("beta", shift)):
            for product in part:
                if product:
                    name = product[0][len(VARIABLE) :]
                    self._parameters.setdefault(role, self._parameter(name, node))
        return True

    def _follow(self, tensor: str) -> str:
        """Follow what alone reads the normalised tensor: the joining reshape, gamma and beta."""
        is_split = self._is_split
        while True:
            use = self._forward.sole_reader(tensor)
            if use is not None and use.node.op == "Reshape" and is_split:
                is_split = False
                self._arithmetic.define(f"{use.node.name}:0", self._arithmetic.of(tensor) or {})
            elif use is None or not self._adds_parameter(use):
                return tensor
            tensor = f"{use.node.name}:0"

    def _adds_parameter(self, use: Use) -> bool:
        if use.node.op not in ADDITIONS | {"Mul"} or len(use.node.inputs) != 2:
            return False
        polynomial = self._arithmetic.of(f"{use.node.name}:0")
        before = len(self._parameters)
        return (
            polynomial is not None
            and self._take(polynomial, use.node)
            and len(self._parameters) > before
        )

    def _parameter(self, variable: str, node: Node) -> Parameter:
        forward = self._forward
        through = self._arithmetic.read_through[variable]
        shape = forward.shapes.of(through) or forward.table.info[variable].shape
        rank = forward.shapes.rank(f"{node.name}:0")
        if node.op.startswith("BiasAdd") and node.attribute("data_format") == "NCHW":
            return Parameter(variable, (1,), rank)
        offset = (rank or len(shape)) - len(shape)
        axes = tuple(offset + axis for axis, size in enumerate(shape) if size != 1)
        return Parameter(variable, axes or (offset + len(shape) - 1,), rank)


def _scale_and_shift(polynomial: Polynomial) -> Tuple[Optional[Polynomial], Polynomial]:
    """Split G and B off G * normalised + B; each is one variable, or G is one and B nothing."""
    scale: Dict[Tuple[str, ...], float] = {}
    shift: Dict[Tuple[str, ...], float] = {}
    for product, coefficient in polynomial.items():
        rest = list(product)
        if _DATA in rest and _INVERSE in rest:
            rest.remove(_DATA)
            rest.remove(_INVERSE)
            scale[tuple(rest)] = coefficient
        elif _INVERSE not in rest and _MEAN not in rest and _DATA not in rest:
            shift[product] = coefficient
    plain = all(
        value == 1.0 and len(one) <= 1 for part in (scale, shift) for one, value in part.items()
    )
    if not plain or len(scale) != 1 or len(shift) > 1 or () in shift:
        return None, {}
    return scale, shift


def _without(polynomial: Polynomial, shift: Polynomial) -> Polynomial:
    return {product: value for product, value in polynomial.items() if product not in shift}
