"""The event lines of this stage: one compact JSON object a line, on the original stdout."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, TextIO

STAGE = "load"
PROGRESS_INTERVAL_S = 0.1


class EventStream:
    """Writes event lines to one text stream, each flushed at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, event: str, **values: Any) -> None:
        """Write one event line."""
        line = json.dumps({"event": event, **values}, separators=(",", ":"), allow_nan=False)
        self._stream.write(line + "\n")
        self._stream.flush()


def claim_standard_output() -> EventStream:
    """Keep the original stdout for events, and point file descriptor 1 at stderr.

    Neither a library nor a user's own model can then write between two events.
    """
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    return EventStream(os.fdopen(private, "w", encoding="utf-8"))


def claim_standard_input() -> BinaryIO:
    """Keep the original stdin for job lines, and let file descriptor 0 be empty.

    A user's own model that asks for input must not take the next job for its answer.
    """
    private = os.dup(0)
    with open(os.devnull, "rb") as empty:
        os.dup2(empty.fileno(), 0)
    return os.fdopen(private, "rb")


class JobEvents:
    """The events of one job."""

    def __init__(
        self, stream: EventStream, job: str | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._job = job
        self._clock = clock
        self._last_s: dict[str, float] = {}

    def started(self) -> None:
        """Say that the work on this job begins."""
        self._stream.write("started", job=self._job)

    def progress(self, phase: str, done: int, total: int, unit: str) -> None:
        """Say how far a phase is; at most every 0.1 seconds, but always when it is complete."""
        now_s = self._clock()
        last_s = self._last_s.get(phase)
        if done < total and last_s is not None and now_s - last_s < PROGRESS_INTERVAL_S:
            return
        self._last_s[phase] = now_s
        self._stream.write(
            "progress", job=self._job, phase=phase, done=done, total=total, unit=unit
        )

    def warning(self, message: str) -> None:
        """Tell the user of something that does not stop the job."""
        self._stream.write("warning", job=self._job, message=message)

    def done(
        self,
        result: Mapping[str, Any],
        timings_s: Mapping[str, float],
        peak_memory_bytes: int,
        resident_memory_bytes: int,
    ) -> None:
        """Say that the job is complete, with its result.

        Args:
            result: of the job.
            timings_s: seconds by phase.
            peak_memory_bytes: the most that the process held during the job.
            resident_memory_bytes: what it holds now that the job's own memory is free.
        """
        self._stream.write(
            "done",
            job=self._job,
            result=result,
            timings_s={phase: round(seconds, 4) for phase, seconds in timings_s.items()},
            peak_memory_bytes=peak_memory_bytes,
            resident_memory_bytes=resident_memory_bytes,
        )

    def failed(self, error: Mapping[str, Any], resident_memory_bytes: int) -> None:
        """Say that the job cannot be done: class, exit_code, the three texts, traceback."""
        self._stream.write(
            "failed", job=self._job, error=error, resident_memory_bytes=resident_memory_bytes
        )
