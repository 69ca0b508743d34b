"""Unpacks an archive into an empty folder: plain files and folders, below it, up to a limit."""

from __future__ import annotations

import errno
import lzma
import os
import shutil
import struct
import tarfile
import zipfile
import zlib
from typing import IO, List, NamedTuple, Tuple

from stage_extract.archives.members import FOLDER, OTHER, Member, open_members
from stage_extract.errors import ArchiveRefused, CorruptIndex, DiskFull, TruncatedData

MEMBERS_LIMIT = 100_000
TOTAL_LIMIT_BYTES = 64 * 10**9
# Weights hardly compress; a graph as text, or zeros, do. Only bombs are beyond both together.
COMPRESSION_LIMIT = 100
SMALL_BYTES = 64 * 2**20
_PIECE_BYTES = 2**20
_MOST_AT_ONCE_BYTES = 4 * 2**20
_NAME_LIMIT_BYTES = 255
_PATH_LIMIT_BYTES = 1024
_NAMES_TOLD = 3
_DAMAGED = (
    OSError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


class Unpacked(NamedTuple):
    """What came out of an archive.

    Attributes:
        files: number of files.
        warnings: what was left out.
    """

    files: int
    warnings: Tuple[str, ...]


def unpack(path: str, folder: str) -> Unpacked:
    """Unpack an archive.

    Links, devices and pipes are left out and told: what they would lead to is not in the archive.

    Args:
        path: the archive.
        folder: an empty folder.

    Raises:
        ArchiveRefused: a name leads out of the folder or comes twice, or there is too much in it.
        UnsupportedFormat: it is encrypted or compressed in a way that is not read.
        TruncatedData, CorruptIndex: it is cut off or damaged.
        DiskFull: the folder has no room for it.
        NotReadable: the operating system refuses to read it.
    """
    unpacking = _Unpacking(path, folder)
    try:
        with open_members(
            path, unpacking.limit_bytes, _MOST_AT_ONCE_BYTES, unpacking.refuse_size
        ) as members:
            for member in members:
                unpacking.take(member)
    except EOFError as error:
        raise TruncatedData(
            f"The archive {path!r} ends in the middle of a member.",
            "Expected a whole archive.",
            "Copy or download it again.",
        ) from error
    except _DAMAGED as error:
        raise _damaged(path, folder, error) from error
    return unpacking.result()


class _Unpacking:
    """Counts what has been unpacked."""

    def __init__(self, path: str, folder: str) -> None:
        self._path = path
        self._folder = folder
        size_bytes = os.path.getsize(path)
        self.limit_bytes = min(TOTAL_LIMIT_BYTES, SMALL_BYTES + COMPRESSION_LIMIT * size_bytes)
        self._total_bytes = 0
        self._members = 0
        self._files = 0
        self._left_out: List[str] = []

    def take(self, member: Member) -> None:
        """Write one member, or note that it is left out."""
        self._members += 1
        if self._members > MEMBERS_LIMIT:
            raise self._refused(f"holds more than {MEMBERS_LIMIT} members")
        if member.kind == OTHER:
            self._left_out.append(member.name)
            return
        target = self._target(member.name)
        if member.kind == FOLDER:
            self._make_folder(target, member.name)
            return
        self._check_room(member.size_bytes or 0)
        self._make_folder(os.path.dirname(target), member.name)
        with member.open() as source, self._new_file(target, member.name) as file:
            self._copy(source, file)
        self._files += 1

    def result(self) -> Unpacked:
        """Give what came out of it."""
        if not self._left_out:
            return Unpacked(self._files, ())
        told = ", ".join(map(repr, self._left_out[:_NAMES_TOLD]))
        more = len(self._left_out) - _NAMES_TOLD
        warning = (
            f"{len(self._left_out)} links or special files of the archive are left out: {told}"
            f"{f' and {more} more' if more > 0 else ''}."
        )
        return Unpacked(self._files, (warning,))

    def refuse_size(self, size_bytes: int) -> ArchiveRefused:
        """Make the error for an archive that asks for more than is allowed."""
        return self._refused(
            f"unpacks to more than is allowed ({size_bytes} bytes at once, or more than "
            f"{self.limit_bytes} in all)"
        )

    def _refused(self, what: str) -> ArchiveRefused:
        return ArchiveRefused(
            f"The archive {self._path!r} {what}.",
            f"Expected at most {MEMBERS_LIMIT} members with plain names below one folder, which "
            f"unpack to at most {TOTAL_LIMIT_BYTES} bytes and {COMPRESSION_LIMIT} times its size.",
            "Unpack it yourself where that is safe, and give the folder.",
        )

    def _target(self, name: str) -> str:
        """Give the path of a member below the folder."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        encoded = os.fsencode(name)
        if name.startswith("/") or ".." in parts or "\0" in name:
            raise self._refused(f"has a member {name[:80]!r}, which leads out of its folder")
        if len(encoded) > _PATH_LIMIT_BYTES or any(
            len(os.fsencode(part)) > _NAME_LIMIT_BYTES for part in parts
        ):
            raise self._refused(f"has a member with a name of {len(encoded)} bytes")
        return os.path.join(self._folder, *parts)

    def _check_room(self, size_bytes: int) -> None:
        if self._total_bytes + size_bytes > self.limit_bytes:
            raise self.refuse_size(self._total_bytes + size_bytes)
        if size_bytes > shutil.disk_usage(self._folder).free:
            raise _disk_full(self._path, self._folder)

    def _make_folder(self, target: str, name: str) -> None:
        try:
            os.makedirs(target, mode=0o700, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise self._twice(name) from error

    def _twice(self, name: str) -> ArchiveRefused:
        return self._refused(f"holds {name!r}, or a file that is to be its folder, twice")

    def _new_file(self, target: str, name: str) -> IO[bytes]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.fdopen(os.open(target, flags, 0o600), "wb")
        except (FileExistsError, IsADirectoryError) as error:
            raise self._twice(name) from error

    def _copy(self, source: IO[bytes], file: IO[bytes]) -> None:
        while True:
            piece = source.read(_PIECE_BYTES)
            if not piece:
                return
            self._total_bytes += len(piece)
            # What a member declares is not always what it unpacks to.
            if self._total_bytes > self.limit_bytes:
                raise self.refuse_size(self._total_bytes)
            file.write(piece)


def _disk_full(path: str, folder: str) -> DiskFull:
    return DiskFull(
        f"There is no room in {folder!r} to unpack the archive {path!r}.",
        "Expected room for what it holds, and for the export beside it.",
        "Make room, give another folder with --out, or unpack it yourself elsewhere.",
    )


def _damaged(path: str, folder: str, error: Exception) -> Exception:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _disk_full(path, folder)
    return CorruptIndex(
        f"The archive {path!r} cannot be unpacked: {error}.",
        "Expected a whole tar or zip archive, or one file that gzip, bzip2 or xz compressed.",
        "Copy or download it again; if it is whole, unpack it yourself and give the folder.",
    )
