"""A bag that is a folder: files are shared with their sources where that is safe, else copied."""

from __future__ import annotations

import ctypes
import fcntl
import os
import stat
from pathlib import Path
from typing import IO, Final

from orchestration.archive.bag.hashing import FileFound, TwoHashes
from orchestration.archive.bag.source_reader import (
    Advance,
    check_size,
    opened,
    read_bytes,
    read_file,
)
from orchestration.archive.entries import Entry

# <linux/fs.h>: _IOW(0x94, 9, int)
_FICLONE: Final = 0x40049409
_WRITABLE: Final = 0o222


class FolderSink:
    """Puts files into a folder.

    Args:
        folder: an empty one, which becomes the bag.
        hashes: what reads.
        advance: told of the bytes that were read.
    """

    def __init__(self, folder: Path, hashes: TwoHashes, advance: Advance) -> None:
        self._folder = folder
        self._hashes = hashes
        self._advance = advance

    def add(self, path: str, entry: Entry) -> FileFound:
        """Put an entry at a path from the bag's folder on.

        Raises:
            SourceUnreadable: its file cannot be read, or changes meanwhile.
            OSError: the bag cannot be written.
        """
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry.source, bytes):
            with target.open("xb") as output:
                return read_bytes(entry.source, self._hashes, output.write)
        with opened(entry.source) as source:
            found = self._share_or_copy(source, entry, target)
        check_size(entry, found)
        return found

    def finish(self) -> None:
        """Have everything on the disk before the bag gets its name."""
        sync_file_system(self._folder)

    def _share_or_copy(self, source: int, entry: Entry, target: Path) -> FileFound:
        with target.open("xb", buffering=0) as output:
            if _clone(source, output):
                return self._read_back(target)
            if not entry.may_link:
                return self._copy(source, output)
        target.unlink()
        if _link(entry.source, target):
            return self._read_back(target)
        with target.open("xb", buffering=0) as output:
            return self._copy(source, output)

    def _copy(self, source: int, output: IO[bytes]) -> FileFound:
        def write(piece: memoryview) -> None:
            rest = piece
            while rest:
                rest = rest[output.write(rest) :]

        return read_file(source, self._hashes, self._advance, write)

    def _read_back(self, target: Path) -> FileFound:
        """Hash what the bag has now: the source may change from here on."""
        with opened(target) as descriptor:
            return read_file(descriptor, self._hashes, self._advance)


def sync_file_system(folder: Path) -> None:
    """Write the file system of a folder to its disk; a sync a file would take minutes.

    Raises:
        OSError: it could not be written.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "syncfs"):
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if library.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), os.fspath(folder))
    finally:
        os.close(descriptor)


def _clone(source: int, output: IO[bytes]) -> bool:
    """Let an empty file share the blocks of another (a reflink), where the file system can."""
    try:
        fcntl.ioctl(output.fileno(), _FICLONE, source)
    except OSError:
        return False
    return True


def _link(source: Path | bytes, target: Path) -> bool:
    """Make a hard link; False on another file system, or where others' files get none.

    Nobody writes into the file from now on, through whichever name: it would be the bag's, too.
    """
    assert isinstance(source, Path)
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        return False
    try:
        target.chmod(stat.S_IMODE(target.stat().st_mode) & ~_WRITABLE)
    except OSError:
        target.unlink()
        return False
    return True
