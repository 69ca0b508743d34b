"""Watches what the workers hold in memory, since a kernel short of it kills whom it likes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from orchestration.batch.stage_worker import StageWorker
from orchestration.errors import OrchestrationError, OutOfMemory

_EVERY_S = 0.5
_MEGABYTE = 1e6


@dataclass(frozen=True)
class OverBudget:
    """All workers together hold too much, and this one the most.

    Attributes:
        worker: which is to be ended.
        error: what its item fails with.
    """

    worker: StageWorker
    error: OutOfMemory


class MemoryWatch:
    """Looks at all workers now and then, as long as it is entered.

    Args:
        budget_bytes: what all may hold together.
        share_bytes: a worker that holds more after an item is to be replaced.
        every_s: how often to look.
    """

    def __init__(self, budget_bytes: int, share_bytes: int, every_s: float = _EVERY_S) -> None:
        self._budget_bytes = budget_bytes
        self._share_bytes = share_bytes
        self._every_s = every_s
        self._tell: dict[StageWorker, Callable[[OverBudget], None]] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def add(self, worker: StageWorker, tell: Callable[[OverBudget], None]) -> None:
        """Watch a worker; `tell` hears if it is to be ended."""
        with self._lock:
            self._tell[worker] = tell

    def remove(self, worker: StageWorker) -> None:
        """Watch it no more."""
        with self._lock:
            self._tell.pop(worker, None)

    def is_over_share(self, worker: StageWorker) -> bool:
        """Whether a worker that has just done an item still holds too much."""
        return (_held_bytes(worker) or 0) > self._share_bytes

    def look(self) -> None:
        """Measure all workers, and tell the largest one's lane if they hold too much."""
        with self._lock:
            watched = list(self._tell)
        sizes = {worker: size for worker in watched if (size := _held_bytes(worker)) is not None}
        total_bytes = sum(sizes.values())
        if total_bytes <= self._budget_bytes:
            return
        largest = max(sizes, key=lambda worker: sizes[worker])
        with self._lock:
            tell = self._tell.get(largest)
        if tell is not None:
            error = _too_much(largest, sizes[largest], total_bytes, self._budget_bytes)
            tell(OverBudget(largest, error))

    def _watch(self) -> None:
        while not self._end.wait(self._every_s):
            self.look()


def _held_bytes(worker: StageWorker) -> int | None:
    # It may end while it is looked at.
    with suppress(OrchestrationError):
        return worker.worker.process.memory_bytes()
    return None


def _too_much(
    worker: StageWorker, size_bytes: int, total_bytes: int, budget_bytes: int
) -> OutOfMemory:
    return OutOfMemory(
        f"Stage {worker.stage} held {size_bytes / _MEGABYTE:,.0f} MB when all workers together"
        f" held {total_bytes / _MEGABYTE:,.0f} MB.",
        f"Together they may hold {budget_bytes / _MEGABYTE:,.0f} MB.",
        "Give the batch more with --memory-gb, or fewer items at once with --jobs.",
    )
