"""Lets a user's code import what lies beside it, and remembers which files those were."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

OWN_MODULE = "stage_load_user_model"
_imported_at_start: set[str] = set()


def note_imports_at_start() -> None:
    """Note what a worker has imported before its first job; later imports are the jobs' own."""
    _imported_at_start.clear()
    _imported_at_start.update(sys.modules)


@contextmanager
def neighbours_of(folder: Path, found: set[Path], package: str = OWN_MODULE) -> Iterator[None]:
    """Let code import what lies in its folder while the block runs, and forget it afterwards.

    The next job of this process may bring another folder with modules of the same names.

    Args:
        folder: of the file, or of the package; comes before the environment's own packages.
        found: takes the files that were imported, absolute.
        package: what is imported from the folder, where it has it, although one of that name has
            been imported from elsewhere.
    """
    folder = folder.resolve()
    importlib.invalidate_caches()
    hidden: dict[str, ModuleType] = {}
    for name in (package, *_imported_by_others(folder)):
        hidden |= _set_aside(folder, name)
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    write_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = write_bytecode
        # Before the path is restored: a package without a file would forget where it lies.
        new = {name: _places_of(sys.modules[name]) for name in set(sys.modules) - before}
        # The code may have put another list in its place.
        with suppress(ValueError):
            sys.path.remove(str(folder))
        for name, places in new.items():
            if name == OWN_MODULE:
                del sys.modules[name]
            elif any(_is_beside(place, folder) for place in places):
                found.update(place for place in places if place.is_file())
                del sys.modules[name]
        sys.modules.update(hidden)


def _imported_by_others(folder: Path) -> list[str]:
    """Return names in the folder that an earlier job has imported from the environment.

    In a process of its own, this job would find its own module.
    """
    if not _imported_at_start:
        return []
    with os.scandir(folder) as entries:
        names = {entry.name.partition(".")[0] for entry in entries}
    return sorted(name for name in names - _imported_at_start if name in sys.modules)


def _set_aside(folder: Path, package: str) -> dict[str, ModuleType]:
    """Take a package out of the imported ones if the folder has one of that name.

    A folder without an ``__init__`` module counts only where nothing else has its name, as ever.
    """
    found = PathFinder.find_spec(package, [os.fspath(folder)])
    has_file = getattr(sys.modules.get(package), "__file__", None) is not None
    if found is None or (found.origin is None and has_file):
        return {}
    names = [name for name in sys.modules if name.split(".")[0] == package]
    return {name: sys.modules.pop(name) for name in names}


def _places_of(module: ModuleType) -> tuple[Path, ...]:
    """Return a module's file, or the folders of a package that has none of its own."""
    file = getattr(module, "__file__", None)
    if isinstance(file, str) and file:
        return (Path(file).resolve(),)
    return tuple(Path(entry).resolve() for entry in getattr(module, "__path__", ()))


def _is_beside(file: Path, folder: Path) -> bool:
    """Whether a file belongs to the folder, and not to an environment somewhere below it."""
    environments = {Path(entry).resolve() for entry in (*sys.path, sys.prefix) if entry}
    below = (place for place in environments if place != folder and place.is_relative_to(folder))
    return file.is_relative_to(folder) and not any(file.is_relative_to(place) for place in below)
