"""Which modules stay imported: those of the environment. Those of a user's folders go."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


@contextmanager
def kept_modules() -> Iterator[None]:
    """Forget what was imported from elsewhere than the environment, and restore what was replaced.

    The next job may bring modules of the same names.
    """
    before = dict(sys.modules)
    lists = {name: getattr(sys, name) for name in ("path", "meta_path", "path_hooks")}
    entries = {name: [*values] for name, values in lists.items()}
    try:
        yield
    finally:
        for name, values in lists.items():
            values[:] = entries[name]
            setattr(sys, name, values)
        installed = _installed({*sys.modules} - {*before})
        for name in {*sys.modules} - {*before}:
            if _top(name) not in installed and _top(name) not in before:
                del sys.modules[name]
        sys.modules.update(before)


def _installed(names: Set[str]) -> set[str]:
    """Return those top names of modules that lie directly in a folder of ``sys.path``."""
    if not names:
        return set()
    folders = {Path(entry).resolve() for entry in sys.path}
    tops = {_top(name) for name in names}
    return {top for top in tops if top in sys.modules and _lies_in(sys.modules[top], folders)}


def _lies_in(module: ModuleType, folders: Set[Path]) -> bool:
    packages = [Path(entry) for entry in getattr(module, "__path__", ())]
    file = getattr(module, "__file__", None)
    places = packages or ([Path(file)] if file else [])
    if not places:
        origin = getattr(getattr(module, "__spec__", None), "origin", None)
        return origin in ("built-in", "frozen")
    return all(place.resolve().parent in folders for place in places)


def _top(name: str) -> str:
    return name.partition(".")[0]
