"""What a manifest tells of a run besides its stages: what was asked for, and what was read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from orchestration.errors import EXIT_OK, EXIT_PARITY_FAILED
from orchestration.manifest import describe_files, file_names
from orchestration.own_code import model_file, package_folder
from orchestration.program import program_record
from orchestration.recorded_settings import to_json
from orchestration.run_paths import CheckpointPath
from orchestration.settings import (
    ConvertSettings,
    ExtractOptions,
    ExtractSettings,
    LoadOptions,
    LoadSettings,
    RuntimeName,
    RuntimeOptions,
)
from orchestration.stage_specs import HASH_SEED

EXPORTED = "exported"
VERDICT_EXIT_CODES: Mapping[str, int] = {
    EXPORTED: EXIT_OK,
    "proven": EXIT_OK,
    "unproven": EXIT_OK,
    "failed": EXIT_PARITY_FAILED,
}
# Stage 2 copies what it imports of a user's code to there (stage_load/result_files.py).
MODEL_SOURCE = "model_source"
# What stage 1's list of files says of those that lie in the data folder.
_PLACE, _DATA = "place", "data"


def asked_record(
    settings: ConvertSettings | ExtractSettings | LoadSettings, runtime: str
) -> dict[str, Any]:
    """What was asked for, with every option, and by which program.

    Args:
        settings: with the input and the output as they were found, and the reader that was chosen.
        runtime: name of the one that was chosen.
    """
    commands: Mapping[type, str] = {ExtractSettings: "extract", LoadSettings: "load"}
    command = commands.get(type(settings), "convert")
    settings = replace(settings, runtime=_found_runtime(settings.runtime, runtime))
    if not isinstance(settings, ExtractSettings):
        settings = replace(settings, load=_found_load(settings.load))
    return {"command": command, "settings": to_json(settings), "program": program_record()}


def checkpoint_inputs(
    checkpoint: CheckpointPath, options: ExtractOptions, extract: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The files of a checkpoint with their hashes, as stage 1 has read them.

    Args:
        checkpoint: what was read.
        options: of stage 1.
        extract: what the manifest tells about stage 1.
    """
    files = extract["result"]["checkpoint"]["files"]
    inputs = [_input("checkpoint", checkpoint.folder, _lying(files, None))]
    elsewhere = _lying(files, _DATA)
    if options.data_folder is not None and elsewhere:
        inputs.append(_input("data", options.data_folder, elsewhere))
    return inputs


def given_inputs(load: LoadOptions, runtime: RuntimeOptions, made: Path) -> list[dict[str, Any]]:
    """The user's own files that stage 2 has read, with their hashes.

    Args:
        load: options of stage 2.
        runtime: tells the user's packages.
        made: what stage 2 has written: the user's code as it was when it was read.

    Raises:
        OSError: one has gone meanwhile.
    """
    inputs = []
    if load.map is not None:
        inputs.append(_described("map", load.map.parent, [load.map.name]))
    source = made / MODEL_SOURCE
    if source.is_dir():
        file = model_file(load.model)
        folder = file.parent if file else package_folder(load.model, load.model_folder)
        assert folder is not None, "stage 2 copies code of the user's alone"
        inputs.append(_input("model", folder, describe_files(source, file_names(source))))
    if runtime.requirements is not None:
        own = runtime.requirements
        inputs.append(_described("requirements", own.parent, [own.name]))
    return inputs


def export_input(folder: Path, files: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """An export that stage 2 began with.

    Args:
        folder: where it lies.
        files: as `manifest.describe_files` tells them.
    """
    return _input("export", folder, files)


def seeds_record(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Where the random numbers of a run began.

    Args:
        parts: of the manifest: `settings`, and what it tells of the stages.
    """
    settings, load = parts["settings"], parts.get("load")
    return {
        "inputs": settings["extract"]["seed"] if "extract" in settings else None,
        "initialisation": None if load is None else load["result"].get("seed"),
        "python_hash": HASH_SEED,
    }


def verdict_record(load: Mapping[str, Any] | None) -> dict[str, Any]:
    """What became of the run: the verdict of the proof, and the exit code.

    Args:
        load: what the manifest tells about stage 2; None where it had no part.
    """
    if load is None:
        return _verdict(EXPORTED, {})
    return _verdict(load["result"]["verdict"], load["result"]["parity"] or {})


def _verdict(state: str, parity: Mapping[str, Any]) -> dict[str, Any]:
    worst = {key: parity.get(key) for key in ("max_abs", "max_rel")}
    tensor = parity.get("worst")
    return {
        "state": state,
        "exit_code": VERDICT_EXIT_CODES[state],
        "tolerance": parity.get("tolerance"),
        "worst": None if tensor is None else {"tensor": tensor, **worst},
    }


def _found_runtime(options: RuntimeOptions, name: str) -> RuntimeOptions:
    """Options of the runtime with its name, and paths from the root."""
    images = (options.extract_image, options.load_image)
    extract_image, load_image = (
        os.path.abspath(image) if image is not None and os.path.isfile(image) else image
        for image in images
    )
    name = cast(RuntimeName, name)
    return replace(options, name=name, extract_image=extract_image, load_image=load_image)


def _found_load(options: LoadOptions) -> LoadOptions:
    """Options of stage 2 with the places where the user's code was found."""
    file, factory = model_file(options.model), options.model.rpartition(":")[2]
    return replace(
        options,
        model=options.model if file is None else f"{file}:{factory}",
        model_folder=package_folder(options.model, options.model_folder),
    )


def _lying(files: Iterable[Mapping[str, Any]], place: str | None) -> list[dict[str, Any]]:
    """Descriptions of the files at a place, without its name."""
    return [
        {key: value for key, value in entry.items() if key != _PLACE}
        for entry in files
        if entry.get(_PLACE) == place
    ]


def _described(role: str, folder: Path, names: list[str]) -> dict[str, Any]:
    return _input(role, folder, describe_files(folder, names))


def _input(role: str, folder: Path, files: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {"role": role, "folder": os.fspath(folder), "files": [dict(one) for one in files]}
