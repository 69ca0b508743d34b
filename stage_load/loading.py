"""Loads a checked plan into a model and writes the model's file beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from stage_load.layouts.rule import Rule
from stage_load.mapping import Row
from stage_load.model_writer import ModelWriter
from stage_load.plan import Plan
from stage_load.safetensors_reader import SafetensorsReader
from stage_load.tensors import FORMAT_DTYPES, fill_tensors, set_module_values
from stage_load.trace import state_tensors

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class NonFinite:
    """A tensor with NaN or infinite elements, as the checkpoint has them."""

    tf_name: str | None
    torch_name: str
    count: int


def load_plan(
    model: nn.Module,
    plan: Plan,
    aliases: Mapping[str, str],
    reader: SafetensorsReader,
    path: Path,
    progress: Progress,
) -> tuple[NonFinite, ...]:
    """Fill a model as planned, write its state dict to ``path``, return what is not finite.

    Args:
        model: built, its parameters empty.
        plan: checked.
        aliases: other names of tied tensors -> the first name.
        reader: the variables.
        path: of the model's file.
        progress: called with (filled, all) tensors.

    Raises:
        ExportDamaged: a variable cannot be read.
        DiskFull: there is no room for the model's file.
    """
    targets = state_tensors(model)
    names = _Names(aliases)
    total = len({row.torch_name for row in plan.rows if row.torch_name is not None})
    filled = 0

    def fill(row: Row, tensor: Tensor) -> None:
        nonlocal filled
        filled += 1
        writer.add(names.of(row), tensor)
        progress(filled, total)

    with ModelWriter(path, _layout(plan, names, targets, reader)) as writer:
        fill_tensors(targets, plan.rows, reader, fill)
    set_module_values(model, plan.settings)
    origin = {row.torch_name: row.tf_name for row in plan.rows}
    return tuple(
        NonFinite(origin[name], name, count) for name, count in sorted(writer.non_finite.items())
    )


class _Names:
    """All names of a row's tensor: its own, and those of tensors tied to it."""

    def __init__(self, aliases: Mapping[str, str]) -> None:
        self._others: dict[str, list[str]] = {}
        for alias, first in aliases.items():
            self._others.setdefault(first, []).append(alias)

    def of(self, row: Row) -> tuple[str, ...]:
        name = row.torch_name or ""
        return (name, *self._others.get(name, ()))


def _layout(
    plan: Plan, names: _Names, targets: Mapping[str, Tensor], reader: SafetensorsReader
) -> list[tuple[str, str, tuple[int, ...]]]:
    """Return name, dtype and shape of every tensor of the file, tied ones under each name."""
    rows: dict[str, Row] = {}
    for row in plan.rows:
        # Of several parts, one that a variable fills: it decides the dtype.
        if row.torch_name is not None and (row.torch_name not in rows or row.tf_name is not None):
            rows[row.torch_name] = row
    return [
        (name, _dtype(row, targets, reader), row.torch_shape or ())
        for row in rows.values()
        for name in names.of(row)
    ]


def _dtype(row: Row, targets: Mapping[str, Tensor], reader: SafetensorsReader) -> str:
    """Return the dtype that a tensor has once it is filled, as the file format calls it."""
    if row.tf_name is not None and isinstance(row.rule, Rule):
        return reader.entries[row.tf_name].dtype
    return FORMAT_DTYPES[targets[row.torch_name or ""].dtype]
