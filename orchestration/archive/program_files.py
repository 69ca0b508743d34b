"""Which files are this program's own source."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from orchestration.archive.folder_walk import walk_folder

# Of a checkout, or an unpacked archive of one, that git does not know.
_KNOWN_FILES: Final = (
    ".dockerignore",
    ".gitignore",
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
    "Makefile",
    "README.md",
    "orchestrate.py",
    "pyproject.toml",
    "requirements*.in",
    "requirements*.txt",
)
_KNOWN_FOLDERS: Final = (
    ".ci",
    "benchmarks",
    "docker",
    "docs",
    "orchestration",
    "stage_extract",
    "stage_load",
    "tests",
)
_GIT_TIMEOUT_S: Final = 60
_HASH_LENGTHS: Final = (40, 64)


def program_files(root: Path) -> list[str]:
    """Paths of this program's files below the folder with `orchestrate.py`, sorted.

    What git tracks there and is still there; without git, the parts that a checkout has.
    """
    tracked = _tracked(root)
    if tracked is None:
        return sorted(_known(root))
    return sorted(path for path in tracked if (root / path).is_file())


def git_commit(folder: Path) -> str | None:
    """The commit that a checkout's HEAD stands for, read without git; None if it tells none."""
    try:
        git = _git_folder(folder)
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return _as_hash(head)
        reference = head.removeprefix("ref: ")
        common = _text(git / "commondir")
        git = git / common if common else git
        loose = _text(git / reference)
        return _as_hash(loose if loose else _packed(git, reference))
    except (OSError, ValueError):
        return None


def _tracked(root: Path) -> list[str] | None:
    """What git tracks below a folder that is a checkout's top; None if git does not say."""
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", os.fspath(root), "ls-files", "-z"]
    try:
        run = subprocess.run(command, capture_output=True, check=False, timeout=_GIT_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    # In the midst of a merge, git tells a file once for each side.
    names = list({os.fsdecode(name) for name in run.stdout.split(b"\0") if name})
    return names if run.returncode == 0 and "orchestrate.py" in names else None


def _known(root: Path) -> list[str]:
    matching = (path for pattern in _KNOWN_FILES for path in root.glob(pattern))
    found = [path.name for path in matching if path.is_file()]
    for folder in _KNOWN_FOLDERS:
        if (root / folder).is_dir():
            found += [f"{folder}/{path}" for path in walk_folder(root / folder).files]
    return found


def _git_folder(folder: Path) -> Path:
    """Where git keeps what it knows of a checkout; a file tells so in a further one."""
    path = folder / ".git"
    if path.is_dir():
        return path
    return folder / path.read_text(encoding="utf-8").strip().removeprefix("gitdir: ")


def _packed(git: Path, reference: str) -> str:
    lines = (_text(git / "packed-refs") or "").splitlines()
    return next((line.split()[0] for line in lines if line.endswith(f" {reference}")), "")


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def _as_hash(text: str) -> str | None:
    is_hash = len(text) in _HASH_LENGTHS and all(one in "0123456789abcdef" for one in text)
    return text if is_hash else None
