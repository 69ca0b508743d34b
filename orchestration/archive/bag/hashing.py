"""Both hashes of a file in one reading: SHA-512 in a thread beside, for it takes the longer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from orchestration.archive.layout import HASHES

_PIECE_BYTES: Final = 1 << 20
# Below, handing over to the other thread costs more than it saves.
_WORTH_A_THREAD_BYTES: Final = 1 << 16

ReadInto = Callable[[memoryview], int]
Sink = Callable[[memoryview], object]


@dataclass(frozen=True, slots=True)
class FileFound:
    """A file as it lies in the bag.

    Attributes:
        size_bytes: its length.
        digests: in the order of `layout.HASHES`.
    """

    size_bytes: int
    digests: tuple[bytes, ...]

    def hex(self, algorithm: str) -> str:
        """One of its hashes in hexadecimal digits."""
        return self.digests[HASHES.index(algorithm)].hex()


class TwoHashes:
    """Reads files and hashes them; a context manager, for it holds a thread and two buffers."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._buffers = [memoryview(bytearray(_PIECE_BYTES)) for _ in range(2)]

    def __enter__(self) -> TwoHashes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown()

    def read(self, read_into: ReadInto, sink: Sink | None = None) -> FileFound:
        """Read to the end, and hash.

        Args:
            read_into: fills a buffer from its start and gives the number of bytes; 0 at the end.
            sink: takes each piece as well, before the next is read.
        """
        first, second = (hashlib.new(name) for name in HASHES)
        pending: Future[None] | None = None
        size_bytes = turn = 0
        while count := read_into(self._buffers[turn]):
            piece = self._buffers[turn][:count]
            size_bytes += count
            if pending is not None:
                pending.result()
            if count >= _WORTH_A_THREAD_BYTES:
                pending = self._thread.submit(second.update, piece)
            else:
                pending = None
                second.update(piece)
            first.update(piece)
            if sink is not None:
                sink(piece)
            turn = 1 - turn
        if pending is not None:
            pending.result()
        return FileFound(size_bytes, (first.digest(), second.digest()))
