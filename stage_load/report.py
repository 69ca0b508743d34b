"""Puts together ``report.json``: what was loaded, what was proven, what was left out and why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from stage_load.comparison import Comparison
from stage_load.export_view import Endpoint, ExportView
from stage_load.loading import NonFinite
from stage_load.mapping import FROM_ADAPTED, FROM_ALLOWED
from stage_load.plan import Plan
from stage_load.verdict import LayerParity, OutputParity, Parity

FORMAT = "tf1-to-torch-report"
VERSION = 1

_LEFT_OUT = {
    FROM_ALLOWED: "left out, as --allow-unused has it",
    FROM_ADAPTED: "the model has another number of classes (--adapt)",
}


@dataclass(frozen=True)
class ReportInput:
    """What the report is made of."""

    export: ExportView
    plan: Plan
    parity: Parity
    model_name: str
    model_config: Any
    parameters: int
    device: str
    device_note: str | None
    non_finite: Sequence[NonFinite]
    warnings: Sequence[str]
    transfer: Mapping[str, Any]


def report_document(report: ReportInput) -> dict[str, Any]:
    """Return ``report.json``. Numbers that are NaN or infinite are written as texts."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "verdict": report.parity.verdict,
        "reason": report.parity.explained_reason,
        "model": {"name": report.model_name, "config": report.model_config},
        "device": {"name": report.device, "note": report.device_note},
        "coverage": _coverage(report),
        "parity": parity_document(report.parity),
        "non_finite_weights": non_finite_documents(report.non_finite),
        "batch_norm": {path: dict(values) for path, values in report.plan.settings.items()},
        "skipped": _skipped(report),
        "transfer": dict(report.transfer),
        "provenance": _provenance(report.export),
        "warnings": list(report.warnings),
    }


def parity_summary(parity: Parity) -> dict[str, Any]:
    """Return the proof in a few numbers: the worst of everything that was compared."""
    compared: list[LayerParity | OutputParity] = [*parity.layers, *parity.outputs]
    measured = [e for e in compared if e.comparison.max_rel is not None]
    worst = max(measured, key=lambda e: e.comparison.max_rel or 0.0, default=None)
    first = parity.first_differing_layer
    cosines = [e.comparison.cosine for e in measured if e.comparison.cosine is not None]
    return {
        "tolerance": parity.tolerance,
        "compared_layers": len(parity.layers),
        "compared_outputs": len(parity.outputs),
        "not_compared": len(parity.not_compared),
        "worst": None if worst is None else worst.tensor,
        "max_abs": None if worst is None else worst.comparison.max_abs,
        "max_rel": None if worst is None else worst.comparison.max_rel,
        "cosine": min(cosines, default=None),
        "first_differing_layer": None if first is None else _layer_name(first),
    }


def parity_document(parity: Parity) -> dict[str, Any]:
    """Return the proof in full."""
    return {
        **parity_summary(parity),
        "layers": [
            {**_layer_name(layer), "call": layer.call, **_comparison(layer.comparison)}
            for layer in parity.layers
        ],
        "outputs": [
            {"tensor": output.tensor, **_comparison(output.comparison)} for output in parity.outputs
        ],
        "left_out": [
            {"layer": left.layer, "name": left.name, "reason": left.reason}
            for left in parity.not_compared
        ],
        "reason": parity.reason,
        "causes": [asdict(cause) for cause in parity.causes],
        "traceback": list(parity.traceback),
    }


def non_finite_documents(found: Sequence[NonFinite]) -> list[dict[str, Any]]:
    """Return the weights with NaN or infinite elements."""
    return [
        {"tf_name": entry.tf_name, "torch_name": entry.torch_name, "count": entry.count}
        for entry in found
    ]


def json_number(value: float | None) -> float | str | None:
    """Return a number as JSON can hold it."""
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _layer_name(layer: LayerParity) -> dict[str, Any]:
    return {
        "layer": layer.layer,
        "name": layer.name,
        "tensor": layer.tensor,
        "module": layer.module,
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "verdict": comparison.verdict,
        "reason": comparison.reason,
        "max_abs": json_number(comparison.max_abs),
        "max_rel_to_scale": json_number(comparison.max_rel),
        "scale": json_number(comparison.scale),
        "cosine": json_number(comparison.cosine),
        "worst_index": None if comparison.index is None else list(comparison.index),
        "expected": json_number(comparison.expected),
        "actual": json_number(comparison.actual),
        "non_finite": comparison.non_finite,
    }


def _coverage(report: ReportInput) -> dict[str, Any]:
    rows = report.plan.rows
    return {
        "variables": len(report.export.variables),
        "variables_loaded": len({v for row in rows if row.torch_name for v in row.variables}),
        "torch_tensors": len({row.torch_name for row in rows if row.torch_name is not None}),
        "parameters": report.parameters,
        "by": dict(sorted(Counter(row.how for row in rows).items())),
        "layers": len(report.export.layers),
        "layers_placed": len(report.plan.places),
    }


def _provenance(export: ExportView) -> dict[str, Any]:
    """Tell what the export was made from and what read it: nothing of time, host or path."""
    reference = export.reference
    return {
        "export": dict(export.provenance),
        "inputs": [_endpoint(endpoint) for endpoint in export.inputs],
        "outputs": [_endpoint(endpoint) for endpoint in export.outputs],
        "reference": {key: reference[key] for key in ("state", "reason", "seed", "feeds")},
        "switches": [dict(switch) for switch in export.switches],
        "versions": {"torch": str(torch.__version__), "numpy": np.__version__},
    }


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    shape = endpoint.shape
    return {
        "tensor": endpoint.tensor,
        "dtype": endpoint.dtype,
        "shape": None if shape is None else list(shape),
    }


def _skipped(report: ReportInput) -> list[dict[str, Any]]:
    """List what did not reach the model: left out by the export, by somebody's word, or unread."""
    variables = report.export.variables
    skipped = [row for row in report.plan.rows if row.torch_name is None and row.tf_name]
    names = [str(row.tf_name) for row in skipped if not variables[str(row.tf_name)].layers]
    left_out = [
        {"name": row.tf_name, "reason": _LEFT_OUT.get(row.how, f"left out by the {row.how}")}
        for row in skipped
        if row.tf_name not in names
    ]
    unread = [
        {"name": name, "reason": variables[name].reason or "no operation of the graph reads it"}
        for name in (*report.plan.unread, *names)
    ]
    exported = [
        {"name": entry["name"], "reason": entry["reason"]} for entry in report.export.skipped
    ]
    return sorted([*left_out, *unread, *exported], key=lambda entry: str(entry["name"]))
