"""Loads a checked plan into a model and writes the model's file beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from stage_load.layouts.rule import Rule
from stage_load.mapping import Row
from stage_load.model_writer import ModelWriter, rows_with_names
from stage_load.plan import Plan
from stage_load.safetensors_reader import SafetensorsReader
from stage_load.tensors import TORCH_DTYPES, fill_tensors, set_module_values

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
    """Fill a model as planned and write its state dict to ``path``.

    Args:
        model: built, its parameters empty.
        plan: checked.
        aliases: other names of tied tensors -> the first name.
        reader: the variables.
        path: of the model's file.
        progress: called with (filled, all) tensors.

    Returns:
        The tensors that have elements which are NaN or infinite.

    Raises:
        ExportDamaged: a variable cannot be read.
        DiskFull: there is no room for the model's file.
    """
    targets = dict(state_tensors(model))
    names = rows_with_names(plan.rows, aliases)
    filled = 0

    def fill(row: Row, tensor: Tensor) -> None:
        nonlocal filled
        filled += 1
        writer.add(names[row.torch_name or ""], tensor)
        progress(filled, len(names))

    dtypes = {row.torch_name: _dtype(row, targets, reader) for row in plan.rows if row.torch_name}
    layout = {
        name: (dtypes[first], targets[first].shape) for first in names for name in names[first]
    }
    with ModelWriter(path, layout) as writer:
        fill_tensors(targets, plan.rows, reader, fill)
    set_module_values(model, plan.settings)
    origin = {row.torch_name: row.tf_name for row in plan.rows}
    return tuple(
        NonFinite(origin[name], name, count) for name, count in sorted(writer.non_finite.items())
    )


def state_tensors(model: nn.Module) -> Mapping[str, Tensor]:
    """Return the model's own tensors by name; unlike ``state_dict``, not views of them."""
    return model.state_dict(keep_vars=True)


def _dtype(row: Row, targets: Mapping[str, Tensor], reader: SafetensorsReader) -> torch.dtype:
    """Return the dtype that a tensor has once it is filled."""
    if row.tf_name is not None and isinstance(row.rule, Rule):
        return TORCH_DTYPES[reader.entries[row.tf_name].dtype]
    return targets[row.torch_name or ""].dtype
