"""What a mapping file holds beyond the plan: all variables, and what somebody must decide.

In the mapping of a job that was refused, a line that is open has the rule ``?``, which no mapping
file may hold: none can be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator

from stage_load.export_view import ExportView
from stage_load.layouts.rule import Skip, Undecided
from stage_load.mapping import FROM_UNREAD, PROPOSED, Row
from stage_load.plan import Plan
from stage_load.torch_units import TorchModel


def proposed_rows(export: ExportView, model: TorchModel, plan: Plan) -> tuple[Row, ...]:
    """Return the plan's rows, the tensors that nothing fills, the variables without a place."""
    return (*plan.rows, *_unfilled(model, plan), *_unplaced(export, plan))


def complete_rows(export: ExportView, plan: Plan) -> tuple[Row, ...]:
    """Return the plan's rows, and the variables that nothing reads: they may be put somewhere."""
    variables = (export.variables[name] for name in plan.unread)
    left_out = [row for row in plan.rows if row.torch_name is None]
    left_out += [Row(v.name, None, Skip(), v.shape, None, FROM_UNREAD) for v in variables]
    filled = (row for row in plan.rows if row.torch_name is not None)
    return (*filled, *sorted(left_out, key=lambda row: str(row.tf_name)))


def _unfilled(model: TorchModel, plan: Plan) -> Iterator[Row]:
    filled = {row.torch_name for row in plan.rows}
    for name, tensor in model.tensors.items():
        if name not in filled:
            yield Row(None, name, Undecided(), None, tensor.shape, PROPOSED)


def _unplaced(export: ExportView, plan: Plan) -> Iterator[Row]:
    placed = {name for row in plan.rows for name in row.variables}
    for name, variable in export.variables.items():
        if variable.layers and name not in placed:
            yield Row(name, None, Undecided(), variable.shape, None, PROPOSED)
