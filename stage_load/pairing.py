"""Pairs TensorFlow's units with torch's: by kind and shape, in order; names break ties only."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from stage_load.align import Element, Pair, align, match_by_name, match_out_of_order
from stage_load.branches import run_side_by_side
from stage_load.export_view import ExportView
from stage_load.tf_units import OTHER, TfUnit, other_kinds
from stage_load.torch_units import TorchUnit, unit_key

Matcher = Callable[[Sequence[Element], Sequence[Element]], list[Pair]]


@dataclass(frozen=True, slots=True)
class UnitPair:
    """Two counterparts; ``moved`` when they stand in another order than their neighbours."""

    tf: TfUnit
    torch: TorchUnit
    moved: bool


def pair_units(
    export: ExportView,
    left: Sequence[TfUnit],
    right: Sequence[TorchUnit],
    fixed: Mapping[int, int],
) -> list[UnitPair]:
    """Pair the units of both sides.

    First branches side by side whose names say which is which; then in order with equal kind, shape
    and bias; then the same out of order (branches may run in another order); then again without
    regard to the bias, and at last by kind alone, so that a wrong shape is reported as one and not
    as two tensors that have no counterpart. What a graph did not tell may also be of another kind.

    Args:
        export: the graph.
        left: TensorFlow's units in forward order.
        right: torch's units in the order in which they run.
        fixed: pairs that somebody has named: index in ``left`` -> index in ``right``.
    """
    pairs = [UnitPair(left[i], right[j], moved=False) for i, j in fixed.items()]
    named = set(fixed.values())
    rest = _Rest(
        [unit for i, unit in enumerate(left) if i not in fixed],
        [unit for j, unit in enumerate(right) if j not in named],
    )
    branches = partial(match_by_name, have_no_order=partial(_are_branches, export, rest.left))
    pairs += rest.take(branches, _exact, _exact_torch, moved=True)
    for tf_key, torch_key in ((_exact, _exact_torch), (_coarse, _coarse_torch)):
        pairs += rest.take(align, tf_key, torch_key, moved=False)
        pairs += rest.take(match_out_of_order, tf_key, torch_key, moved=True)
        original = {unit.layer.index: unit for unit in rest.left}
        for kinds in _alternatives(export, rest.left):
            waiting = rest.waiting()
            rest.left = [unit for unit in kinds if unit.layer.index in waiting]
            pairs += rest.take(align, tf_key, torch_key, moved=False)
            pairs += rest.take(match_out_of_order, tf_key, torch_key, moved=True)
        rest.left = [original[unit.layer.index] for unit in rest.left]
    pairs += rest.take(align, lambda unit: unit.kind, lambda unit: unit.kind, moved=False)
    return pairs


class _Rest:
    """What has no counterpart yet."""

    def __init__(self, left: list[TfUnit], right: list[TorchUnit]) -> None:
        self.left = left
        self.right = right

    def waiting(self) -> frozenset[int]:
        """Return the layers that are still without a counterpart, by index."""
        return frozenset(unit.layer.index for unit in self.left)

    def take(
        self,
        matcher: Matcher,
        tf_key: Callable[[TfUnit], Hashable],
        torch_key: Callable[[TorchUnit], Hashable],
        *,
        moved: bool,
    ) -> list[UnitPair]:
        """Pair what matches by these keys, and forget it."""
        if not self.left or not self.right:
            return []
        found = matcher(
            [Element(tf_key(unit), unit.layer.name) for unit in self.left],
            [Element(torch_key(unit), unit.path) for unit in self.right],
        )
        pairs = [UnitPair(self.left[i], self.right[j], moved) for i, j in found]
        lefts, rights = {i for i, _ in found}, {j for _, j in found}
        self.left = [unit for i, unit in enumerate(self.left) if i not in lefts]
        self.right = [unit for j, unit in enumerate(self.right) if j not in rights]
        return pairs


def _are_branches(export: ExportView, units: Sequence[TfUnit], members: Sequence[int]) -> bool:
    applied = (index for member in members for index in units[member].applications)
    return run_side_by_side(export, [export.layers[index] for index in applied])


def _alternatives(export: ExportView, units: Sequence[TfUnit]) -> list[list[TfUnit]]:
    """Return the units with their guessed kinds replaced: by the first other one, the second."""
    choices = [[unit, *other_kinds(export, unit)] for unit in units]
    most = max((len(choice) for choice in choices), default=1)
    return [[choice[min(n, len(choice) - 1)] for choice in choices] for n in range(1, most)]


def _coarse(unit: TfUnit) -> Hashable:
    if unit.refusals:
        shapes = {role: unit.layer.variables[role] for role in unit.refusals}
        return "without a rule", tuple(sorted(shapes.items()))
    return unit_key(unit.kind, unit.shapes)


def _exact(unit: TfUnit) -> Hashable:
    return _coarse(unit), "bias" in unit.shapes or unit.kind == "batch_norm"


def _coarse_torch(unit: TorchUnit) -> Hashable:
    shapes = {name: tensor.shape for name, tensor in unit.tensors.items()}
    if unit.kind == "batch_norm":
        shapes.pop("num_batches_tracked", None)
    return unit_key(unit.kind or OTHER, shapes)


def _exact_torch(unit: TorchUnit) -> Hashable:
    return _coarse_torch(unit), "bias" in unit.tensors or unit.kind == "batch_norm"
