"""What a result is made from and how, as its manifest records it: equal requests, equal results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestration.manifest import sha256_of
from orchestration.own_code import code_sha256
from orchestration.settings import LoadOptions


def convert_request(
    export_key: str, load: LoadOptions, device: str, loader: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything that the result of a whole conversion depends on, apart from file contents.

    Args:
        export_key: see `export_reuse.export_key`.
        load: what stage 2 is asked for.
        device: that it is to use.
        loader: identity of stage 2.
    """
    return {
        "command": "convert",
        "export_key": export_key,
        "load": load_request(load, device, loader),
    }


def load_request(load: LoadOptions, device: str, loader: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that stage 2's result depends on, apart from the export."""
    return {
        "model": load.model,
        "model_args": dict(load.model_args),
        "model_file_sha256": code_sha256(load.model, load.model_folder),
        "map_sha256": None if load.map is None else sha256_of(load.map),
        "tolerance": load.tolerance,
        "prove": load.prove,
        **load.transfer.to_job(),
        "device": device,
        "loader": dict(loader),
    }
