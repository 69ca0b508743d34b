"""Reads a bag that is a folder. It may come from anybody: no link is followed, no pipe opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from orchestration.archive.bag.hashing import FileFound, TwoHashes
from orchestration.archive.verify.members import BagContent, Progress
from orchestration.archive.verify.verdicts import Fault

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read_folder(folder: Path, progress: Progress) -> BagContent:
    """Hash every file of a bag.

    Args:
        folder: the bag.
        progress: called as bytes are read.
    """
    content = BagContent(folder)
    sizes = dict(_plain_files(content))
    total_bytes, done_bytes = sum(sizes.values()), 0
    with TwoHashes() as hashes:
        for path in sorted(sizes):
            try:
                content.files[path] = _hashed(folder, path, hashes)
            except OSError as error:
                told = f"it cannot be read: {error.strerror or error}"
                content.faults.append(Fault(path, "unreadable", told))
            done_bytes += sizes[path]
            progress(done_bytes, total_bytes)
    return content


def _plain_files(content: BagContent) -> Iterator[tuple[str, int]]:
    """Path and size of each plain file; the rest is noted in `content`."""
    folders = [""]
    while folders:
        for entry, path in _listed(content, folders.pop()):
            is_folder = entry.is_dir(follow_symlinks=False)
            if (why := content.count.add(is_folder)) is not None:
                content.broke_off(path, f"{why}; what lies behind this one was not looked at")
                return
            if is_folder:
                folders.append(path)
            elif (size_bytes := _size_bytes(content, entry, path)) is not None:
                yield path, size_bytes


def _size_bytes(content: BagContent, entry: os.DirEntry[str], path: str) -> int | None:
    """Size of a plain file; None for anything else, which is noted."""
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError as error:
        content.faults.append(Fault(path, "unreadable", error.strerror or str(error)))
        return None
    if stat.S_ISREG(status.st_mode):
        return status.st_size
    kind = "a link" if stat.S_ISLNK(status.st_mode) else "a pipe, socket or device"
    content.refuse(path, f"it is {kind}, and a bag holds plain files")
    return None


def _listed(content: BagContent, folder: str) -> Iterator[tuple[os.DirEntry[str], str]]:
    """What lies in a folder, with the path from the bag's folder on."""
    try:
        with os.scandir(content.folder / folder) as entries:
            for entry in entries:
                yield entry, f"{folder}/{entry.name}" if folder else entry.name
    except OSError as error:
        told = f"the folder cannot be looked into: {error.strerror}"
        content.faults.append(Fault(folder or ".", "unreadable", told))


def _hashed(folder: Path, path: str, hashes: TwoHashes) -> FileFound:
    descriptor = os.open(folder / path, _FLAGS)
    with open(descriptor, "rb", buffering=0) as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is no plain file any more")
        return hashes.read(lambda buffer: stream.readinto(buffer) or 0)
