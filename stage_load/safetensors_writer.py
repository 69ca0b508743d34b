"""Writes a safetensors file one tensor at a time: equal tensors give equal bytes.

The file grows under a temporary name in its own folder and takes its own name when it is complete.
Tensors may be written in any order and from another thread than the one that opened the file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from stage_load.errors import DiskFull, LoadError, OutputNotWritable
from stage_load.safetensors_header import write_header

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_MOST_WRITE_BYTES = 1 << 30
_ALL_MODES = 0o666


def write_error(path: Path, error: OSError, size_bytes: int | None = None) -> LoadError:
    """Return the error to raise when writing below ``path`` failed."""
    if error.errno in _NO_ROOM:
        size = "" if size_bytes is None else f" of {size_bytes} bytes"
        return DiskFull(
            f"There is no room to write {path.name}{size}: {error.strerror}.",
            f"Expected enough free space in {path.parent}.",
            "Free some space, or choose another folder for the result.",
        )
    return OutputNotWritable(
        f"{path.name} cannot be written in {path.parent}: {error.strerror}.",
        "Expected a folder that this user may write to.",
        "Choose another folder for the result, or change its permissions.",
    )


class WholeFile:
    """A file that appears complete or not at all. Use it in a ``with`` statement.

    Leaving the block without an exception flushes the file to the disk, gives it the permissions
    that the umask allows, and renames it; leaving with one removes it.
    """

    def __init__(self, path: Path) -> None:
        """Create the temporary file.

        Raises:
            DiskFull: there is no room.
            OutputNotWritable: the folder cannot be written to.
        """
        self.path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            self._descriptor = os.open(
                self._temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _ALL_MODES
            )
        except OSError as error:
            raise write_error(path, error) from error

    def reserve(self, size_bytes: int) -> None:
        """Ask the file system for the whole size, so that a full disk shows at once.

        Raises:
            DiskFull: there is no room.
        """
        if not hasattr(os, "posix_fallocate"):  # macOS has none; the writes themselves will tell
            return
        try:
            os.posix_fallocate(self._descriptor, 0, size_bytes)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise write_error(self.path, error, size_bytes) from error
            # Not every file system can reserve; the writes themselves will tell.

    def write_at(self, position: int, data: bytes | memoryview) -> None:
        """Write bytes at a position of the file.

        Raises:
            DiskFull: there is no room.
            OutputNotWritable: the disk failed.
        """
        view = memoryview(data)
        try:
            while view:
                count = os.pwrite(self._descriptor, view[:_MOST_WRITE_BYTES], position)
                view = view[count:]
                position += count
        except OSError as error:
            raise write_error(self.path, error) from error

    def __enter__(self) -> WholeFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            os.close(self._descriptor)
            self._temporary.unlink(missing_ok=True)
            return
        try:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            os.replace(self._temporary, self.path)
        except OSError as failure:
            self._temporary.unlink(missing_ok=True)
            raise write_error(self.path, failure) from failure


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text that appears complete or not at all.

    Raises:
        DiskFull: there is no room.
        OutputNotWritable: the folder cannot be written to.
    """
    with WholeFile(path) as file:
        file.write_at(0, text.encode("utf-8", errors="surrogatepass"))


class SafetensorsWriter:
    """A safetensors file whose tensors come one by one. Use it in a ``with`` statement."""

    def __init__(
        self,
        path: Path,
        tensors: Iterable[tuple[str, str, tuple[int, ...]]],
        metadata: Mapping[str, str],
    ) -> None:
        """Lay the file out and write its header.

        Args:
            path: where the complete file goes.
            tensors: name, dtype as the format calls it, and shape, in the order of the file.
            metadata: at most one key.

        Raises:
            DiskFull: there is no room for the whole file.
            OutputNotWritable: the folder cannot be written to.
        """
        start, entries = write_header(tensors, metadata)
        self._missing = {entry.name: entry for entry in entries}
        self._data_begin = len(start)
        with ExitStack() as opened:
            self._file = opened.enter_context(WholeFile(path))
            self._file.reserve(len(start) + (entries[-1].end if entries else 0))
            self._file.write_at(0, start)
            opened.pop_all()

    def write(self, name: str, data: memoryview) -> None:
        """Write the bytes of one tensor, in C order.

        Raises:
            KeyError: the file has no such tensor, or it has been written.
            ValueError: the number of bytes is not the tensor's.
            DiskFull: there is no room.
        """
        entry = self._missing[name]
        if data.nbytes != entry.size_bytes:
            raise ValueError(f"{name!r} has {data.nbytes} bytes, not {entry.size_bytes}")
        self._file.write_at(self._data_begin + entry.begin, data)
        del self._missing[name]

    def __enter__(self) -> SafetensorsWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None and self._missing:
            unwritten = ValueError(f"tensors never written: {sorted(self._missing)[:5]}")
            self._file.__exit__(ValueError, unwritten, None)
            raise unwritten
        self._file.__exit__(kind, error, traceback)
