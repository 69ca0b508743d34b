"""A lane: one worker of either stage. Stage 2 works on an item while stage 1 reads the next."""

from __future__ import annotations

import queue
import time
from collections import deque
from contextlib import suppress

from orchestration.batch.ending import Ending, EndState, concerns_all_items, wants_memory
from orchestration.batch.lane_folder import LaneFolder
from orchestration.batch.lane_services import LaneServices
from orchestration.batch.lane_workers import Inbox, LaneWorkers, Stop
from orchestration.batch.memory_watch import OverBudget
from orchestration.batch.stage_worker import Heard, Job, StageWorker
from orchestration.batch.stopping import STOP_SIGNALS
from orchestration.batch.work import Work
from orchestration.errors import CheckpointMissing, ItemTimedOut, OrchestrationError, StageCrashed
from orchestration.runtimes.base import Event, ExitStatus
from orchestration.stage_specs import check_job, extract_job, load_job

_LONGEST_WAIT_S = 3600.0
_ORDER_COMES_WITHIN_S = 0.5
# Exit codes of a process that was told to go, and went.
_ORDERED_AWAY = tuple(128 + number for number in STOP_SIGNALS)


class Lane:
    """One lane; `run` is the body of its thread.

    Args:
        number: of its queue.
        folder: where it works.
        services: what all lanes share.
    """

    def __init__(self, number: int, folder: LaneFolder, services: LaneServices) -> None:
        self._number = number
        self._folder = folder
        self._services = services
        self._inbox: Inbox = queue.SimpleQueue()
        self._workers = LaneWorkers(number, folder, services, self._inbox)
        # Items that this lane has claimed; what each stage has of them.
        self._open: list[Work] = []
        self._reading: Work | None = None
        self._waiting: deque[Work] = deque()
        self._loading: Work | None = None
        self._stop_at_s: float | None = None
        # Workers that were told to go, and whose end waits for the order to arrive here, too.
        self._awaited: set[StageWorker] = set()

    def stop(self, at_s: float) -> None:
        """Begin nothing more, and give back at a time what is not done; from any thread."""
        self._inbox.put(Stop(at_s))

    def run(self) -> None:
        """Do items until there are none, or until it is stopped.

        Raises:
            OrchestrationError: the batch cannot go on.
        """
        try:
            self._folder.make()
            self._feed()
            while (self._open or self._reading is not None) and not self._is_late():
                self._hear()
                self._feed()
        finally:
            self._give_up()

    def _is_late(self) -> bool:
        return self._stop_at_s is not None and time.monotonic() >= self._stop_at_s

    def _feed(self) -> None:
        """Give each stage that is free something to do."""
        if self._reading is None and self._stop_at_s is None and not self._has_spare_export():
            self._begin_next()
        if self._workers.is_busy("load"):
            return
        if self._waiting:
            self._load(self._waiting.popleft())
        elif self._reading is not None and not self._reading.is_checked:
            self._check(self._reading)

    def _has_spare_export(self) -> bool:
        """One export ahead of stage 2 keeps that busy; more would only fill the disk."""
        return len(self._waiting) > (self._loading is None)

    def _begin_next(self) -> None:
        """Claim an item and let stage 1 read it."""
        services = self._services
        while (planned := services.queues.take(self._number)) is not None:
            attempt = services.journal.claim(planned.item)
            if attempt is None:
                services.on_others(planned)
                continue
            work = services.steps.open_work(planned, attempt, self._folder)
            self._open.append(work)
            try:
                self._begin(work)
            except CheckpointMissing as error:
                self._fail(work, error)
            else:
                return

    def _begin(self, work: Work) -> None:
        planned, steps = work.planned, self._services.steps
        steps.make_room(work)
        work.generation = self._workers.generation_for(planned)
        if steps.reuse_export(work):
            self._waiting.append(work)
            return
        self._reading = work
        reader = self._workers.free_worker("extract", work.generation)
        process = reader.worker.process
        out = work.folder.reading
        line = extract_job("extract", process, planned.checkpoint, out, planned.options)
        reader.ask(Job("extract", work), line)

    def _check(self, work: Work) -> None:
        """Let stage 2 look at an item's options while stage 1 reads it."""
        loader = self._workers.free_worker("load", work.generation)
        settings = work.planned.item.settings
        line = check_job(loader.worker.process, settings.load, settings.runtime.device)
        loader.ask(Job("check", work), line)

    def _load(self, work: Work) -> None:
        self._loading = work
        loader = self._workers.free_worker("load", work.generation)
        settings, folder = work.planned.item.settings, work.folder
        process, device = loader.worker.process, settings.runtime.device
        line = load_job(process, folder.export, folder.result, settings.load, device)
        loader.ask(Job("load", work), line)

    def _hear(self) -> None:
        """Wait for something to happen, and deal with it."""
        longest_s = _LONGEST_WAIT_S
        if self._stop_at_s is not None:
            longest_s = self._stop_at_s - time.monotonic()
        with suppress(queue.Empty):
            message = self._inbox.get(timeout=self._workers.patience_s(longest_s))
            if isinstance(message, Stop):
                self._stop_at_s = message.at_s
            elif not self._workers.is_present(message.worker):
                pass  # Its end is known.
            elif isinstance(message, OverBudget):
                self._lose(message.worker, message.error)
            else:
                self._heard(message)
        for worker in self._workers.overdue():
            self._lose(worker, _timed_out(worker, self._services.settings.item_timeout_s))

    def _heard(self, message: Heard) -> None:
        worker = message.worker
        if message.error is not None:
            if not isinstance(message.error, StageCrashed):
                raise message.error
            self._lose(worker, message.error)
        elif message.status is not None:
            self._heard_end(message, message.status)
        elif message.event is not None:
            self._heard_event(worker, message.event)

    def _heard_end(self, message: Heard, status: ExitStatus) -> None:
        """A worker is gone. The order to go may reach it before this program, which waits for it.

        A scheduler sends it to all processes of a job at once: no item is the cause of that end.
        """
        worker = message.worker
        is_ordered, is_known = status.code in _ORDERED_AWAY, self._stop_at_s is not None
        if is_ordered and not is_known and worker not in self._awaited:
            self._awaited.add(worker)
            time.sleep(_ORDER_COMES_WITHIN_S)
            self._inbox.put(message)
        elif is_ordered and is_known:
            self._workers.dismiss(worker)
            self._stop_at_s = time.monotonic()
        else:
            self._lose(worker, worker.why_ended(status))

    def _heard_event(self, worker: StageWorker, event: Event) -> None:
        kind, job = event["event"], worker.job
        if kind == "ready":
            worker.worker.ready = event
        elif job is None or event.get("job") != job.name:
            pass  # Nothing that was asked for.
        elif kind == "started":
            worker.started_s = time.monotonic()
        elif kind == "warning":
            worker.keep_text(f"Warning: {event['message']}")
        elif kind == "failed":
            self._job_failed(worker, worker.failure(event["error"]))
        elif kind == "done":
            self._job_done(worker, event)

    def _lose(self, worker: StageWorker, error: OrchestrationError) -> None:
        """A worker has died, or must.

        Raises:
            OrchestrationError: it has not even started, of which no item is the cause.
        """
        self._workers.dismiss(worker)
        if worker.job is None:
            return
        if not worker.is_ready and not wants_memory(error):
            raise error
        self._job_failed(worker, error)

    def _job_failed(self, worker: StageWorker, error: OrchestrationError) -> None:
        job = self._took_job(worker)
        if job.work in self._open:
            self._fail(job.work, error)
        elif job.kind == "extract":
            job.work.folder.remove()

    def _job_done(self, worker: StageWorker, event: Event) -> None:
        job = self._took_job(worker)
        if job.kind == "check":
            job.work.is_checked = True
        elif job.work not in self._open:
            job.work.folder.remove()
        elif job.kind == "extract":
            self._exported(worker, job.work, event)
        else:
            self._loaded(worker, job.work, event)

    def _took_job(self, worker: StageWorker) -> Job:
        """A worker is free again: for the next item, or to go before its work is looked at."""
        job = worker.take_job()
        if job.kind == "extract":
            self._reading = None
        elif job.kind == "load":
            self._loading = None
        if self._workers.is_present(worker):
            self._workers.dismiss_if_due(worker)
        return job

    def _exported(self, worker: StageWorker, work: Work, done: Event) -> None:
        try:
            self._services.steps.take_export(work, worker.worker, done)
        except OrchestrationError as error:
            self._fail(work, error)
        else:
            self._waiting.append(work)

    def _loaded(self, worker: StageWorker, work: Work, done: Event) -> None:
        steps = self._services.steps
        try:
            steps.take_result(work, worker.worker, done)
        except OrchestrationError as error:
            self._fail(work, error)
            return
        # Both stages go on while this result is hashed.
        self._feed()
        try:
            manifest = steps.publish(work)
        except OrchestrationError as error:
            self._fail(work, error)
        else:
            self._end(work, Ending(work.name, "done", work.age_s, manifest))

    def _fail(self, work: Work, error: OrchestrationError) -> None:
        """Record why an item has no result.

        Raises:
            OrchestrationError: it concerns all items.
        """
        self._services.steps.explain(work, error)
        if concerns_all_items(error):
            raise error
        is_again = wants_memory(error) and not self._services.is_alone
        state: EndState = "released" if is_again else "failed"
        self._end(work, Ending(work.name, state, work.age_s, error=error))

    def _end(self, work: Work, ending: Ending) -> None:
        if work is not self._reading:
            work.folder.remove()
        ending = self._services.steps.record(work, ending)
        self._open.remove(work)
        self._services.on_end(work.planned, ending)

    def _give_up(self) -> None:
        """End the workers, and give back what is not done."""
        with suppress(OrchestrationError):
            self._workers.dismiss_all()
        self._reading = None
        for work in list(self._open):
            # Why it is given up matters more than that this cannot be written down, either.
            with suppress(OrchestrationError):
                self._end(work, Ending(work.name, "released", work.age_s))


def _timed_out(worker: StageWorker, limit_s: float | None) -> ItemTimedOut:
    return ItemTimedOut(
        f"Stage {worker.stage} was ended after {limit_s:g} s of work on one item.",
        "With --item-timeout, an item takes no longer than that in either stage.",
        "Give it more time; `orchestrate.py CKPT --verbose` shows where it goes.",
    )
