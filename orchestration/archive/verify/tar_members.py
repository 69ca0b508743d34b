"""Reads a bag that is a .tar.zst stream, once, and unpacks what the later checks need.

Nothing in it is believed: names that lead out, links, devices and files that come twice are refused
before anything is written, and what is written is bounded by what the disk has left.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Final

from orchestration.archive.bag.hashing import FileFound, TwoHashes
from orchestration.archive.verify.bag_names import why_unsafe
from orchestration.archive.verify.members import BagContent, Progress
from orchestration.archive.verify.tar_stream import StreamDamaged, TarStream, tar_headers
from orchestration.archive.verify.verdicts import Fault
from orchestration.errors import DiskFull
from orchestration.result_folder import writing_to

# For whatever else uses the disk meanwhile.
_SPARE_BYTES: Final = 64 << 20
_MODE: Final = 0o644
_NO_PLACE: Final = "it lies below a file, or where a folder lies"


def read_stream(
    file: Path, scratch: Path, progress: Progress, is_needed: Callable[[str], bool]
) -> BagContent:
    """Hash every file of a bag, and unpack those that are needed below `scratch`.

    Args:
        file: the .tar.zst.
        scratch: an empty folder.
        progress: called as bytes of the compressed file are read.
        is_needed: tells of a path from the bag's own folder on whether the file is unpacked.

    Raises:
        DiskFull, OutputNotWritable: there is no room to unpack.
    """
    content = BagContent(scratch, is_stream=True)
    total_bytes = file.stat().st_size
    with file.open("rb") as packed, TwoHashes() as hashes:
        stream = TarStream(packed)
        reader = _Reader(content, stream, hashes, is_needed)
        try:
            for header in tar_headers(stream):
                if not reader.take(header):
                    break
                progress(packed.tell(), total_bytes)
        except StreamDamaged as error:
            content.broke_off(reader.latest, f"the stream is damaged behind this file: {error}")
    _refuse_below_files(content)
    return content


def _refuse_below_files(content: BagContent) -> None:
    """Refuse what no folder can hold; of what is not unpacked, no file system tells."""
    for path in sorted(content.files):
        above = map(os.fspath, PurePosixPath(path).parents)
        if not content.files.keys().isdisjoint(above):
            content.refuse(path, _NO_PLACE)


class _Reader:
    """Takes the files of a stream one after the other.

    Attributes:
        latest: the path that was read last; "." before the first.
    """

    def __init__(
        self,
        content: BagContent,
        stream: TarStream,
        hashes: TwoHashes,
        is_needed: Callable[[str], bool],
    ) -> None:
        self._content = content
        self._stream = stream
        self._hashes = hashes
        self._is_needed = is_needed
        self._top: str | None = None
        self.latest = "."

    def take(self, header: tarfile.TarInfo) -> bool:
        """Read one file. False: no more are to be read."""
        if (why := self._content.count.add(header.isdir())) is not None:
            self._content.broke_off(self.latest, f"{why}; what lies behind this one was not read")
            return False
        path = self._path(header)
        if path is not None and (header.isdir() or self._is_plain(header, path)):
            if header.isdir():
                return True
            self.latest = path
            self._content.files[path] = self._read(header, path)
        else:
            self._hashes.read(self._bounded(header.size))
        return True

    def _path(self, header: tarfile.TarInfo) -> str | None:
        """Path from the bag's own folder on; "" for that folder, None for what is refused."""
        name = header.name.removeprefix("./").removesuffix("/")
        problem = why_unsafe(name) if name else "it has no name"
        top, _, path = name.partition("/")
        if self._top is None and problem is None:
            self._top = top
        if problem is None and top != self._top:
            problem = f"it lies beside the bag's folder {self._top!r}"
        if problem is None and not path and not header.isdir():
            problem = "it lies where the bag's folder should be"
        if problem is not None:
            self._content.refuse(header.name, problem)
            return None
        return path

    def _is_plain(self, header: tarfile.TarInfo, path: str) -> bool:
        """Whether it is a file that comes for the first time."""
        if not header.isreg() or header.issparse() or header.size < 0:
            kind = "a link" if header.issym() or header.islnk() else "a device, pipe or sparse file"
            self._content.refuse(path, f"it is {kind}, and a bag holds plain files")
            return False
        if path in self._content.files:
            self._content.faults.append(Fault(path, "duplicate", "the stream holds it twice"))
            return False
        return True

    def _read(self, header: tarfile.TarInfo, path: str) -> FileFound:
        read_into = self._bounded(header.size)
        if self._is_needed(path):
            found = self._unpack(path, header.size, read_into)
        else:
            found = self._hashes.read(read_into)
        if found.size_bytes != header.size:
            raise StreamDamaged(f"{path} breaks off after {found.size_bytes:,} bytes")
        return found

    def _unpack(
        self, path: str, size_bytes: int, read_into: Callable[[memoryview], int]
    ) -> FileFound:
        target = self._content.folder / path
        self._check_room(size_bytes)
        with writing_to(self._content.folder), ExitStack() as stack:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                output = stack.enter_context(open(os.open(target, flags, _MODE), "wb"))
            except (FileExistsError, NotADirectoryError):
                # A file where another path has a folder, or two names that are one here.
                self._content.refuse(path, _NO_PLACE)
                return self._hashes.read(read_into)
            return self._hashes.read(read_into, output.write)

    def _check_room(self, size_bytes: int) -> None:
        free_bytes = shutil.disk_usage(self._content.folder).free
        if size_bytes + _SPARE_BYTES > free_bytes:
            raise DiskFull(
                f"There is no room to unpack {size_bytes:,} bytes below {self._content.folder}.",
                f"{size_bytes + _SPARE_BYTES:,} bytes were needed, and {free_bytes:,} are free.",
                "Free some space, or set TMPDIR to a folder on a larger disk.",
            )

    def _bounded(self, size_bytes: int) -> Callable[[memoryview], int]:
        """Reads the content of one file, and no further."""
        left_bytes = max(size_bytes, 0)

        def read_into(buffer: memoryview) -> int:
            nonlocal left_bytes
            count = self._stream.read_content(buffer[: min(len(buffer), left_bytes)])
            left_bytes -= count
            return count

        return read_into
