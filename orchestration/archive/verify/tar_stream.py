"""A tar file inside a Zstandard stream, read forwards once. It may come from anybody.

Whatever its headers say, memory stays small: the window of the compression and the size of a header
are bounded, and what was read is forgotten.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

import zstandard

_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_WINDOW_BYTES: Final = 1 << 27
_HEADER_BYTES: Final = 1 << 20
_DRAIN_BYTES: Final = 1 << 16
_MOST_PADDING_BYTES: Final = 1 << 20
_ZEROS: Final = bytes(tarfile.BLOCKSIZE)
# A frame of its own behind the last one. The library does not tell a frame that was cut off from a
# whole one; behind a cut one this is no frame any more.
_MARK: Final = b"end of the stream"
_MARK_FRAME: Final = zstandard.ZstdCompressor(write_content_size=True).compress(_MARK)


class StreamDamaged(Exception):
    """The stream is not what this program writes; the text tells what is wrong."""


def is_stream(file: Path) -> bool:
    """Whether a file begins as a Zstandard stream does. Raises OSError."""
    with file.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


class TarStream(io.RawIOBase):
    """What `tarfile` reads headers from, and the content of files besides.

    Args:
        file: the compressed file; its position tells how far it was read.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
        self._reader = decompressor.stream_reader(
            cast("IO[bytes]", _WithMark(file)), read_across_frames=True
        )
        self._position = 0
        self._header_bytes = 0
        self._block = b""

    def tell(self) -> int:
        """Bytes of the tar file that were read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Read on to a place further behind: `tarfile` skips padding so."""
        if whence != io.SEEK_SET or not 0 <= offset - self._position < tarfile.BLOCKSIZE:
            raise StreamDamaged("a header points outside of the file")
        self._take(offset - self._position)
        return self._position

    def read(self, size_bytes: int = -1) -> bytes:
        """Bytes of a header."""
        self._header_bytes += size_bytes
        if size_bytes < 0 or self._header_bytes > _HEADER_BYTES:
            raise StreamDamaged(f"a header is larger than {_HEADER_BYTES:,} bytes")
        self._block = self._take(size_bytes)
        return self._block

    def begin_header(self) -> None:
        """What is read by `read` from now on belongs to the next file's header."""
        self._header_bytes = 0

    def read_content(self, buffer: memoryview) -> int:
        """Fill a buffer with what comes next, as far as it goes."""
        if not buffer:
            return 0
        try:
            count = int(self._reader.readinto(buffer))
        except zstandard.ZstdError as error:
            raise StreamDamaged(f"it cannot be decompressed: {error}") from error
        except OSError as error:
            raise StreamDamaged(f"it cannot be read: {error.strerror}") from error
        self._position += count
        return count

    def check_end(self) -> None:
        """Check that the tar file has ended as it should, and that nothing lies behind it."""
        if self._block != _ZEROS:
            raise StreamDamaged("it breaks off, or a header in it is damaged")
        buffer, left, tail = memoryview(bytearray(_DRAIN_BYTES)), _MOST_PADDING_BYTES, b""
        while count := self.read_content(buffer):
            left -= count
            tail = (tail + bytes(buffer[:count])).lstrip(b"\0")
            if left < 0 or len(tail) > len(_MARK):
                raise StreamDamaged("something lies behind its end")
        if tail != _MARK:
            raise StreamDamaged("its end is missing")

    def _take(self, size_bytes: int) -> bytes:
        taken, view = 0, memoryview(bytearray(size_bytes))
        while taken < size_bytes and (count := self.read_content(view[taken:])):
            taken += count
        return bytes(view[:taken])


def tar_headers(stream: TarStream) -> Iterator[tarfile.TarInfo]:
    """Header after header; the content of each is to be read before the next is asked for.

    Raises:
        StreamDamaged: it is no tar file, breaks off, or goes on behind its end.
    """
    try:
        archive = tarfile.TarFile(fileobj=stream, mode="r", encoding="utf-8")
        while (header := archive.next()) is not None:
            yield header
            # It remembers every header; a hostile file has very many.
            archive.members.clear()  # type: ignore[attr-defined]
            stream.begin_header()
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise StreamDamaged(f"it is no tar file: {error}") from error
    stream.check_end()


class _WithMark:
    """A compressed file with one more frame behind it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._mark = _MARK_FRAME

    def read(self, size_bytes: int) -> bytes:
        piece = self._file.read(size_bytes)
        if not piece:
            piece, self._mark = self._mark, b""
        return piece
