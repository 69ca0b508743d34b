"""A bag that is one file: tar, compressed by Zstandard, written from its start to its end."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final

from orchestration.archive.bag.hashing import FileFound, TwoHashes
from orchestration.archive.bag.source_reader import (
    Advance,
    check_size,
    opened,
    read_bytes,
    read_file,
)
from orchestration.archive.entries import Entry
from orchestration.tar_stream import END, tar_header, tar_padding

if TYPE_CHECKING:
    from zstandard import ZstdCompressionWriter

# More effort takes twice the time or longer, and weights get no smaller.
_LEVEL: Final = 1
# Compressing goes on beside reading and hashing. The bytes do not depend on the number.
_THREADS: Final = 1


class StreamSink:
    """Writes files one after the other; a context manager.

    Args:
        file: to be written; there is none yet.
        name: of the bag's folder in the tar file.
        modified_s: time of every file in it, in seconds since 1970.
        hashes: what reads.
        advance: told of the bytes that were read.
    """

    def __init__(
        self, file: Path, name: str, modified_s: int, hashes: TwoHashes, advance: Advance
    ) -> None:
        self._path = file
        self._name = name
        self._modified_s = modified_s
        self._hashes = hashes
        self._advance = advance
        self._file = file.open("xb")
        self._stream = _compressed(self._file)

    def __enter__(self) -> StreamSink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, path: str, entry: Entry) -> FileFound:
        """Write an entry with a path from the bag's folder on.

        Raises:
            SourceUnreadable: its file cannot be read, or changes meanwhile.
            OSError: the stream cannot be written.
        """
        name = f"{self._name}/{path}"
        self._stream.write(tar_header(name, entry.size_bytes, self._modified_s))
        if isinstance(entry.source, bytes):
            found = read_bytes(entry.source, self._hashes, self._stream.write)
        else:
            with opened(entry.source) as source:
                found = read_file(source, self._hashes, self._advance, self._stream.write)
        check_size(entry, found)
        self._stream.write(tar_padding(entry.size_bytes))
        return found

    def finish(self) -> None:
        """End the stream, and have it on the disk."""
        from zstandard import FLUSH_FRAME

        self._stream.write(END)
        self._stream.flush(FLUSH_FRAME)
        self._file.flush()
        os.fsync(self._file.fileno())


def _compressed(file: IO[bytes]) -> ZstdCompressionWriter:
    """What compresses into a file; imported now, for most commands make no bag."""
    import zstandard

    compressor = zstandard.ZstdCompressor(level=_LEVEL, threads=_THREADS, write_checksum=True)
    return compressor.stream_writer(file, closefd=False)
