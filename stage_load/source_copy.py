"""Keeps a copy of a user's own model, so that the result folder is complete."""

from __future__ import annotations

from pathlib import Path

from stage_load.models.registry import PreparedModel
from stage_load.result_files import SOURCE_FOLDER
from stage_load.safetensors_writer import WholeFile, write_error


def copy_source(prepared: PreparedModel, out: Path) -> str | None:
    """Copy the model's file and those beside it that it imports; return the former's place.

    That is its path below the folder of the copies; ``None`` for a model that is installed.

    Raises:
        DiskFull, OutputNotWritable: a copy cannot be written.
    """
    if prepared.source is None or prepared.folder is None:
        return None
    source = prepared.source
    # A file that was named is kept under that name, also where it is a link to another.
    place = source.name if source not in prepared.neighbours else _below(source, prepared.folder)
    _copy(source, out / SOURCE_FOLDER / place)
    for path in sorted(prepared.neighbours):
        _copy(path, out / SOURCE_FOLDER / _below(path, prepared.folder))
    return place


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder.resolve()).as_posix()


def _copy(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        data = source.read_bytes()
    except OSError as error:
        raise write_error(target, error) from error
    with WholeFile(target) as file:
        file.write_at(0, data)
