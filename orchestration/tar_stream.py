"""Tar files in pieces: nothing is held in memory, and equal contents give equal bytes."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

PIECE_BYTES: Final = 1 << 20
END: Final = b"\0" * (2 * tarfile.BLOCKSIZE)


def tar_member(name: str, size_bytes: int, content: Iterable[bytes]) -> Iterator[bytes]:
    """A regular file of a tar file: its owner (0), mode (644) and time (1970) are fixed."""
    yield tar_header(name, size_bytes)
    yield from content
    yield tar_padding(size_bytes)


def tar_header(name: str, size_bytes: int, modified_s: int = 0) -> bytes:
    """What comes before a regular file's content: owner 0, mode 644.

    Args:
        name: its path.
        size_bytes: its size.
        modified_s: its time, in seconds since 1970.
    """
    header = tarfile.TarInfo(name)
    header.size = size_bytes
    header.mode = 0o644
    header.mtime = modified_s
    return header.tobuf(tarfile.PAX_FORMAT)


def tar_padding(size_bytes: int) -> bytes:
    """What comes after a file's content, so that the next one begins with a block."""
    return b"\0" * (-size_bytes % tarfile.BLOCKSIZE)


def tar_folder(name: str) -> bytes:
    """A folder of a tar file, for readers that make none of their own accord."""
    header = tarfile.TarInfo(name)
    header.type = tarfile.DIRTYPE
    header.mode = 0o755
    return header.tobuf(tarfile.PAX_FORMAT)


def file_pieces(path: Path) -> Iterator[bytes]:
    """The content of a file."""
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


class PieceReader:
    """What comes in pieces, read as a file is: by number of bytes, from the start to the end.

    Args:
        pieces: the content.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""

    def read(self, size_bytes: int) -> bytes:
        """The next bytes; fewer than asked for only at the end."""
        taken, length = [self._rest], len(self._rest)
        while length < size_bytes and (piece := next(self._pieces, None)) is not None:
            taken.append(piece)
            length += len(piece)
        content = b"".join(taken)
        self._rest = content[size_bytes:]
        return content[:size_bytes]
