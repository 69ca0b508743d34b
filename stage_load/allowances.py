"""What a user lets a plan do without: values of tensors, places of variables, equal sizes.

A tensor that nothing fills keeps what its module's constructor gives it (the rule ``kept``). Of a
tensor named by ``--adapt``, input channels are fitted; where the number of classes differs, it and
what else of its module has another size are left as the constructor makes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from stage_load.export_view import ExportView
from stage_load.layouts.adapted import differing_axes, input_channels
from stage_load.layouts.rule import Kept, Rule, RuleError, Skip
from stage_load.mapping import FROM_ADAPTED, FROM_ALLOWED, Row
from stage_load.patterns import Patterns
from stage_load.plan import Plan
from stage_load.torch_units import TorchModel, TorchTensor

_CLASS_AXES = ("O", "C")


@dataclass(frozen=True)
class Allowances:
    """The user's patterns: for tensors, for variables, for tensors of other sizes."""

    missing: Patterns
    unused: Patterns
    adapt: Patterns

    def check(self, export: ExportView, model: TorchModel) -> None:
        """Check that each pattern names something.

        Raises:
            PatternInvalid: one names nothing.
        """
        tensors = (*model.tensors, *model.aliases)
        self.missing.matching(tensors, "tensor of the model")
        self.adapt.matching(tensors, "tensor of the model")
        self.unused.matching(export.variables, "variable")

    def apply(self, export: ExportView, model: TorchModel, plan: Plan) -> Plan:
        """Return the plan with what the user allows; everything else is left to be checked."""
        kept, left = self._adapted(model, plan), {}
        filled = {row.torch_name for row in (*plan.rows, *plan.conflicts)}
        for row in plan.rows:
            if row.tf_name and row.torch_name and self._lets_go(row):
                kept[row.torch_name] = _kept(model.tensors[row.torch_name], FROM_ALLOWED)
                left[row.tf_name] = _left(export, row.tf_name, FROM_ALLOWED)
        for name, tensor in model.tensors.items():
            if name not in filled and self.missing.match(name):
                kept[name] = _kept(tensor, FROM_ALLOWED)
        placed = {name for row in (*plan.rows, *plan.conflicts) for name in row.variables}
        for name, variable in export.variables.items():
            if variable.layers and name not in placed and self.unused.match(name):
                left[name] = _left(export, name, FROM_ALLOWED)
        for row in plan.rows:
            replacement = kept.get(row.torch_name or "")
            if row.tf_name and replacement is not None and replacement.tf_name is None:
                left.setdefault(row.tf_name, _left(export, row.tf_name, replacement.how))
        return self._with(model, plan, kept, left)

    def _with(
        self, model: TorchModel, plan: Plan, kept: dict[str, Row], left: dict[str, Row]
    ) -> Plan:
        before = [row for row in plan.rows if row.torch_name and row.torch_name not in kept]
        place = {name: number for number, name in enumerate(model.tensors)}
        rows = sorted((*before, *kept.values()), key=lambda row: place[str(row.torch_name)])
        used = {name for row in rows for name in row.variables}
        left = {name: row for name, row in left.items() if name not in used}
        skipped = [row for row in plan.rows if row.torch_name is None] + list(left.values())
        gone = {name for name, row in kept.items() if row.tf_name is None}
        paths = {
            unit.path for unit in model.units if gone & {t.name for t in unit.tensors.values()}
        }
        filled = {row.torch_name for row in rows if row.tf_name is not None}
        emptied = {
            unit.path
            for unit in model.units
            if unit.path in paths and not filled & {t.name for t in unit.tensors.values()}
        }
        return replace(
            plan,
            rows=(
                *rows,
                *sorted(skipped, key=lambda row: str(row.tf_name)),
            ),
            refusals={name: why for name, why in plan.refusals.items() if name not in left},
            places=tuple(place for place in plan.places if place.module not in paths),
            pairs=tuple(pair for pair in plan.pairs if pair.torch.path not in paths),
            open_places=tuple(place for place in plan.open_places if place.module not in emptied),
            warnings=(*plan.warnings, *self._warnings(kept.values(), left)),
        )

    def _adapted(self, model: TorchModel, plan: Plan) -> dict[str, Row]:
        """Return torch name -> the row of what --adapt names and fits, and of what goes with it."""
        found: dict[str, Row] = {}
        owners = {t.name: unit for unit in model.units for t in unit.tensors.values()}
        misshapen = {row.torch_name: row for row in plan.rows if _differing(row)}
        for name, row in misshapen.items():
            if name is None or not self.adapt.match(name) or not isinstance(row.rule, Rule):
                continue
            fitted = _fitted(row)
            if fitted is not None:
                found[name] = fitted
            elif _differing(row) in ([axis] for axis in _CLASS_AXES):
                for tensor in owners[name].tensors.values():
                    other = misshapen.get(tensor.name)
                    if other is not None and _differing(other) in ([a] for a in _CLASS_AXES):
                        found[tensor.name] = _kept(tensor, FROM_ADAPTED)
        return found

    def _lets_go(self, row: Row) -> bool:
        """Whether a pair of different shapes may come apart: both of them are allowed to."""
        return (
            bool(_differing(row))
            and self.missing.match(str(row.torch_name))
            and self.unused.match(str(row.tf_name))
        )

    def _warnings(self, kept: Iterable[Row], left: Iterable[str]) -> list[str]:
        rows = list(kept)
        initial = [str(row.torch_name) for row in rows if row.tf_name is None]
        fitted = [f"{row.torch_name} ({row.rule})" for row in rows if row.tf_name is not None]
        unused = sorted(left)
        found = [
            _counted(initial, "tensor", "left as the constructor makes it"),
            _counted(fitted, "tensor", "fitted to other input channels"),
            _counted(unused, "variable", "left out, as allowed"),
        ]
        used = (
            (self.missing, initial),
            (self.unused, unused),
            (self.adapt, [str(row.torch_name) for row in rows]),
        )
        for patterns, names in used:
            found += [
                f"{patterns.option} {text!r} was not needed." for text in patterns.idle(names)
            ]
        return [text for text in found if text]


def _fitted(row: Row) -> Row | None:
    assert isinstance(row.rule, Rule)
    assert row.tf_shape is not None
    assert row.torch_shape is not None
    shape = row.rule.target_shape(row.tf_shape)
    rule = input_channels(row.rule, shape, row.torch_shape)
    return None if rule is None else replace(row, rule=rule, how=FROM_ADAPTED)


def _differing(row: Row) -> list[str]:
    """Return the axes in which a variable and its tensor differ; nothing where they fit."""
    if not isinstance(row.rule, Rule) or row.tf_shape is None or row.torch_shape is None:
        return []
    if row.rule.ranges or row.rule.added or row.rule.part.ranges:
        return []
    try:
        shape = row.rule.target_shape(row.tf_shape)
    except RuleError:
        return ["?"]
    return [] if shape == row.torch_shape else differing_axes(row.rule, shape, row.torch_shape)


def _kept(tensor: TorchTensor, how: str) -> Row:
    return Row(None, tensor.name, Kept(), None, tensor.shape, how)


def _left(export: ExportView, name: str, how: str) -> Row:
    return Row(name, None, Skip(), export.variables[name].shape, None, how)


def _counted(names: Sequence[str], noun: str, what: str) -> str:
    if not names:
        return ""
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'} {what}, first {names[0]!r}."
