"""Checks a plan before anything is copied: one error lists everything that does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stage_load.errors import LayoutUnknown, TensorsDoNotFit
from stage_load.export_view import ExportView, Variable
from stage_load.layouts.rule import RuleError
from stage_load.mapping import Row
from stage_load.names import NameIndex
from stage_load.part_check import part_misfit, partly_filled, partly_used
from stage_load.plan import Plan
from stage_load.tf_units import rule_of
from stage_load.torch_units import TorchModel

Shape = tuple[int, ...]


WITHOUT_RULE = "without a layout rule"
MISSING = "missing in the checkpoint"


@dataclass(frozen=True, slots=True)
class Misfit:
    """One line of the error: a tensor's name and what is wrong with it."""

    name: str
    text: str


def check_plan(export: ExportView, model: TorchModel, plan: Plan) -> None:
    """Check that every torch tensor is filled, once and in its shape, and no variable is left over.

    Raises:
        LayoutUnknown: variables have no layout rule, and perhaps there is more.
        TensorsDoNotFit: tensors are missing, unexpected, misshapen or filled twice.
            Either error lists everything that does not fit.
    """
    groups = {
        WITHOUT_RULE: _without_rule(export, plan),
        MISSING: _missing(export, model, plan),
        "unexpected in the checkpoint": _unexpected(export, model, plan),
        "misshapen": [m for row in plan.rows if (m := _misshapen(row)) is not None],
        "claimed twice": [_conflict(row) for row in plan.conflicts],
        "filled in parts that do not add up": [Misfit(*f) for f in partly_filled(plan.rows)],
        "used in part": [Misfit(*found) for found in partly_used(plan.rows)],
    }
    if any(groups.values()):
        raise _error(groups, [str(entry["variable"]) for entry in export.missing])


def _error(
    groups: dict[str, list[Misfit]], unsaved: Sequence[str]
) -> TensorsDoNotFit | LayoutUnknown:
    counts = ", ".join(f"{len(misfits)} {title}" for title, misfits in groups.items() if misfits)
    lines = [f"The checkpoint does not fit the model: {counts}."]
    for title, misfits in groups.items():
        if misfits:
            lines.append(f"{title.capitalize()}:")
            lines += [f"  {misfit.name} {misfit.text}" for misfit in sorted(misfits, key=_by_name)]
    if unsaved and groups[MISSING]:
        lines.append(
            f"The checkpoint holds only a part of its own graph's variables; it lacks "
            f"{', '.join(map(repr, unsaved))}. --allow-missing leaves their tensors as initialised."
        )
    happened = "\n".join(lines)
    if groups[WITHOUT_RULE]:
        return LayoutUnknown(
            happened,
            "Expected operations whose layout is known.",
            "Give the rules in a mapping file (--map), such as 'HWIO->OIHW', or 'skip' there what "
            "the model does not need.",
        )
    return TensorsDoNotFit(
        happened,
        "Expected one variable for each tensor of the model, of the same shape.",
        "Choose or correct the model, or say what belongs together (--map, --rule), what may be "
        "absent (--allow-missing, --allow-unused) or has other channels or classes (--adapt).",
    )


def _by_name(misfit: Misfit) -> tuple[str, str]:
    return misfit.name, misfit.text


def _missing(export: ExportView, model: TorchModel, plan: Plan) -> list[Misfit]:
    filled = {row.torch_name for row in plan.rows}
    absent = [tensor for name, tensor in model.tensors.items() if name not in filled]
    if not absent:
        return []
    shapes = {name: _torch_shape(export, name) for name in _free_variables(export, plan)}
    nearest = _Nearest(shapes)
    return [Misfit(t.name, f"{list(t.shape)}{nearest.hint(t.name, t.shape)}") for t in absent]


def _unexpected(export: ExportView, model: TorchModel, plan: Plan) -> list[Misfit]:
    over = [v for v in _left_over(export, plan) if _torch_shape(export, v.name) is not None]
    if not over:
        return []
    filled = {row.torch_name for row in plan.rows}
    shapes: dict[str, Shape | None] = {
        name: tensor.shape for name, tensor in model.tensors.items() if name not in filled
    }
    nearest = _Nearest(shapes)
    return [
        Misfit(v.name, f"{list(v.shape)}{nearest.hint(v.name, _torch_shape(export, v.name))}")
        for v in over
    ]


def _without_rule(export: ExportView, plan: Plan) -> list[Misfit]:
    reasons = dict(plan.refusals)
    for variable in _left_over(export, plan):
        try:
            rule_of(export, variable).recipe(variable.shape)
        except RuleError as error:
            reasons.setdefault(variable.name, str(error))
    return [
        Misfit(name, f"{list(export.variables[name].shape)}: {reason}")
        for name, reason in reasons.items()
    ]


def _left_over(export: ExportView, plan: Plan) -> list[Variable]:
    """Return the variables that the graph reads and that have no place."""
    placed = {name for row in (*plan.rows, *plan.conflicts) for name in row.variables}
    placed |= set(plan.refusals)
    return [v for v in export.variables.values() if v.layers and v.name not in placed]


def _free_variables(export: ExportView, plan: Plan) -> list[str]:
    placed = {name for row in plan.rows for name in row.variables}
    return [name for name in export.variables if name not in placed]


def _torch_shape(export: ExportView, name: str) -> Shape | None:
    variable = export.variables[name]
    try:
        return rule_of(export, variable).target_shape(variable.shape)
    except RuleError:
        return None


def _misshapen(row: Row) -> Misfit | None:
    """Compare the shape that a row's rule gives with the tensor's, or with that of its part."""
    text = None if row.torch_name is None else part_misfit(row)
    return None if text is None else Misfit(str(row.torch_name), text)


def _conflict(row: Row) -> Misfit:
    return Misfit(str(row.torch_name), f"would be filled by {row.tf_name} as well")


class _Nearest:
    """Names the tensors of the other side that come closest: first of equal shape, then by name."""

    def __init__(self, shapes: dict[str, Shape | None]) -> None:
        self._shapes = shapes
        self._all = NameIndex(shapes)
        self._count = Counter(shapes.values())
        self._by_shape: dict[Shape, NameIndex] = {}

    def hint(self, name: str, shape: Shape | None) -> str:
        """Return ``"; nearest: …"``, or what is to be said when nothing is near."""
        found: Sequence[str] = ()
        if shape is not None and self._count[shape]:
            found = self._index(shape).nearest(name) or self._first_of(shape)
        found = found or self._all.nearest(name)
        if not found:
            return "; nothing on the other side is like it"
        return "; nearest: " + ", ".join(f"{other} {self._text(other)}" for other in found)

    def _text(self, name: str) -> str:
        shape = self._shapes[name]
        return "of unknown layout" if shape is None else str(list(shape))

    def _index(self, shape: Shape) -> NameIndex:
        if shape not in self._by_shape:
            self._by_shape[shape] = NameIndex(self._of(shape))
        return self._by_shape[shape]

    def _first_of(self, shape: Shape) -> Sequence[str]:
        return [name for name, _ in zip(self._of(shape), range(3), strict=False)]

    def _of(self, shape: Shape) -> Iterable[str]:
        return (name for name, other in self._shapes.items() if other == shape)
