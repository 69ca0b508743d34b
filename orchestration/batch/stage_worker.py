"""One warm stage of a lane: many jobs one after the other, each heard of by its own name."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from orchestration.batch.generation import Generation
from orchestration.batch.work import Work
from orchestration.conversation import Worker, stage_failure
from orchestration.crash import explain_exit
from orchestration.errors import OrchestrationError
from orchestration.runtimes.base import Event, ExitStatus, Runtime, Stage

JobKind = Literal["extract", "load", "check"]
_KEPT_LINES = 200


@dataclass(frozen=True)
class Heard:
    """What a worker said, or how it ended.

    Attributes:
        worker: which one.
        event: what it said.
        error: what it said was no event, or could not be read.
        status: how it ended.
    """

    worker: StageWorker
    event: Event | None = None
    error: Exception | None = None
    status: ExitStatus | None = None


@dataclass(frozen=True)
class Job:
    """What a worker was asked to do.

    Attributes:
        kind: one of the stages' commands.
        work: for which item.
    """

    kind: JobKind
    work: Work

    @property
    def name(self) -> str:
        """The job's name in lines and events."""
        return f"{self.kind} {self.work.name}"


class StageWorker:
    """One process of a stage.

    Args:
        runtime: starts it.
        generation: what it is started from.
        stage: which one.
        tell: takes what it says, from a thread.

    Attributes:
        job: what it does at present, or None.
        jobs_done: how many items it has done.
        started_s: when it took up its job, by `time.monotonic()`; None while it has not.
    """

    def __init__(
        self,
        runtime: Runtime,
        generation: Generation,
        stage: Stage,
        tell: Callable[[Heard], None],
    ) -> None:
        self.stage = stage
        self.generation = generation
        self.job: Job | None = None
        self.jobs_done = 0
        self.started_s: float | None = None
        self._text: deque[str] = deque(maxlen=_KEPT_LINES)
        spec = generation.specs[stage]
        home = runtime.home_record(spec.home or spec.stage)
        process = runtime.start(spec, self.keep_text)
        self.worker = Worker(process, spec, self._text, home)
        threading.Thread(target=self._listen, args=(tell,), daemon=True).start()

    @property
    def is_ready(self) -> bool:
        """Whether it has imported its framework."""
        return self.worker.ready is not None

    def ask(self, job: Job, line: Mapping[str, Any]) -> None:
        """Send a job."""
        if self.is_ready:
            # What it said of earlier items explains nothing of this one.
            self._text.clear()
        self.job, self.started_s = job, None
        self.worker.send({**line, "job": job.name})

    def take_job(self) -> Job:
        """The job that has just ended."""
        assert self.job is not None
        job, self.job = self.job, None
        self.worker.pending.discard(job.name)
        self.jobs_done += job.kind != "check"
        return job

    def failure(self, error: Mapping[str, Any]) -> OrchestrationError:
        """The error of a `failed` event, in terms of this machine."""
        return stage_failure(error, self.worker.process)

    def why_ended(self, status: ExitStatus) -> OrchestrationError:
        """Why the process is gone, though it had work."""
        return explain_exit(self.worker.spec, status, self.last_words())

    def kill(self) -> None:
        """End the process."""
        self.worker.process.kill()

    def last_words(self) -> list[str]:
        """Its last lines of text for people, of its start or its present job."""
        return list(self._text)

    def keep_text(self, line: str) -> None:
        """Note a line of text for people, in the log of the item that it works on."""
        self._text.append(line)
        job = self.job
        if job is not None:
            job.work.log.text(self.stage, self.worker.process.host_text(line))

    def _listen(self, tell: Callable[[Heard], None]) -> None:
        """Body of the reader thread, which waits for the end too: a lane never does."""
        try:
            for event in self.worker.process.events():
                tell(Heard(self, event))
            status = self.worker.process.wait()
        except Exception as error:  # noqa: BLE001 - a thread that dies silently would be waited for
            tell(Heard(self, error=error))
        else:
            tell(Heard(self, status=status))
