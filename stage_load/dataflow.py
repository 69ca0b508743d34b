"""How units feed each other, in a form that is the same for a TensorFlow graph and a torch model.

What reaches a unit is written as an expression over units: one of them; a join of several, in order
(concatenation); or a mix of several, without order (addition and everything else that takes more
than one). Whatever takes one tensor, such as an activation, pooling or padding, is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

_MOST_PARTS = 512
"""A mix or join of more parts than this is not written out: it holds those it was made of."""

_ROUNDS = 12
"""How far around a unit one looks to tell it from others; each round goes one unit farther."""

_LabelsOf = Mapping[Hashable, int]

_UNIT, _INPUT, _JOIN, _MIX = "unit", "input", "join", "mix"


class Expression(NamedTuple):
    """A unit's output, what is fed to the network, or a join or mix of expressions (numbers)."""

    kind: str
    parts: tuple[int, ...] = ()
    unit: Hashable = None


@dataclass
class Dataflow:
    """Expressions, each once, numbered so that parts come before what they are parts of.

    Attributes:
        expressions: by number.
        reaches: unit -> number of the expression that reaches it first.
    """

    expressions: list[Expression] = field(default_factory=list)
    reaches: dict[Hashable, int] = field(default_factory=dict)
    _numbers: dict[Expression, int] = field(default_factory=dict)

    def unit(self, name: Hashable) -> int:
        """Return the expression of a unit's output."""
        return self._add(Expression(_UNIT, unit=name))

    def network_input(self) -> int:
        """Return the expression of what is fed."""
        return self._add(Expression(_INPUT))

    def join(self, parts: Iterable[int]) -> int | None:
        """Return the expression of a concatenation; ``None`` of nothing."""
        given = tuple(parts)
        flat = tuple(chain.from_iterable(self._parts(part, _JOIN) for part in given))
        # What is cut in two and joined again, over and over, would double each time.
        return self._composed(_JOIN, flat if len(flat) <= _MOST_PARTS else given)

    def mix(self, parts: Iterable[int]) -> int | None:
        """Return the expression of a sum or the like; ``None`` of nothing."""
        given = sorted(set(parts))
        flat = sorted(set(chain.from_iterable(self._parts(part, _MIX) for part in given)))
        return self._composed(_MIX, tuple(flat if len(flat) <= _MOST_PARTS else given))

    def _parts(self, number: int, kind: str) -> tuple[int, ...]:
        expression = self.expressions[number]
        return expression.parts if expression.kind == kind else (number,)

    def _composed(self, kind: str, parts: tuple[int, ...]) -> int | None:
        if len(parts) <= 1:
            return parts[0] if parts else None
        return self._add(Expression(kind, parts))

    def _add(self, expression: Expression) -> int:
        number = self._numbers.setdefault(expression, len(self.expressions))
        if number == len(self.expressions):
            self.expressions.append(expression)
        return number


def told_apart(
    left: Mapping[Hashable, Hashable],
    left_flow: Dataflow,
    right: Mapping[Hashable, Hashable],
    right_flow: Dataflow,
) -> tuple[dict[Hashable, Hashable], dict[Hashable, Hashable]]:
    """Give units finer keys by what feeds them and what they feed, alike on both sides.

    The keys are refined round by round, as Weisfeiler and Lehman (1968) do to compare graphs. A
    unit gets the finest key that as many units of the other side have, so that a layer which only
    one side has disturbs its surroundings alone.

    Args:
        left: unit -> kind and shape.
        left_flow: of the same units.
        right: the other side's.
        right_flow: of the other side's units.

    Returns:
        The finer keys of both sides; equal ones belong together.
    """
    numbers: dict[Hashable, int] = {}
    sides = (_Labels(left, left_flow, numbers), _Labels(right, right_flow, numbers))
    rounds = [(sides[0].labels, sides[1].labels)]
    for _ in range(_ROUNDS):
        for side in sides:
            side.refine(numbers)
        rounds.append((sides[0].labels, sides[1].labels))
        if all(
            len(set(a.values())) == len(set(b.values())) for a, b in zip(*rounds[-2:], strict=True)
        ):
            break
    found: tuple[dict[Hashable, Hashable], dict[Hashable, Hashable]] = ({}, {})
    for both in reversed(rounds):
        _take_alike(both, found)
    for labels, keys in zip(rounds[0], found, strict=True):
        keys.update((unit, label) for unit, label in labels.items() if unit not in keys)
    return found


def _distinct(labels: tuple[_LabelsOf, _LabelsOf]) -> list[int]:
    return [len(set(own.values())) for own in labels]


def _take_alike(
    labels: tuple[_LabelsOf, _LabelsOf],
    found: tuple[dict[Hashable, Hashable], dict[Hashable, Hashable]],
) -> None:
    """Give the units without a key their label, where as many on the other side have it."""
    waiting = [
        {unit: label for unit, label in own.items() if unit not in keys}
        for own, keys in zip(labels, found, strict=True)
    ]
    counts = [Counter(own.values()) for own in waiting]
    for own, keys in zip(waiting, found, strict=True):
        keys.update((u, label) for u, label in own.items() if counts[0][label] == counts[1][label])


class _Labels:
    """One side's labels: numbers that stand for all that is known of a unit so far."""

    def __init__(
        self, keys: Mapping[Hashable, Hashable], flow: Dataflow, numbers: dict[Hashable, int]
    ) -> None:
        self._flow = flow
        self.labels = {u: numbers.setdefault(key, len(numbers)) for u, key in keys.items()}
        self._feeds = _feeds(flow)

    def refine(self, numbers: dict[Hashable, int]) -> None:
        """Look one unit farther in both directions."""

        def number(value: Hashable) -> int:
            return numbers.setdefault(value, len(numbers))

        seen = self._expression_labels(number)
        refined = {}
        for unit, label in self.labels.items():
            reached = self._flow.reaches.get(unit)
            before = None if reached is None else seen[reached]
            after = sorted(
                (self.labels[other], place)
                for other, place in self._feeds.get(unit, ())
                if other in self.labels
            )
            refined[unit] = number((label, before, tuple(after)))
        self.labels = refined

    def _expression_labels(self, number: Callable[[Hashable], int]) -> list[int]:
        seen: list[int] = []
        for expression in self._flow.expressions:
            labels = [seen[part] for part in expression.parts]
            own = self.labels.get(expression.unit) if expression.kind == _UNIT else None
            ordered = labels if expression.kind == _JOIN else sorted(labels)
            seen.append(number((expression.kind, own, *ordered)))
        return seen


def _feeds(flow: Dataflow) -> dict[Hashable, list[tuple[Hashable, int]]]:
    """Return unit -> the units that it feeds, each with its place in a join, -1 outside of one."""
    found: dict[Hashable, list[tuple[Hashable, int]]] = {}
    within: dict[int, Sequence[tuple[Hashable, int]]] = {}
    for unit, number in flow.reaches.items():
        for name, place in _units_within(flow, number, within):
            found.setdefault(name, []).append((unit, place))
    return found


def _units_within(
    flow: Dataflow, number: int, known: dict[int, Sequence[tuple[Hashable, int]]]
) -> Sequence[tuple[Hashable, int]]:
    """Return the units of an expression, each with its place, and remember them in ``known``."""
    if number in known:
        return known[number]
    expression = flow.expressions[number]
    found = [(expression.unit, -1)] if expression.kind == _UNIT else []
    parts = expression.parts
    places = range(len(parts)) if expression.kind == _JOIN else [-1] * len(parts)
    found += [
        (name, place if inner < 0 else inner)
        for part, place in zip(parts, places, strict=True)
        for name, inner in _units_within(flow, part, known)
    ]
    known[number] = list(dict.fromkeys(found))
    return known[number]
