"""Keeps a copy of a user's own model, so that the result folder is complete."""

from __future__ import annotations

from pathlib import Path

from stage_load.models.registry import PreparedModel
from stage_load.result_files import SOURCE_FOLDER
from stage_load.safetensors_writer import WholeFile, write_error


def copy_source(prepared: PreparedModel, out: Path) -> str | None:
    """Copy the model's file and those beside it that it imports; return the former's name.

    ``None`` for a model that was not named by its file.

    Raises:
        DiskFull, OutputNotWritable: a copy cannot be written.
    """
    if prepared.source is None:
        return None
    folder = prepared.source.resolve().parent
    target = out / SOURCE_FOLDER
    _copy(prepared.source, target / prepared.source.name)
    for path in sorted(prepared.neighbours):
        _copy(path, target / path.relative_to(folder))
    return prepared.source.name


def _copy(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        data = source.read_bytes()
    except OSError as error:
        raise write_error(target, error) from error
    with WholeFile(target) as file:
        file.write_at(0, data)
