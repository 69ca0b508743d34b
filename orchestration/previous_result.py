"""What to do about a result folder that exists: take it as it is, replace it, or refuse."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestration.errors import OutputNotWritable, ResultExists
from orchestration.manifest import (
    OLDER_VERSIONS,
    changed_files,
    converted_files,
    read_manifest,
    version_of,
)
from orchestration.result_folder import result_exists


def check_out(out: Path, force: bool, input_folder: Path) -> Path:
    """Check, before anything heavy starts, that a result may be made at `out`.

    Args:
        out: the result folder asked for.
        force: an earlier result may be replaced.
        input_folder: what the run reads from; it must not be replaced by its own result.

    Returns:
        `out` without symbolic links.

    Raises:
        ResultExists: something is there that is not a result of this program.
        OutputNotWritable: nothing can be created there.
    """
    out = Path(os.path.realpath(out))
    if os.path.lexists(out):
        _check_existing(out, force, input_folder)
    parent = next(parent for parent in out.parents if os.path.lexists(parent))
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        why = "you may not create files in it" if parent.is_dir() else "it is no folder"
        raise OutputNotWritable(
            f"The output {out} cannot be made: {parent} was found, but {why}.",
            "A folder was expected in which you may create files.",
            "Choose another folder with --out.",
        )
    return out


def up_to_date_manifest(
    out: Path, request: Mapping[str, Any], input_folder: Path, beside: Path | None = None
) -> dict[str, Any] | None:
    """Manifest of the result at `out` if it is exactly what `request` would make, whole and
    unchanged.

    Args:
        out: the result folder.
        request: what it would be made from, and how.
        input_folder: where its input lies.
        beside: another folder with files of its input.

    Returns:
        None if there is no result yet.

    Raises:
        ResultExists: the result was made from something else, or has been changed since.
    """
    manifest = read_manifest(out)
    if manifest is None:
        return None
    differing = differing_parts(manifest.get("request", {}), request)
    if differing:
        raise result_exists(out, f"It was made with other {' and '.join(differing)}.")
    if changed_files(input_folder, converted_files(manifest), beside):
        raise result_exists(out, "It was made before its input changed.")
    damaged = changed_files(out, manifest["files"])
    if damaged:
        raise result_exists(out, f"Some of its files have changed since: {', '.join(damaged)}.")
    return manifest


def _check_existing(out: Path, force: bool, input_folder: Path) -> None:
    if not out.is_dir():
        raise ResultExists(
            f"The output {out} is there already, and is no folder.",
            "Only results of this program are ever replaced.",
            "Choose another folder with --out.",
        )
    version = version_of(out)
    if version in OLDER_VERSIONS and not force:
        raise result_exists(
            out, "An older version of this program made it, which this cannot read."
        )
    is_result = version is not None
    if not is_result and not _is_empty(out):
        raise ResultExists(
            f"The folder {out} exists already, and is no result of this program.",
            "Only results of this program are ever replaced.",
            "Choose another folder with --out.",
        )
    if force and (out == input_folder or out in input_folder.parents):
        raise ResultExists(
            f"The folder {out} holds the input of this run ({input_folder}).",
            "A result never replaces what it is made from.",
            "Choose another folder with --out.",
        )


def _is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing; False for one that may not be looked into."""
    try:
        return not any(folder.iterdir())
    except PermissionError:
        return False


def differing_parts(made_with: Mapping[str, Any], request: Mapping[str, Any]) -> list[str]:
    """Names of what differs between two requests, for people."""
    names = {
        "command": "command",
        "export_key": "checkpoint, extraction options, version or image of stage 1",
        "load": "model, device, options, version or image of stage 2",
    }
    keys = made_with.keys() | request.keys()
    return [names.get(key, key) for key in sorted(keys) if made_with.get(key) != request.get(key)]
