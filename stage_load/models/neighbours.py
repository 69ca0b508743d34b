"""Lets a user's file import what lies beside it, and remembers which files those were."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWN_MODULE = "stage_load_user_model"


@contextmanager
def neighbours_of(path: Path, found: set[Path]) -> Iterator[None]:
    """Let a file import its neighbours while the block runs, and forget them afterwards.

    The next job of this process may bring another file with neighbours of the same names.

    Args:
        path: the file.
        found: takes the files that were imported, absolute.
    """
    folder = path.resolve().parent
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    write_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = write_bytecode
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            file = _file_of(name)
            if name == OWN_MODULE:
                del sys.modules[name]
            elif file is not None and _is_beside(file, folder):
                found.add(file)
                del sys.modules[name]


def _file_of(name: str) -> Path | None:
    file = getattr(sys.modules[name], "__file__", None)
    return Path(file).resolve() if isinstance(file, str) and file else None


def _is_beside(file: Path, folder: Path) -> bool:
    """Whether a file belongs to the folder, and not to an environment somewhere below it."""
    environments = {Path(entry).resolve() for entry in (*sys.path, sys.prefix) if entry}
    below = (place for place in environments if place != folder and place.is_relative_to(folder))
    return file.is_relative_to(folder) and not any(file.is_relative_to(place) for place in below)
