"""Copies files of a result, and checks in the same reading that they are as its manifest says."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from orchestration.errors import ResultChanged

_PIECE_BYTES: Final = 1 << 20

Progress = Callable[[int, int], None]
"""Takes how many bytes of how many are done."""


def copy_checked(
    folder: Path, out: Path, copies: Sequence[tuple[Mapping[str, Any], str]], progress: Progress
) -> None:
    """Copy files; never by a hard link: whoever trains on writes into what was copied.

    Args:
        folder: the result folder.
        out: an empty folder.
        copies: each file as the manifest describes it, and its path below `out`.
        progress: called as bytes are copied.

    Raises:
        ResultChanged: a file is not as described; all that differ in size are named.
        OSError: `out` cannot be written.
    """
    changed = [entry["name"] for entry, _ in copies if not _has_size(folder, entry)]
    if changed:
        raise _changed(folder, ", ".join(changed))
    total_bytes = sum(entry["size_bytes"] for entry, _ in copies)
    done_bytes = 0

    def advance(count: int) -> None:
        nonlocal done_bytes
        done_bytes += count
        progress(done_bytes, total_bytes)

    for entry, target in copies:
        if copy_hashed(folder / entry["name"], out / target, advance) != entry["sha256"]:
            raise _changed(folder, entry["name"])


def copy_hashed(source: Path, target: Path, advance: Callable[[int], None]) -> str:
    """Copy a file; its folder is made.

    Args:
        source: a plain file.
        target: must not exist.
        advance: told of the bytes that were copied.

    Returns:
        SHA-256 of what was copied, in hexadecimal digits.

    Raises:
        ResultChanged: the source cannot be read.
        OSError: the target cannot be written.
    """
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_PIECE_BYTES))
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as writer:
        try:
            reader = source.open("rb", buffering=0)
        except OSError as error:
            raise _changed(source.parent, f"{source.name} ({error.strerror})") from error
        with reader:
            while count := reader.readinto(buffer):
                digest.update(buffer[:count])
                writer.write(buffer[:count])
                advance(count)
        _sync(writer)
    return digest.hexdigest()


def write_new(target: Path, content: bytes) -> None:
    """Write a file that is on the disk afterwards. Raises OSError."""
    with target.open("xb") as writer:
        writer.write(content)
        _sync(writer)


def _sync(writer: Any) -> None:
    writer.flush()
    os.fsync(writer.fileno())


def _has_size(folder: Path, entry: Mapping[str, Any]) -> bool:
    path = folder / entry["name"]
    return path.is_file() and bool(path.stat().st_size == entry["size_bytes"])


def _changed(folder: Path, names: str) -> ResultChanged:
    return ResultChanged(
        f"Files of {folder} are missing or not as its manifest lists them: {names}.",
        "A result is shared with its proof, which is of the files as they were made.",
        "Take an untouched copy of the result, or convert again.",
    )
