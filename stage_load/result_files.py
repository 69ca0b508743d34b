"""The files of a result folder and what ``config.json`` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stage_load.axes import tf_axes, torch_axes
from stage_load.channels import IMAGE_RANK, moves_channels
from stage_load.export_view import Endpoint, ExportView

FORMAT = "tf1-to-torch"
VERSION = 1

MODEL_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
MAPPING_FILE = "mapping.csv"
REPORT_FILE = "report.json"
PAGE_FILE = "report.html"
SOURCE_FOLDER = "model_source"

MODEL_METADATA: Mapping[str, str] = {"format": "pt"}
"""What the safetensors library and its users expect of a torch file; one key, so that equal
tensors give equal bytes."""


def config_document(
    *,
    name: str,
    config: Mapping[str, Any] | None,
    source: str | None,
    settings: Mapping[str, Mapping[str, float]],
    export: ExportView,
    keeps_axes: bool,
    verdict: str,
    transfer: Mapping[str, Any],
) -> dict[str, Any]:
    """Return ``config.json``: everything needed to build the module again and to use it.

    Args:
        name: the model's name.
        config: its configuration.
        source: file of a user's own model, below ``SOURCE_FOLDER``.
        settings: module path -> numbers to set on it.
        export: for inputs and outputs.
        keeps_axes: the model takes images as TensorFlow does; how it returns any is its own affair.
        verdict: what the proof found.
        transfer: what the result has besides the checkpoint's weights.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": {"name": name, "config": config, "source": source},
        "modules": {path: dict(values) for path, values in settings.items()},
        "inputs": [
            _endpoint(e, _axes(export, e, tf_axes if keeps_axes else torch_axes))
            for e in export.inputs
        ],
        "outputs": [
            _endpoint(e, None if keeps_axes else _axes(export, e, torch_axes))
            for e in export.outputs
        ],
        "verdict": verdict,
        "transfer": dict(transfer),
    }


def _axes(export: ExportView, endpoint: Endpoint, letters: Callable[[int], str]) -> str | None:
    """Return the axes of an image, and of what is moved as images are; None of anything else."""
    rank = len(endpoint.shape or ())
    has_channels = rank == IMAGE_RANK or moves_channels(export, endpoint.tensor, rank)
    return letters(rank) if has_channels else None


def _endpoint(endpoint: Endpoint, axes: str | None) -> dict[str, Any]:
    shape = endpoint.shape
    return {
        "tensor": endpoint.tensor,
        "dtype": endpoint.dtype,
        "tf_shape": None if shape is None else list(shape),
        "torch_axes": axes,
    }
