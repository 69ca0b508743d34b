"""Reads a file that belongs to somebody else, once, while it goes into a bag."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestration.archive.bag.hashing import FileFound, Sink, TwoHashes
from orchestration.archive.entries import Entry

Advance = Callable[[int], None]
"""Takes how many bytes more have been read."""


class SourceUnreadable(Exception):
    """A file cannot be read, or is not what it was a moment ago; the text tells why."""


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """The descriptor of a file that is opened for reading. Raises SourceUnreadable."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SourceUnreadable(error.strerror or str(error)) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_file(
    descriptor: int, hashes: TwoHashes, advance: Advance, sink: Sink | None = None
) -> FileFound:
    """Hash a file, and give its pieces to `sink`.

    Raises:
        SourceUnreadable: it cannot be read to its end.
        OSError: by `sink`.
    """

    def read_into(buffer: memoryview) -> int:
        try:
            count = os.readv(descriptor, [buffer])
        except OSError as error:
            raise SourceUnreadable(error.strerror or str(error)) from error
        advance(count)
        return count

    return hashes.read(read_into, sink)


def read_bytes(content: bytes, hashes: TwoHashes, sink: Sink) -> FileFound:
    """The same for what is in memory."""
    rest = memoryview(content)

    def read_into(buffer: memoryview) -> int:
        nonlocal rest
        count = min(len(buffer), len(rest))
        buffer[:count] = rest[:count]
        rest = rest[count:]
        return count

    return hashes.read(read_into, sink)


def check_size(entry: Entry, found: FileFound) -> None:
    """Refuse a file that grew or shrank meanwhile. Raises SourceUnreadable."""
    if found.size_bytes != entry.size_bytes:
        raise SourceUnreadable(
            f"it had {entry.size_bytes:,} bytes, and {found.size_bytes:,} when it was read"
        )
