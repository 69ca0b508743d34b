"""Talking to running stages: jobs go out, the events of all stages come back in one queue."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from orchestration.crash import explain_exit
from orchestration.errors import StageFailed
from orchestration.runtimes.base import Event, Runtime, Stage, StageProcess, StageSpec

Listener = Callable[[Stage, Event], None]
TextListener = Callable[[Stage, str], None]
_KEPT_LINES = 200


@dataclass
class Worker:
    """One running stage, and what was heard from it.

    Attributes:
        process: the running stage.
        spec: what it was started from.
        text: its last lines of stderr.
        home: what the manifest tells of where it runs, see `Runtime.home_record`.
        ready: its `ready` event, once it came.
        pending: names of the jobs that it has not answered.
        may_end: no more jobs come, so it may end when it has answered all.
        announced: its start has been shown.
        sent: when each job was sent.
    """

    process: StageProcess
    spec: StageSpec
    text: deque[str]
    home: Mapping[str, Any]
    ready: Event | None = None
    pending: set[str] = field(default_factory=set)
    may_end: bool = False
    announced: bool = False
    sent: dict[str, datetime] = field(default_factory=dict)

    def send(self, job: Mapping[str, Any]) -> None:
        """Send a job and remember that its answer is due."""
        self.pending.add(job["job"])
        self.sent[job["job"]] = datetime.now(timezone.utc)
        self.process.send(job)

    @property
    def has_finished(self) -> bool:
        """Every job is answered, and no more come."""
        return self.may_end and not self.pending

    def close_input(self) -> None:
        """Tell the stage that no more jobs come."""
        self.may_end = True
        self.process.close_input()


@dataclass(frozen=True)
class _Message:
    """What a reader thread hands over: an event, an error of the reading, or the end (neither)."""

    stage: Stage
    event: Event | None = None
    error: Exception | None = None


class Conversation:
    """Starts stages and runs jobs on them.

    As a context manager: at its end every stage that still runs is killed.

    Args:
        runtime: how stages become processes.
        on_event: is shown every event.
        on_text: is shown every line of people's text.
    """

    def __init__(self, runtime: Runtime, on_event: Listener, on_text: TextListener) -> None:
        self._runtime = runtime
        self._on_event = on_event
        self._on_text = on_text
        self._inbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self.workers: dict[Stage, Worker] = {}

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self, spec: StageSpec) -> Worker:
        """Start a stage; it imports its framework while this process goes on."""
        text: deque[str] = deque(maxlen=_KEPT_LINES)

        def keep_text(line: str) -> None:
            text.append(line)
            self._on_text(spec.stage, line)

        home = self._runtime.home_record(spec.home or spec.stage)
        process = self._runtime.start(spec, keep_text)
        worker = Worker(process, spec, text, home)
        self.workers[spec.stage] = worker
        threading.Thread(target=self._read, args=(spec.stage, process), daemon=True).start()
        return worker

    def post(self, stage: Stage, job: Mapping[str, Any], is_last: bool = False) -> None:
        """Send a job without waiting; if it fails, whichever wait is going on then raises.

        Args:
            stage: which worker.
            job: the job line.
            is_last: no more jobs come for this stage, so it may end afterwards.
        """
        worker = self.workers[stage]
        worker.send(job)
        if is_last:
            worker.close_input()

    def wait_for(self, stage: Stage, job_name: str) -> Event:
        """Wait for a job's `done` event. Other stages' events are heard meanwhile.

        A stage that has answered its last job is ended at once: what it wrote cannot change any
        more while it is checked, and its memory is free for the other stage.

        Raises:
            StageFailed: a stage reported that a job failed.
            StageCrashed, OutOfMemory, CorruptCheckpoint: a stage died.
        """
        self._announce()
        while True:
            message = self._inbox.get()
            event = self._heard(message)
            if event is not None and message.stage == stage and _answers(event, job_name):
                worker = self.workers[stage]
                if worker.has_finished:
                    worker.process.kill()
                return event

    def _announce(self) -> None:
        """Show what was started: only when there is nothing left to do but wait."""
        for stage, worker in self.workers.items():
            if not worker.announced:
                worker.announced = True
                self._on_event(stage, {"event": "starting", "imports": worker.spec.imports})

    def stop(self) -> None:
        """Kill every stage that still runs."""
        while self.workers:
            _, worker = self.workers.popitem()
            worker.process.kill()

    def _heard(self, message: _Message) -> Event | None:
        """Note a message, show it, and turn failures into exceptions. None = a stage ended well."""
        worker = self.workers[message.stage]
        if message.error is not None:
            raise message.error
        event = message.event
        if event is None:
            _check_end(worker)
            return None
        if event["event"] == "ready":
            worker.ready = event
        if event["event"] == "warning":
            event = {**event, "message": worker.process.host_text(str(event["message"]))}
        self._on_event(message.stage, event)
        if event["event"] in ("done", "failed"):
            worker.pending.discard(event["job"])
        if event["event"] == "failed":
            raise stage_failure(event["error"], worker.process)
        return event

    def _read(self, stage: Stage, process: StageProcess) -> None:
        """Body of a stage's reader thread."""
        try:
            for event in process.events():
                self._inbox.put(_Message(stage, event=event))
        except Exception as error:  # noqa: BLE001 - a thread that dies silently would be waited for
            self._inbox.put(_Message(stage, error=error))
        else:
            self._inbox.put(_Message(stage))


def _answers(event: Event, job_name: str) -> bool:
    return bool(event["event"] == "done" and event["job"] == job_name)


def _check_end(worker: Worker) -> None:
    """A stage closed its output: well, at the end of its work, or because it died.

    Once every job is answered, how it ends does not matter any more.

    Raises:
        StageCrashed, OutOfMemory, CorruptCheckpoint: it died, or left with work undone.
    """
    if worker.has_finished:
        return
    status = worker.process.wait()
    raise explain_exit(worker.spec, status, list(worker.text))


def stage_failure(error: Mapping[str, Any], process: StageProcess) -> StageFailed:
    """A stage's own error, with the host's paths in its texts."""
    texts = {key: process.host_text(str(error[key])) for key in ("happened", "expected", "remedy")}
    lines = [process.host_text(str(line)) for line in error.get("user_traceback", ())]
    return StageFailed({**error, **texts, "user_traceback": lines})
