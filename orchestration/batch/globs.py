"""Checkpoints that a glob names."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import PurePath

from orchestration.run_paths import (
    SAVED_MODEL_FILES,
    SAVED_MODEL_FOLDERS,
    STATE_FILE,
    checkpoint_stem,
)

# A prefix is no file: these of its files are always there (V2, V1).
_FILES_OF_A_PREFIX = (".index", "-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9]")


def has_magic(text: str) -> bool:
    """Whether a path holds a sign that a glob gives a meaning."""
    return glob.has_magic(text)


def matches(pattern: str) -> list[str]:
    """Checkpoints that a pattern names by their folder, their prefix or any of their files.

    Each is named once. Of a folder and a checkpoint in it only the latter counts, unless the folder
    is a SavedModel.

    Returns:
        Paths as the pattern has them, sorted.
    """
    patterns = (pattern, *(f"{pattern.rstrip('/')}{ending}" for ending in _FILES_OF_A_PREFIX))
    found = [path for one in patterns for path in glob.glob(one, recursive=True)]
    named = {_checkpoint_of(path.rstrip("/") or "/") for path in found}
    return sorted(named - set(_folders_above(named)))


def _checkpoint_of(path: str) -> str:
    """The checkpoint that a file belongs to, or the path itself."""
    folder, name = os.path.split(path)
    for parent in (path, folder, os.path.dirname(folder)):
        if _is_saved_model(parent) and _is_part_of_saved_model(path, parent):
            return parent
    if name == STATE_FILE and os.path.isfile(path):
        return folder or os.curdir
    return path if os.path.isdir(path) else os.path.join(folder, checkpoint_stem(name))


def _is_saved_model(folder: str) -> bool:
    return any(os.path.isfile(os.path.join(folder, name)) for name in SAVED_MODEL_FILES)


def _is_part_of_saved_model(path: str, folder: str) -> bool:
    below = os.path.relpath(path, folder or os.curdir).split("/")[0]
    return below in (os.curdir, *SAVED_MODEL_FILES, *SAVED_MODEL_FOLDERS)


def _folders_above(paths: Iterable[str]) -> Iterable[str]:
    """Folders that hold another of the paths."""
    return (os.fspath(parent) for path in paths for parent in PurePath(path).parents)
