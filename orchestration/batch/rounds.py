"""Lanes at work side by side, until nothing is left that they may begin."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestration.batch.ending import Ending
from orchestration.batch.items import Item
from orchestration.batch.journal import Journal
from orchestration.batch.lane import Lane
from orchestration.batch.lane_services import LaneServices
from orchestration.batch.memory import Lanes
from orchestration.batch.memory_watch import MemoryWatch
from orchestration.batch.planned import PlannedItem
from orchestration.batch.progress import BatchProgress
from orchestration.batch.queues import Queues
from orchestration.batch.settings import BatchSettings
from orchestration.batch.steps import Steps
from orchestration.batch.stopping import GRACE_S, StopRequest
from orchestration.batch.work_folders import WorkFolders
from orchestration.runtimes.base import Runtime

_LOOK_UP_S = 0.2


@dataclass
class Leftovers:
    """What a round leaves for later; told from all its lanes.

    Attributes:
        alone: items that lacked memory beside others.
        others: items that other processes have.
    """

    alone: list[PlannedItem] = field(default_factory=list)
    others: list[Item] = field(default_factory=list)


@dataclass(frozen=True)
class Rounds:
    """Runs rounds of lanes.

    Attributes:
        settings: of the batch.
        runtime: starts the workers.
        journal: claims and records.
        steps: what the host does to items.
        folders: where the lanes work.
        progress: is told of ends.
        stop: whether to come to the end.
    """

    settings: BatchSettings
    runtime: Runtime
    journal: Journal
    steps: Steps
    folders: WorkFolders
    progress: BatchProgress
    stop: StopRequest

    def run(
        self, items: Sequence[PlannedItem], lanes: Lanes, *, is_alone: bool = False
    ) -> Leftovers:
        """Do items on several lanes.

        Args:
            items: all of the round.
            lanes: how many, and what they may hold.
            is_alone: an item that lacks memory is not tried once more.

        Raises:
            OrchestrationError: the batch cannot go on; every lane has ended.
        """
        left = Leftovers()

        def ended(planned: PlannedItem, ending: Ending) -> None:
            if ending.state == "released" and ending.error is not None:
                left.alone.append(planned)
            self.progress.ended(ending)

        def taken(planned: PlannedItem) -> None:
            left.others.append(planned.item)

        with MemoryWatch(lanes.budget_bytes, lanes.worker_share_bytes) as memory:
            services = LaneServices(
                self.runtime,
                self.settings,
                Queues(items, lanes.count),
                self.journal,
                self.steps,
                memory,
                is_alone,
                ended,
                taken,
            )
            opened = [
                Lane(number, self.folders.of_lane(number), services)
                for number in range(lanes.count)
            ]
            self._run_all(opened)
        return left

    def _run_all(self, lanes: Sequence[Lane]) -> None:
        """Run lanes to their ends; when one fails, the others come to theirs, and it is told."""
        failures: list[BaseException] = []

        def run(lane: Lane) -> None:
            try:
                lane.run()
            except BaseException as error:  # noqa: BLE001 - it is raised where the lanes are joined
                failures.append(error)
                for other in lanes:
                    other.stop(time.monotonic() + GRACE_S)

        def stop_all(at_s: float) -> None:
            for lane in lanes:
                lane.stop(at_s)

        threads = [threading.Thread(target=run, args=(lane,), daemon=True) for lane in lanes]
        self.stop.tell(stop_all)
        try:
            for thread in threads:
                thread.start()
            # A signal that arrives just before a wait without end is not seen until its end.
            while any(thread.is_alive() for thread in threads):
                for thread in threads:
                    thread.join(_LOOK_UP_S / len(threads))
        finally:
            self.stop.forget(stop_all)
        if failures:
            raise failures[0]
