"""The workers of one lane: started when they are needed, replaced when they are due."""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass

from orchestration.batch.generation import Generation
from orchestration.batch.lane_folder import LaneFolder
from orchestration.batch.lane_services import LaneServices
from orchestration.batch.memory_watch import OverBudget
from orchestration.batch.planned import PlannedItem
from orchestration.batch.stage_worker import Heard, StageWorker
from orchestration.runtimes.base import Stage


@dataclass(frozen=True)
class Stop:
    """Begin nothing more; what is not done at a time is given back.

    Attributes:
        at_s: when, by `time.monotonic()`.
    """

    at_s: float


Inbox = queue.SimpleQueue[Heard | OverBudget | Stop]


class LaneWorkers:
    """At most one worker of each stage.

    Args:
        number: of the lane's queue.
        folder: where the lane works.
        services: what all lanes share.
        inbox: takes what the workers say.
    """

    def __init__(
        self, number: int, folder: LaneFolder, services: LaneServices, inbox: Inbox
    ) -> None:
        self._number = number
        self._folder = folder
        self._services = services
        self._inbox = inbox
        self._workers: dict[Stage, StageWorker] = {}
        self._generation: Generation | None = None

    def is_present(self, worker: StageWorker) -> bool:
        """Whether this worker has not been dismissed."""
        return self._workers.get(worker.stage) is worker

    def is_busy(self, stage: Stage) -> bool:
        """Whether a stage has something to do."""
        worker = self._workers.get(stage)
        return worker is not None and worker.job is not None

    def generation_for(self, planned: PlannedItem) -> Generation:
        """The present generation if it serves an item, else a new one of what comes next."""
        processes = [worker.worker.process for worker in self._workers.values()]
        generation = self._generation
        if generation is None or not generation.serves(planned, processes):
            coming = self._services.queues.upcoming(self._number)
            settings = self._services.settings
            items = [planned, *(other for other in coming if other.missing() is None)]
            items = items[: settings.recycle_after]
            generation = Generation.of(items, self._folder, settings.runtime)
            self._generation = generation
        return generation

    def free_worker(self, stage: Stage, generation: Generation) -> StageWorker:
        """A worker of a generation; one of another, which must be free, makes room for it."""
        worker = self._workers.get(stage)
        if worker is not None and worker.generation is not generation:
            self.dismiss(worker)
            worker = None
        if worker is None:
            services = self._services
            worker = StageWorker(services.runtime, generation, stage, self._inbox.put)
            self._workers[stage] = worker
            services.memory.add(worker, self._inbox.put)
        return worker

    def dismiss(self, worker: StageWorker) -> None:
        """End a worker."""
        del self._workers[worker.stage]
        self._services.memory.remove(worker)
        worker.kill()

    def dismiss_if_due(self, worker: StageWorker) -> None:
        """End a worker that has done enough, or has grown."""
        services = self._services
        is_old = worker.jobs_done >= services.settings.recycle_after
        if is_old or services.memory.is_over_share(worker):
            self.dismiss(worker)

    def dismiss_all(self) -> None:
        """End all workers."""
        for worker in list(self._workers.values()):
            self.dismiss(worker)

    def overdue(self) -> list[StageWorker]:
        """Workers that have had their present item for longer than it may take."""
        return [worker for worker, left_s in self._times_left_s() if left_s <= 0]

    def patience_s(self, longest_s: float) -> float:
        """How long until one may be overdue, at most `longest_s`."""
        return max(0.0, min([longest_s, *(left_s for _, left_s in self._times_left_s())]))

    def _times_left_s(self) -> list[tuple[StageWorker, float]]:
        limit_s = self._services.settings.item_timeout_s
        if limit_s is None:
            return []
        return [
            (worker, worker.started_s + limit_s - time.monotonic())
            for worker in self._workers.values()
            if worker.job is not None and worker.started_s is not None
        ]
