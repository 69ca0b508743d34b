"""What an archive holds, one member after the other, whatever kind of archive it is."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
from contextlib import contextmanager
from types import MappingProxyType
from typing import IO, Any, Callable, Iterator, Mapping, NamedTuple, Optional

from stage_extract.errors import UnsupportedFormat
from stage_extract.files import open_for_reading

FILE, FOLDER, OTHER = "file", "folder", "other"
_TAR_BLOCK_BYTES = 512
_ENCRYPTED_FLAG = 0x1
# The first bytes of a compressed file -> what decompresses it.
_DECOMPRESSORS: Mapping[bytes, Any] = MappingProxyType(
    {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
)
_ZIP_START = b"PK\x03\x04"


class Member(NamedTuple):
    """One member of an archive.

    Attributes:
        name: its path in the archive, as the archive spells it.
        kind: FILE, FOLDER, or OTHER (a link, a device, a pipe).
        size_bytes: unpacked size, as the archive declares it; None if it does not.
        open: gives its bytes; only while the next member has not been asked for.
    """

    name: str
    kind: str
    size_bytes: Optional[int]
    open: Callable[[], IO[bytes]]


class BoundedFile:
    """A file for `tarfile` that refuses to read much at once, or far.

    `tarfile` takes a header's word for the length of a long name and reads that much into memory.

    Args:
        file: plain or decompressing.
        limit_bytes: how far it may be read.
        most_at_once_bytes: largest single read.
        refuse: makes the error for a file that goes on further than allowed.
    """

    def __init__(
        self,
        file: IO[bytes],
        limit_bytes: int,
        most_at_once_bytes: int,
        refuse: Callable[[int], Exception],
    ) -> None:
        self._file = file
        self._limit_bytes = limit_bytes
        self._most_at_once_bytes = most_at_once_bytes
        self._refuse = refuse

    def read(self, size_bytes: int) -> bytes:
        """Read as `file` does."""
        if not 0 <= size_bytes <= self._most_at_once_bytes:
            raise self._refuse(size_bytes)
        self._check(self._file.tell() + size_bytes)
        return self._file.read(size_bytes)

    def tell(self) -> int:
        """Give the position, unpacked."""
        return self._file.tell()

    def seek(self, position: int) -> int:
        """Go to a position; a compressed file is decompressed up to there."""
        self._check(position)
        return self._file.seek(position)

    def _check(self, position: int) -> None:
        # A tar ends with a block that is asked for whole, whatever is left of it.
        if position > self._limit_bytes + tarfile.RECORDSIZE:
            raise self._refuse(position)


@contextmanager
def open_members(
    path: str, limit_bytes: int, most_at_once_bytes: int, refuse: Callable[[int], Exception]
) -> Iterator[Iterator[Member]]:
    """Open an archive, and give its members in the order in which they are stored.

    Args:
        path: the archive: tar, compressed tar, zip, or one compressed file.
        limit_bytes: how many unpacked bytes may be looked at.
        most_at_once_bytes: most that may be read at once.
        refuse: makes the error for what is over a limit.

    Raises:
        UnsupportedFormat: a member is encrypted.
        NotReadable: the operating system refuses.
        EOFError, OSError, ValueError, tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError: the
            archive is damaged; while the members are given as well.
    """
    with open_for_reading(path) as file:
        head = file.read(_TAR_BLOCK_BYTES)
        file.seek(0)
        if head.startswith(_ZIP_START):
            with zipfile.ZipFile(file) as archive:
                yield _zip_members(path, archive)
            return
        decompress = next(
            (_DECOMPRESSORS[one] for one in _DECOMPRESSORS if head.startswith(one)), None
        )
        plain: IO[bytes] = file if decompress is None else decompress(file)
        if decompress is not None and not _is_tar_header(plain.read(_TAR_BLOCK_BYTES)):
            plain.seek(0)
            yield iter([Member(_name_unpacked(path), FILE, None, lambda: plain)])
            return
        plain.seek(0)
        bounded: Any = BoundedFile(plain, limit_bytes, most_at_once_bytes, refuse)
        with tarfile.open(
            fileobj=bounded, mode="r:", encoding="utf-8", errors="surrogateescape"
        ) as archive_of_tape:
            yield _tar_members(archive_of_tape)


def _is_tar_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        # An empty tar is nothing but blocks of zeros.
        return type(error).__name__ == "EOFHeaderError"
    return True


def _name_unpacked(path: str) -> str:
    """Give the name of the one file that a compressed file holds."""
    name, suffix = os.path.splitext(os.path.basename(path))
    return name if suffix else f"{name}.unpacked"


def _tar_members(archive: tarfile.TarFile) -> Iterator[Member]:
    for info in iter(archive.next, None):
        kind = FILE if info.isreg() else FOLDER if info.isdir() else OTHER
        yield Member(info.name, kind, info.size, _tar_opener(archive, info))
        # Else the list of all members grows with the archive.
        archive.members = []  # type: ignore[attr-defined]


def _tar_opener(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def open_member() -> IO[bytes]:
        file = archive.extractfile(info)
        if file is None:
            raise ValueError(f"{info.name!r} has no content")
        return file

    return open_member


def _zip_members(path: str, archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        if info.flag_bits & _ENCRYPTED_FLAG:
            raise UnsupportedFormat(
                f"{info.filename!r} in {path!r} is encrypted.",
                "Expected an archive without a password.",
                "Unpack it yourself, and give the folder.",
            )
        mode = info.external_attr >> 16
        is_other = stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)
        kind = OTHER if is_other else FOLDER if info.is_dir() else FILE
        yield Member(info.filename, kind, info.file_size, _zip_opener(archive, info))


def _zip_opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(info)
