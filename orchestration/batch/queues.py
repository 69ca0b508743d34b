"""Which lane does which item: queues balanced by bytes; a lane without items takes others'."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from orchestration.batch.plan import FIXED_COST_BYTES
from orchestration.batch.planned import PlannedItem


class Queues:
    """The items that nobody has begun; safe to use from all lanes.

    Args:
        items: all of them.
        lanes: how many queues.
    """

    def __init__(self, items: Iterable[PlannedItem], lanes: int) -> None:
        self._lock = threading.Lock()
        self._queues: list[deque[PlannedItem]] = [deque() for _ in range(lanes)]
        weights = [0] * lanes
        for planned in sorted(items, key=_largest_first):
            lightest = weights.index(min(weights))
            self._queues[lightest].append(planned)
            weights[lightest] += planned.item.size_bytes + FIXED_COST_BYTES
        for queue in self._queues:
            _by_reader(queue)

    def take(self, lane: int) -> PlannedItem | None:
        """The next item of a lane; None when there is no more for anybody."""
        with self._lock:
            own = self._queues[lane]
            if not own:
                longest = max(self._queues, key=len)
                own.extend(reversed([longest.pop() for _ in range((len(longest) + 1) // 2)]))
            return own.popleft() if own else None

    def upcoming(self, lane: int) -> tuple[PlannedItem, ...]:
        """What a lane would take next, in this order."""
        with self._lock:
            return tuple(self._queues[lane])


def _largest_first(planned: PlannedItem) -> tuple[int, str]:
    return -planned.item.size_bytes, planned.item.name


def _by_reader(queue: deque[PlannedItem]) -> None:
    """Bring items of one reader together, since a worker has one; else the order stays."""
    ordered = sorted(queue, key=lambda planned: planned.reader)
    queue.clear()
    queue.extend(ordered)
