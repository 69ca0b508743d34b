"""The files of somebody's folder that an archive takes, and what it leaves out and why."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from orchestration.result_folder import partial_prefix

_CACHES: Final = frozenset(
    {
        "__pycache__",
        ".cache",
        ".DS_Store",
        ".eggs",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".ruff_cache",
        ".tox",
        "node_modules",
    }
)
_VERSION_CONTROL: Final = frozenset({".bzr", ".git", ".hg", ".svn"})
# By https://bford.info/cachedir/ a cache says so itself; a virtual environment does by PEP 405.
_CACHE_MARK: Final = "CACHEDIR.TAG"
_ENVIRONMENT_MARK: Final = "pyvenv.cfg"


@dataclass
class FolderContent:
    """What was found in a folder.

    Attributes:
        files: paths of plain files, relative to the folder, sorted.
        left_out: path -> why; caches and version control are counted in `passed_over` instead.
        unreadable: path -> why it cannot be archived.
        passed_over: folders and files of caches, environments and version control.
    """

    files: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    passed_over: list[str] = field(default_factory=list)


def walk_folder(folder: Path, without: Path | None = None) -> FolderContent:
    """Look for plain files below a folder; a link to one below it counts as that file.

    Args:
        folder: where to look.
        without: a path that is passed over: the archive itself may be made in there.
    """
    content = FolderContent()
    root = Path(os.path.realpath(folder))
    for entry, path in _entries(root, "", content, without):
        _take(entry, path, root, content)
    content.files.sort()
    return content


def _entries(
    root: Path, inner: str, content: FolderContent, without: Path | None
) -> Iterator[tuple[os.DirEntry[str], str]]:
    """What is no folder, with its path from `root` on."""
    try:
        with os.scandir(root / inner) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        content.unreadable[inner or "."] = error.strerror or str(error)
        return
    names = {entry.name for entry in entries}
    if inner and names & {_CACHE_MARK, _ENVIRONMENT_MARK}:
        content.passed_over.append(inner)
        return
    for entry in entries:
        path = f"{inner}/{entry.name}" if inner else entry.name
        is_own = without is not None and _is_or_becomes(Path(entry.path), without)
        if is_own or entry.name in _CACHES | _VERSION_CONTROL or _is_byte_code(entry.name, names):
            content.passed_over.append(path)
        elif entry.is_dir(follow_symlinks=False):
            yield from _entries(root, path, content, without)
        else:
            yield entry, path


def _take(entry: os.DirEntry[str], path: str, root: Path, content: FolderContent) -> None:
    if entry.is_symlink():
        target = Path(os.path.realpath(entry.path))
        if root not in target.parents:
            content.left_out[path] = f"a link that leads out, to {os.readlink(entry.path)}"
            return
        if target.is_dir():
            content.left_out[path] = f"a link to the folder {target.relative_to(root)}"
            return
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        content.left_out[path] = f"a link that leads nowhere ({error.strerror})"
        return
    if not stat.S_ISREG(mode):
        content.left_out[path] = "a pipe, socket or device"
    elif os.access(entry.path, os.R_OK):
        content.files.append(path)
    else:
        content.unreadable[path] = os.strerror(errno.EACCES)


def _is_byte_code(name: str, names: set[str]) -> bool:
    """Whether a file was compiled from one beside it, as Python 2 did."""
    return name.endswith((".pyc", ".pyo")) and f"{name[:-1]}" in names


def _is_or_becomes(path: Path, bag: Path) -> bool:
    """Whether a path is the bag, or the folder in which it is being made."""
    return path.parent == bag.parent and (path == bag or path.name.startswith(partial_prefix(bag)))
