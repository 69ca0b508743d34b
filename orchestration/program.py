"""This program itself, as records tell it: its version, its source, the locks of its packages."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any

from orchestration.run_paths import repository_folder

VERSION = "0.1.0"
_FOLDERS = ("docker", "orchestration", "stage_extract", "stage_load")
HOST_LOCK = "requirements.txt"
_FILES = ("orchestrate.py", HOST_LOCK)
_LOCKS = "docker/requirements-*.txt"


@cache
def program_record(root: Path | None = None) -> dict[str, Any]:
    """What a manifest tells of this program.

    Args:
        root: folder with its source; None = the one that runs.
    """
    root = root or repository_folder()
    locks = [root / HOST_LOCK, *sorted(root.glob(_LOCKS))]
    return {
        "version": VERSION,
        "source_sha256": source_sha256(root),
        "locks": {path.name: _sha256(path) for path in locks if path.is_file()},
    }


def source_sha256(root: Path) -> str:
    """Hash over names and contents of everything that runs here or goes into an image."""
    digest = hashlib.sha256()
    for name in source_names(root):
        digest.update(f"{name}\0{_sha256(root / name)}\0".encode())
    return digest.hexdigest()


def source_names(root: Path) -> list[str]:
    """Files of the program below a folder, without what interpreters and editors leave there."""
    found = [name for name in _FILES if (root / name).is_file()]
    for top in _FOLDERS:
        for place, folders, names in os.walk(root / top):
            folders[:] = [name for name in folders if _is_source(name)]
            found += [
                os.path.relpath(Path(place, name), root) for name in filter(_is_source, names)
            ]
    return sorted(found)


def _sha256(path: Path) -> str:
    # Hundreds of small files: in one piece each.
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_source(name: str) -> bool:
    return name != "__pycache__" and not name.startswith(".")
