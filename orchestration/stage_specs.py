"""What each command asks of the stages: specs to start them from, and their job lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestration.own_code import model_file, package_folder
from orchestration.readers import home_of_stage_1
from orchestration.run_paths import (
    DATA_TARGET,
    EXPORT_TARGET,
    INPUT_TARGET,
    MAP_TARGET,
    MODEL_TARGET,
    OUTPUT_TARGET,
    CheckpointPath,
)
from orchestration.runtimes.base import Mount, Stage, StageProcess, StageSpec
from orchestration.settings import ExtractOptions, LoadOptions, Reader, RuntimeOptions

# Hash order must not reach the files that are written; TensorFlow's notices help nobody.
HASH_SEED = 0
_COMMON_ENVIRONMENT = {"PYTHONHASHSEED": str(HASH_SEED), "PYTHONUNBUFFERED": "1"}
_EXTRACT_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
_HIDE_CARDS = {"CUDA_VISIBLE_DEVICES": ""}


def extract_spec(
    checkpoint: CheckpointPath,
    out: Path | None,
    extract: ExtractOptions,
    options: RuntimeOptions,
    keep_open: tuple[int, ...],
) -> StageSpec:
    """Stage 1, reading `checkpoint` and writing to `out` (None: an inspection writes nothing)."""
    mounts = extract_mounts(checkpoint, extract, INPUT_TARGET, DATA_TARGET)
    if out is not None:
        mounts += (Mount(out, OUTPUT_TARGET, read_only=False),)
    return extract_stage(mounts, extract.reader, options, keep_open)


def extract_stage(
    mounts: Iterable[Mount],
    reader: Reader,
    options: RuntimeOptions,
    keep_open: tuple[int, ...] = (),
) -> StageSpec:
    """Stage 1 with what it may see."""
    home = home_of_stage_1(reader)
    is_pure = home != "extract"
    return StageSpec(
        stage="extract",
        mounts=_deepest_last(mounts),
        device="cpu",
        memory_limit_bytes=options.memory_limit_bytes,
        environment={**_COMMON_ENVIRONMENT, **_EXTRACT_ENVIRONMENT},
        keep_open=keep_open,
        imports="numpy" if is_pure else "TensorFlow",
        home=home if is_pure else None,
        arguments=("--reader", reader),
    )


def extract_mounts(
    checkpoint: CheckpointPath, extract: ExtractOptions, target: str, data_target: str
) -> tuple[Mount, ...]:
    """What stage 1 reads from for one checkpoint, and where a container sees it."""
    mounts = checkpoint.mounts(target)
    if extract.data_folder is not None:
        mounts += CheckpointPath(extract.data_folder, checkpoint.name).mounts(data_target)
    return mounts


def load_spec(
    export: Path,
    out: Path,
    load: LoadOptions,
    options: RuntimeOptions,
    keep_open: tuple[int, ...],
) -> StageSpec:
    """Stage 2, reading `export` and writing to `out`."""
    mounts = load_mounts(load, MAP_TARGET, MODEL_TARGET)
    return load_stage(export, out, mounts, options, keep_open)


def load_stage(
    export: Path,
    out: Path,
    mounts: Iterable[Mount],
    options: RuntimeOptions,
    keep_open: tuple[int, ...] = (),
) -> StageSpec:
    """Stage 2 with what else it may see."""
    folders = (
        Mount(export, EXPORT_TARGET, read_only=True),
        Mount(out, OUTPUT_TARGET, read_only=False),
    )
    hidden = _HIDE_CARDS if options.device == "cpu" else {}
    return StageSpec(
        stage="load",
        mounts=_deepest_last((*folders, *mounts)),
        device=options.device,
        memory_limit_bytes=options.memory_limit_bytes,
        environment={**_COMMON_ENVIRONMENT, **hidden},
        keep_open=keep_open,
        imports="torch",
    )


def load_mounts(load: LoadOptions, map_target: str, model_target: str) -> tuple[Mount, ...]:
    """The user's own files that stage 2 reads, and where a container sees them."""
    mounts: tuple[Mount, ...] = ()
    if load.map is not None:
        mounts += (Mount(load.map.parent, map_target, read_only=True),)
    if (source := model_file(load.model)) is not None:
        mounts += (Mount(source.parent, model_target, read_only=True),)
    elif (folder := package_folder(load.model, load.model_folder)) is not None:
        mounts += (Mount(folder, model_target, read_only=True),)
    return mounts


def extract_job(
    command: Stage | str,
    process: StageProcess,
    checkpoint: CheckpointPath,
    out: Path | None,
    options: ExtractOptions,
) -> dict[str, Any]:
    """Job line of stage 1: `command` is "extract" or "inspect"."""
    job = {
        "job": command,
        "command": command,
        "checkpoint": process.path(checkpoint.path),
        "options": _extract_job_options(process, options),
    }
    return job if out is None else {**job, "out": process.path(out)}


def check_job(process: StageProcess, load: LoadOptions, device: str) -> dict[str, Any]:
    """Job line that lets stage 2 look at its options before there is an export."""
    options = _load_job_options(process, load, device)
    return {"job": "check", "command": "check", "options": options}


def load_job(
    process: StageProcess, export: Path, out: Path, load: LoadOptions, device: str
) -> dict[str, Any]:
    """Job line of stage 2."""
    return {
        "job": "load",
        "command": "load",
        "export": process.path(export),
        "out": process.path(out),
        "options": _load_job_options(process, load, device),
    }


def _deepest_last(mounts: Iterable[Mount]) -> tuple[Mount, ...]:
    """In the order that `StageSpec` asks for: an output below a mounted folder comes after it."""
    return tuple(sorted(mounts, key=lambda mount: len(mount.source.parts)))


def _extract_job_options(process: StageProcess, options: ExtractOptions) -> Mapping[str, Any]:
    folder = options.data_folder
    seen = None if folder is None else process.path(folder)
    return {**options.to_job(), "data_folder": seen}


def _load_job_options(process: StageProcess, load: LoadOptions, device: str) -> Mapping[str, Any]:
    source, folder = model_file(load.model), package_folder(load.model, load.model_folder)
    factory = load.model.rpartition(":")[2]
    return {
        "model": load.model if source is None else f"{process.path(source)}:{factory}",
        "model_folder": None if folder is None else process.path(folder),
        "model_args": dict(load.model_args),
        "device": device,
        "map": None if load.map is None else process.path(load.map),
        "tolerance": load.tolerance,
        "prove": load.prove,
        **load.transfer.to_job(),
    }
