"""Stores a proven model in half precision, and measures what that costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stage_load.devices import full_precision
from stage_load.dtypes import DTYPES
from stage_load.errors import DtypeTooNarrow
from stage_load.export_reader import Export
from stage_load.feeding import Feed
from stage_load.model_writer import ModelWriter
from stage_load.outputs import compare_outputs
from stage_load.running import ModelRaised, foreign_code
from stage_load.tensors import FORMAT_DTYPES
from stage_load.trace import state_tensors

_STEPS = 16
"""How many roundings of the dtype the outputs may lie apart before a warning is due."""


def rounding(model: nn.Module, name: str) -> dict[str, Any]:
    """Return which weight changes most when it is rounded, and by how much.

    Raises:
        DtypeTooNarrow: weights would become infinite; names them.
    """
    worst: tuple[float, str | None] = 0.0, None
    too_large: list[str] = []
    for tensor_name, tensor in state_tensors(model).items():
        if tensor.is_floating_point() and tensor.numel():
            values = tensor.detach()
            rounded = values.to(DTYPES[name]).to(values.dtype)
            if bool((values.isfinite() & ~rounded.isfinite()).any()):
                too_large.append(tensor_name)
            change = float((values - rounded).nan_to_num(0.0, 0.0, 0.0).abs().max())
            worst = max(worst, (change, tensor_name), key=lambda found: found[0])
    if too_large:
        raise DtypeTooNarrow(
            f"{len(too_large)} tensors hold numbers that {name} cannot: "
            f"{', '.join(sorted(too_large)[:5])}.",
            f"Expected magnitudes of at most {torch.finfo(DTYPES[name]).max:g}.",
            "Use --dtype bfloat16, which has float32's range, or leave --dtype out.",
        )
    return {"name": name, "max_abs_rounding": worst[0], "tensor": worst[1]}


def write_model(model: nn.Module, path: Path) -> None:
    """Write the state dict of a model as it is.

    Raises:
        DiskFull, OutputNotWritable: as ``ModelWriter``.
    """
    tensors = state_tensors(model)
    layout = [(n, FORMAT_DTYPES[t.dtype], tuple(t.shape)) for n, t in tensors.items()]
    with ModelWriter(path, layout) as writer:
        for name, tensor in tensors.items():
            writer.add((name,), tensor)


def compared_again(export: Export, model: nn.Module, feed: Feed, name: str) -> dict[str, Any]:
    """Run the model in its new dtype and compare its outputs with TensorFlow's.

    Returns:
        The tolerance, the largest difference of an output relative to its scale, whether all lie
        within, or the reason why nothing was compared.
    """
    inputs = feed.reference_inputs(export, model)
    tolerance = _STEPS * torch.finfo(DTYPES[name]).eps
    found: dict[str, Any] = {
        "tolerance": tolerance,
        "max_rel": None,
        "agrees": None,
        "reason": None,
    }
    if inputs is None or export.reference is None:
        return {**found, "reason": "the export has no reference run"}
    with full_precision(), torch.inference_mode():
        try:
            with foreign_code():
                result = model(*(_carried(value, name) for value in inputs))
        except ModelRaised as error:
            return {**found, "reason": f"the model does not run in {name}: {error}"}
        outputs, _ = compare_outputs(export, export.reference, model, result, tolerance)
    differences = [o.comparison.max_rel for o in outputs if o.comparison.max_rel is not None]
    if not outputs:
        return {**found, "reason": "no output could be compared"}
    agrees = all(output.comparison.agrees for output in outputs)
    return {**found, "max_rel": max(differences, default=None), "agrees": agrees}


def _carried(value: Tensor, name: str) -> Tensor:
    return value.to(DTYPES[name]) if value.is_floating_point() else value
