"""Pairs TensorFlow's units with torch's: by kind and shape, in order; names break ties only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from stage_load.align import CERTAIN, Element, Match, align_with_margins
from stage_load.assign import match_by_name, match_out_of_order
from stage_load.branches import run_side_by_side
from stage_load.dataflow import told_apart
from stage_load.equal_kinds import equal_kinds
from stage_load.export_view import ExportView
from stage_load.tf_dataflow import tf_dataflow
from stage_load.tf_units import OTHER, TfUnit, other_kinds
from stage_load.torch_units import TorchModel, TorchUnit, unit_key

MOST_UNITS = 5_000
"""Of more units, only kind, shape, order and names are compared."""

_TfKey = Callable[[TfUnit], Hashable]
_TorchKey = Callable[[TorchUnit], Hashable]


@dataclass(frozen=True, slots=True)
class UnitPair:
    """Two counterparts.

    Attributes:
        tf: TensorFlow's.
        torch: torch's.
        group: what it has in common with the pairs that it could be exchanged with.
        moved: they stand in another order than their neighbours.
        given: somebody has named them, or the reference run has decided.
        margin: of the alignment, see ``align.Match``; of a moved pair 0.
    """

    tf: TfUnit
    torch: TorchUnit
    group: Hashable = None
    moved: bool = False
    given: bool = False
    margin: float = CERTAIN


def pair_units(
    export: ExportView,
    left: Sequence[TfUnit],
    model: TorchModel,
    fixed: Mapping[int, int],
) -> list[UnitPair]:
    """Pair the units of both sides.

    First branches side by side whose names say which is which. Then what is told apart by what it
    reads and what reads it, as far as both sides agree in that. Then all others in order, by kind
    and shape; then what is left in any order (branches may run in another order); at last by kind
    alone, so that a wrong shape is reported as one and not as two tensors that have no counterpart.
    What a graph did not tell may also be of another kind.

    Args:
        export: the graph.
        left: TensorFlow's units in forward order.
        model: torch's units in the order in which they run.
        fixed: pairs that are decided: index in ``left`` -> index among torch's units.
    """
    right = model.units
    pairs = [UnitPair(left[i], right[j], given=True) for i, j in fixed.items()]
    named = set(fixed.values())
    rest = _Rest(
        [unit for i, unit in enumerate(left) if i not in fixed],
        [unit for j, unit in enumerate(right) if j not in named],
    )
    pairs += rest.take_branches(export)
    pairs += _by_dataflow(export, left, model, pairs, rest)
    pairs += _with_fewest_odd_biases(rest)
    original = {unit.layer.index: unit for unit in rest.left}
    for kinds in _alternatives(export, rest.left):
        waiting = {unit.layer.index for unit in rest.left}
        rest.left = [unit for unit in kinds if unit.layer.index in waiting]
        pairs += rest.take_in_order(coarse_key, coarse_torch_key)
        pairs += rest.take_out_of_order(coarse_key, coarse_torch_key)
    rest.left = [original[unit.layer.index] for unit in rest.left]
    pairs += rest.take_in_order(lambda unit: unit.kind, lambda unit: unit.kind)
    return pairs


def _by_dataflow(
    export: ExportView,
    left: Sequence[TfUnit],
    model: TorchModel,
    known: Sequence[UnitPair],
    rest: _Rest,
) -> list[UnitPair]:
    """Pair what both sides feed, and are fed by, in the same way."""
    paths = Counter(unit.path for unit in model.units)
    if model.flow is None or not export.has_graph or len(left) > MOST_UNITS:
        return []
    lefts: dict[Hashable, Hashable] = {u.layer.index: coarse_key(u) for u in left}
    rights: dict[Hashable, Hashable] = {
        u.path: coarse_torch_key(u) for u in model.units if paths[u.path] == 1
    }
    for number, pair in enumerate(known):
        lefts[pair.tf.layer.index] = rights[pair.torch.path] = ("known", number)
    keys, torch_keys = told_apart(lefts, tf_dataflow(export, left), rights, model.flow)
    common = Counter(keys.values()) & Counter(torch_keys.values())

    def key(unit: TfUnit) -> Hashable:
        own = keys[unit.layer.index]
        return ("flow", own) if common[own] else ("alone", unit.layer.index)

    def torch_key(unit: TorchUnit) -> Hashable:
        return "flow", torch_keys.get(unit.path)

    return [*rest.take_in_order(key, torch_key), *rest.take_out_of_order(key, torch_key)]


def _with_fewest_odd_biases(rest: _Rest) -> list[UnitPair]:
    """Pair by kind and shape, or first where both have a bias or neither has: whichever fits more.

    A bias may have been folded into a batch norm on one side only, so it must not decide; but
    branches in another order, only one of which has a bias, are told by it.
    """
    other = _Rest(rest.left, rest.right)
    pairs = rest.take_in_order(coarse_key, coarse_torch_key)
    pairs += rest.take_out_of_order(coarse_key, coarse_torch_key)
    if not any(map(_has_odd_bias, pairs)):
        return pairs
    by_bias = other.take_in_order(_exact_key, _exact_torch_key)
    by_bias += other.take_out_of_order(_exact_key, _exact_torch_key)
    by_bias += other.take_in_order(coarse_key, coarse_torch_key)
    by_bias += other.take_out_of_order(coarse_key, coarse_torch_key)
    if sum(map(_has_odd_bias, by_bias)) >= sum(map(_has_odd_bias, pairs)):
        return pairs
    rest.left, rest.right = other.left, other.right
    return by_bias


def _has_odd_bias(pair: UnitPair) -> bool:
    return _has_bias(pair.tf) != _torch_has_bias(pair.torch)


class _Rest:
    """What has no counterpart yet."""

    def __init__(self, left: Sequence[TfUnit], right: Sequence[TorchUnit]) -> None:
        self.left = list(left)
        self.right = list(right)

    def take_branches(self, export: ExportView) -> list[UnitPair]:
        """Pair the branches whose names say which is which, where they run side by side."""
        have_no_order = partial(_are_branches, export, self.left)
        lefts, rights = self._elements(_exact_key, _exact_torch_key)
        found = match_by_name(lefts, rights, have_no_order)
        return self._taken([Match(i, j, 0.0) for i, j in found], lefts, moved=True)

    def take_in_order(self, tf_key: _TfKey, torch_key: _TorchKey) -> list[UnitPair]:
        """Pair what has equal keys, in order."""
        lefts, rights = self._elements(tf_key, torch_key)
        return self._taken(align_with_margins(lefts, rights), lefts, moved=False)

    def take_out_of_order(self, tf_key: _TfKey, torch_key: _TorchKey) -> list[UnitPair]:
        """Pair what has equal keys, in any order."""
        lefts, rights = self._elements(tf_key, torch_key)
        found = match_out_of_order(lefts, rights)
        return self._taken([Match(i, j, 0.0) for i, j in found], lefts, moved=True)

    def _elements(
        self, tf_key: _TfKey, torch_key: _TorchKey
    ) -> tuple[list[Element], list[Element]]:
        return (
            [Element(tf_key(u), u.layer.name, _has_bias(u)) for u in self.left],
            [Element(torch_key(u), u.path, _torch_has_bias(u)) for u in self.right],
        )

    def _taken(
        self, found: Sequence[Match], lefts: Sequence[Element], *, moved: bool
    ) -> list[UnitPair]:
        pairs = [
            UnitPair(
                self.left[m.left], self.right[m.right], lefts[m.left].key, moved, margin=m.margin
            )
            for m in found
        ]
        own, other = {m.left for m in found}, {m.right for m in found}
        self.left = [unit for i, unit in enumerate(self.left) if i not in own]
        self.right = [unit for j, unit in enumerate(self.right) if j not in other]
        return pairs


def _are_branches(export: ExportView, units: Sequence[TfUnit], members: Sequence[int]) -> bool:
    applied = (index for member in members for index in units[member].applications)
    return run_side_by_side(export, [export.layers[index] for index in applied])


def _alternatives(export: ExportView, units: Sequence[TfUnit]) -> list[list[TfUnit]]:
    """Return the units with their kinds replaced: by the first other one, by the second.

    Another kind may be what was not guessed, or compute the same.
    """
    choices = [[u, *other_kinds(export, u), *equal_kinds(export, u)] for u in units]
    most = max((len(choice) for choice in choices), default=1)
    return [[choice[min(n, len(choice) - 1)] for choice in choices] for n in range(1, most)]


def coarse_key(unit: TfUnit) -> Hashable:
    """Return what a unit has in common with its counterpart: kind and shape, not the bias."""
    if unit.refusals:
        shapes = {role: unit.layer.variables[role] for role in unit.refusals}
        return "without a rule", tuple(sorted(shapes.items()))
    key = unit_key(unit.kind, unit.shapes, unit.groups)
    return ("reverse", key) if unit.is_reverse else key


def coarse_torch_key(unit: TorchUnit) -> Hashable:
    """Return the same of a torch unit."""
    shapes = {name: tensor.shape for name, tensor in unit.tensors.items()}
    if unit.kind == "batch_norm":
        shapes.pop("num_batches_tracked", None)
    key = unit_key(unit.kind or OTHER, shapes, unit.groups)
    return ("reverse", key) if unit.is_reverse else key


def _exact_key(unit: TfUnit) -> Hashable:
    return coarse_key(unit), _has_bias(unit)


def _exact_torch_key(unit: TorchUnit) -> Hashable:
    return coarse_torch_key(unit), _torch_has_bias(unit)


def _has_bias(unit: TfUnit) -> bool:
    return "bias" in unit.shapes or unit.kind == "batch_norm"


def _torch_has_bias(unit: TorchUnit) -> bool:
    return "bias" in unit.tensors or unit.kind == "batch_norm"
