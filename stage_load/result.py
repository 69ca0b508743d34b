"""Loads a result folder again: the only part of this package that its users call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stage_load.building import build
from stage_load.devices import choose_device
from stage_load.errors import ExportDamaged, ResultDamaged
from stage_load.layouts.rule import AS_IS
from stage_load.mapping import FROM_MODEL, Row
from stage_load.models.registry import PreparedModel, find_model
from stage_load.result_files import CONFIG_FILE, FORMAT, MODEL_FILE, SOURCE_FOLDER, VERSION
from stage_load.safetensors_reader import SafetensorsReader
from stage_load.tensors import fill_tensors, set_module_values
from stage_load.trace import state_tensors

if TYPE_CHECKING:
    import os

    from torch import nn

SUPPORTED_VERSIONS = (VERSION,)


def load_model(
    folder: str | os.PathLike[str], device: str = "cpu", *, trust_code: bool = False
) -> nn.Module:
    """Build the model of a result folder and load its weights.

    Needs neither TensorFlow nor the export. Images go in as [batch, channels, height, width].

    Args:
        folder: the result folder.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` ..., or ``"auto"``.
        trust_code: a model of your own (``file.py:Factory``) is Python code, of which the folder
            holds a copy. It is run only if this is true.

    Returns:
        The module on that device, in eval mode.

    Raises:
        ResultDamaged: a file is missing, cut short, or does not belong to the others.
        DeviceUnavailable: there is no such device.
        UnknownModel: this release does not know the model.
    """
    root = Path(folder)
    config = _read_config(root / CONFIG_FILE)
    prepared = _prepare(root, config["model"], trust_code=trust_code)
    model = build(prepared.build, choose_device(device).device)
    try:
        with SafetensorsReader(root / MODEL_FILE) as reader:
            _fill(model, reader)
    except ExportDamaged as error:
        raise ResultDamaged(
            error.happened, "Expected a complete result folder.", "Convert the checkpoint again."
        ) from error
    set_module_values(model, config["modules"])
    return model


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(f"{path} cannot be read: {error}.", "a result folder") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise _damaged(f"{path} is no configuration of a converted model.", f"format {FORMAT!r}")
    if values.get("version") not in SUPPORTED_VERSIONS:
        supported = ", ".join(map(str, SUPPORTED_VERSIONS))
        raise _damaged(f"{path} is of version {values.get('version')!r}.", f"version {supported}")
    return values


def _prepare(root: Path, model: Mapping[str, Any], *, trust_code: bool) -> PreparedModel:
    name, source = model["name"], model["source"]
    if ":" in name and not trust_code:
        raise _damaged(
            f"The model {name!r} is its owner's own Python code.",
            "load_model(folder, trust_code=True) if you trust that code",
        )
    if source is not None:
        # A name alone: whatever the file says, nothing outside the folder is run.
        name = f"{root / SOURCE_FOLDER / Path(source).name}:{name.rpartition(':')[2]}"
    return find_model(name).restore(model["config"])


def _fill(model: nn.Module, reader: SafetensorsReader) -> None:
    targets = state_tensors(model)
    if targets.keys() != reader.entries.keys():
        odd = min(targets.keys() ^ reader.entries.keys())
        where = "the model" if odd in targets else MODEL_FILE
        raise _damaged(f"Only {where} has a tensor {odd!r}.", "the same tensors in both")
    rows = []
    for name, entry in reader.entries.items():
        shape = tuple(targets[name].shape)
        if shape != entry.shape:
            raise _damaged(
                f"Tensor {name!r} is {list(entry.shape)} in {MODEL_FILE}, "
                f"{list(shape)} in the model.",
                "equal shapes",
            )
        rows.append(Row(name, name, AS_IS, shape, shape, FROM_MODEL))
    fill_tensors(targets, rows, reader, lambda row, tensor: None)


def _damaged(happened: str, expected: str) -> ResultDamaged:
    return ResultDamaged(
        happened, f"Expected {expected}.", "Use the folder as it was written, or convert again."
    )
