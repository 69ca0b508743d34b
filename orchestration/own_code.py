"""Where a user's model lies on this machine: a file, or a package in a folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from orchestration.manifest import sha256_of


def model_file(model: str) -> Path | None:
    """The file of a model given as "file.py:Factory", or None for a name."""
    path, _, factory = model.rpartition(":")
    return Path(os.path.realpath(path)) if factory and path.endswith(".py") else None


def package_folder(model: str, beside: Path | None) -> Path | None:
    """The real folder `beside`, if it holds the package of "package.module:Factory"; else None.

    Python finds a package beside the one who starts it before one that is installed.
    """
    if beside is None:
        return None
    module, _, factory = model.rpartition(":")
    folder = Path(os.path.realpath(beside))
    if not factory or module.endswith(".py") or not module.split(".")[0].isidentifier():
        return None
    return folder if _package_files(folder, module) else None


def code_sha256(model: str, beside: Path | None) -> str | None:
    """Hash of a user's file, or of the files of their package; None where neither is here."""
    file = model_file(model)
    if file is not None:
        return sha256_of(file)
    folder = package_folder(model, beside)
    if folder is None:
        return None
    digest = hashlib.sha256()
    for path in _package_files(folder, model.rpartition(":")[0]):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\0".encode())
    return digest.hexdigest()


def _package_files(folder: Path, module: str) -> list[Path]:
    """Files of the package, or the module, that the first part of a dotted name stands for."""
    top = module.split(".")[0]
    file = folder / f"{top}.py"
    found = [path for path in (folder / top).rglob("*.py") if path.is_file()]
    return sorted(found) or ([file] if file.is_file() else [])
