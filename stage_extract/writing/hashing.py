"""SHA-256 of the input files, computed beside the reading of their tensors."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import TracebackType
from typing import Any, Dict, List, Optional, Sequence, Tuple, Type

from stage_extract.errors import NotReadable
from stage_extract.files import check_plain_file, not_readable

DATA_FOLDER = "data"
_BLOCK_SIZE_BYTES = 1024 * 1024


def _state(path: str) -> Optional[Tuple[int, int, int, int]]:
    """What tells a file from one that was written since; None of one that is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _changed(path: str) -> NotReadable:
    return NotReadable(
        f"{path!r} cannot be read: it changed while it was read.",
        "Expected files that nobody writes to: parts of two models together are none.",
        "Wait until the training or the copying that writes it has ended, and extract again.",
    )


class InputHasher:
    """Hashes files in one thread, from entering the context on; leaving it early stops the thread.

    hashlib and the reads release the interpreter's lock, and both passes share the page cache.

    Args:
        paths: the files, in the order of the result.
        folder: what their names in the result are relative to. Files elsewhere, which are those of
            the data folder, have base names, and are marked.
    """

    def __init__(self, paths: Sequence[str], folder: str) -> None:
        self._paths = list(paths)
        self._folder = folder
        self._stopped = Event()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="input-hash")

    def __enter__(self) -> InputHasher:
        self._states = [_state(path) for path in self._paths]
        self._futures = [self._executor.submit(self._describe, path) for path in self._paths]
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._stopped.set()
        self._executor.shutdown()

    def result(self) -> List[Dict[str, Any]]:
        """Wait for the hashes; gives name, size_bytes and sha256 of each file, and its place.

        Raises:
            NotReadable: the operating system refuses, or a file is not what it was on entering.
        """
        described = [future.result() for future in self._futures]
        for path, before in zip(self._paths, self._states):
            if _state(path) != before:
                raise _changed(path)
        return described

    def _place(self, path: str) -> Dict[str, Any]:
        relative = os.path.relpath(path, self._folder or ".")
        if relative.split(os.sep)[0] == os.pardir:
            return {"name": os.path.basename(path), "place": DATA_FOLDER}
        return {"name": relative}

    def _describe(self, path: str) -> Dict[str, Any]:
        digest = hashlib.sha256()
        size_bytes = 0
        buffer = bytearray(_BLOCK_SIZE_BYTES)
        view = memoryview(buffer)
        check_plain_file(path)
        try:
            with open(path, "rb", buffering=0) as file:
                while not self._stopped.is_set():
                    count = file.readinto(buffer)
                    if not count:
                        break
                    digest.update(view[:count])
                    size_bytes += count
        except OSError as error:
            raise not_readable(path, error) from error
        return {
            **self._place(path),
            "size_bytes": size_bytes,
            "sha256": digest.hexdigest(),
        }
