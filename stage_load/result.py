"""Loads a result folder again: the only part of this package that its users call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from stage_load.bag import find_bag
from stage_load.building import build
from stage_load.devices import choose_device
from stage_load.dtypes import DTYPES, cast
from stage_load.errors import ExportDamaged, ResultDamaged
from stage_load.layouts.rule import AS_IS
from stage_load.mapping import FROM_MODEL, Row
from stage_load.models.registry import PreparedModel, find_model
from stage_load.result_files import CONFIG_FILE, FORMAT, MODEL_FILE, SOURCE_FOLDER, VERSION
from stage_load.running import describe_failure
from stage_load.safetensors_reader import SafetensorsReader
from stage_load.strict_json import read_json
from stage_load.tensors import fill_tensors, set_module_values
from stage_load.trace import state_tensors

if TYPE_CHECKING:
    import os

    from torch import nn

SUPPORTED_VERSIONS = (VERSION,)
_SETTINGS = frozenset({"eps", "momentum"})

_CONFIGURATION_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    MemoryError,
)
"""What building a model raises on a configuration that somebody has changed."""


def load_model(
    folder: str | os.PathLike[str], device: str = "cpu", *, trust_code: bool = False
) -> nn.Module:
    """Build the model of a result folder, or of an archive, and load its weights.

    Needs neither TensorFlow nor the export. Images go in as [batch, channels, height, width], whole
    numbers as int64 (a model of your own takes what it was written for).

    Args:
        folder: the result folder; or an archive that is a folder (a bag), of which what is read is
            first compared with the bag's list of hashes.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` ..., or ``"auto"``.
        trust_code: a model of your own (``file.py:Factory``) is Python code, of which the folder
            holds a copy, or of a package that is installed. It is run only if this is true.

    Returns:
        The module on that device, in eval mode. Parameters that ``--freeze`` has named have
        ``requires_grad`` off.

    Raises:
        ResultDamaged: a file is missing, cut short, or does not belong to the others; of a bag, it
            is not as it was put away.
        DeviceUnavailable: there is no such device.
        UnknownModel: this release does not know the model.
    """
    root = _checked_root(Path(folder), trust_code=trust_code)
    config = _read_config(root / CONFIG_FILE)
    prepared = _prepare(root, config["model"], trust_code=trust_code)
    chosen = choose_device(device).device
    try:
        with SafetensorsReader(root / MODEL_FILE) as reader:
            model = _build(prepared, chosen, reader)
            _fill(model, reader)
    except ExportDamaged as error:
        raise ResultDamaged(
            error.happened, "Expected a complete result folder.", "Convert the checkpoint again."
        ) from error
    _set_values(model, config["modules"])
    _transfer(model, config.get("transfer", {}))
    return model


def _checked_root(folder: Path, *, trust_code: bool) -> Path:
    """Return the result folder; one in a bag once all that is read of it was compared."""
    bag = find_bag(folder)
    if bag is None:
        return folder
    for name in (CONFIG_FILE, MODEL_FILE):
        bag.check_file(name)
    if trust_code:
        bag.check_folder(SOURCE_FOLDER)
    return bag.result


def _transfer(model: nn.Module, transfer: Any) -> None:
    """Give the model the recorded dtype, and do not train what is recorded as frozen."""
    if not _is_transfer(transfer):
        raise _damaged(
            f"{CONFIG_FILE} has a dtype or frozen tensors that cannot be read.",
            f"one of {[*DTYPES]}, and a list of names",
        )
    dtype, frozen = transfer.get("dtype"), transfer.get("frozen", [])
    if dtype is not None:
        # Buffers outside the state dict, too: a sum of both would be float32 again.
        cast(model, dtype["name"])
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name in frozen:
        if name not in parameters:
            raise _damaged(
                f"{CONFIG_FILE} freezes {name!r}, which the model lacks.", "names of its parameters"
            )
        parameters[name].requires_grad_(False)


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        values = read_json(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ResultDamaged(
            f"There is no {path}.",
            "Expected a result folder, or an archive (a bag) that is a folder.",
            "Look at the path; `orchestrate.py load` makes a result of an export.",
        ) from error
    except (OSError, ValueError) as error:
        raise _damaged(f"{path} cannot be read: {error}.", "a result folder") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise _damaged(f"{path} is no configuration of a converted model.", f"format {FORMAT!r}")
    if isinstance(values.get("version"), bool) or values.get("version") not in SUPPORTED_VERSIONS:
        supported = ", ".join(map(str, SUPPORTED_VERSIONS))
        raise _damaged(f"{path} is of version {values.get('version')!r}.", f"version {supported}")
    model, modules = values.get("model"), values.get("modules")
    if not _is_model(model) or not _is_settings(modules):
        raise _damaged(
            f"{path} does not say which model it is, or what to set on its modules.",
            "a model with name, config and source, and numbers by module",
        )
    return values


def _is_model(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("name"), str)
        and isinstance(value.get("source"), str | None)
        and isinstance(value.get("config"), dict | None)
    )


def _is_transfer(value: Any) -> bool:
    """Whether a value has what is read of a transfer: a dtype or none, names of tensors."""
    if not isinstance(value, dict):
        return False
    dtype, frozen = value.get("dtype"), value.get("frozen", [])
    return (dtype is None or (isinstance(dtype, dict) and dtype.get("name") in [*DTYPES])) and (
        isinstance(frozen, list) and all(isinstance(name, str) for name in frozen)
    )


def _is_settings(value: Any) -> bool:
    """Whether a value is module path -> ``eps`` and ``momentum``, nothing else."""
    return isinstance(value, dict) and all(
        isinstance(numbers, dict)
        and numbers.keys() <= _SETTINGS
        and all(isinstance(number, float | int) for number in numbers.values())
        for numbers in value.values()
    )


def _prepare(root: Path, model: Mapping[str, Any], *, trust_code: bool) -> PreparedModel:
    name, source, config = model["name"], model.get("source"), model.get("config")
    # Both lead to code: a source is run whatever the name looks like.
    if (":" in name or source is not None) and not trust_code:
        raise ResultDamaged(
            f"The model {name!r} is its owner's own Python code.",
            "Expected load_model(folder, trust_code=True) if you trust that code.",
            f"Read it first, in {root / SOURCE_FOLDER}."
            if source is not None
            else "It is a package's that is installed here.",
        )
    folder = None if source is None else root / SOURCE_FOLDER
    place, _, factory = name.rpartition(":")
    if source is not None and folder is not None and (place.endswith(".py") or not place):
        # A name alone: whatever the file says, nothing outside the folder is run.
        name = f"{folder / Path(source).name}:{factory}"
    found = find_model(name, folder)
    with _reading_configuration(name):
        return found.restore(config)


@contextmanager
def _reading_configuration(name: str) -> Iterator[None]:
    """Turn what a changed configuration leads to into an error for people."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except _CONFIGURATION_ERRORS as error:
        raise _damaged(
            f"The configuration of the model {name!r} cannot be used: {describe_failure(error)}.",
            "the configuration as it was written",
        ) from error


def _set_values(model: nn.Module, settings: Mapping[str, Mapping[str, float]]) -> None:
    try:
        set_module_values(model, settings)
    except AttributeError as error:
        raise _damaged(
            f"{CONFIG_FILE} sets values on a module that the model lacks: {error}.",
            "the modules of the model",
        ) from error


def _build(prepared: PreparedModel, device: torch.device, reader: SafetensorsReader) -> nn.Module:
    """Build the module; one of the registry only where the file holds what it asks memory for."""
    with _reading_configuration(prepared.name):
        if prepared.is_registered:
            with torch.device("meta"):
                sketch = prepared.build()
            _check_tensors(state_tensors(sketch), reader)
        return build(prepared.build, device)


def _check_tensors(targets: Mapping[str, torch.Tensor], reader: SafetensorsReader) -> None:
    """Compare names and shapes of a model and of the file of its weights."""
    if targets.keys() != reader.entries.keys():
        odd = min(targets.keys() ^ reader.entries.keys())
        where = "the model" if odd in targets else MODEL_FILE
        raise _damaged(f"Only {where} has a tensor {odd!r}.", "the same tensors in both")
    for name, entry in reader.entries.items():
        shape = tuple(targets[name].shape)
        if shape != entry.shape:
            raise _damaged(
                f"Tensor {name!r} is {list(entry.shape)} in {MODEL_FILE}, "
                f"{list(shape)} in the model.",
                "equal shapes",
            )


def _fill(model: nn.Module, reader: SafetensorsReader) -> None:
    targets = state_tensors(model)
    _check_tensors(targets, reader)
    rows = [
        Row(name, name, AS_IS, entry.shape, entry.shape, FROM_MODEL)
        for name, entry in reader.entries.items()
    ]
    fill_tensors(targets, rows, reader, lambda row, tensor: None)


def _damaged(happened: str, expected: str) -> ResultDamaged:
    return ResultDamaged(
        happened, f"Expected {expected}.", "Use the folder as it was written, or convert again."
    )
