"""The event lines of this stage: a compact JSON object each, on the stdout it was started with."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Dict, Mapping, Optional, TextIO

STAGE = "extract"
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

    TensorFlow's C++ side, and anything it loads, writes to file descriptor 1 as it likes; none of
    that may end up between two events.
    """
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    return EventStream(os.fdopen(private, "w", encoding="utf-8"))


class JobEvents:
    """The events of one job."""

    def __init__(self, stream: EventStream, job: Optional[str]) -> None:
        self._stream = stream
        self._job = job
        self._last_progress_s: Dict[str, float] = {}

    def started(self) -> None:
        """Say that the work on this job begins."""
        self._stream.write("started", job=self._job)

    def progress(self, phase: str, done: int, total: int, unit: str) -> None:
        """Report how far a phase is; dropped if the phase reported less than 0.1 s ago.

        The last report of a phase (`done` equals `total`) is always written.
        """
        now_s = time.monotonic()
        last_s = self._last_progress_s.get(phase)
        if last_s is not None and done < total and now_s - last_s < PROGRESS_INTERVAL_S:
            return
        self._last_progress_s[phase] = now_s
        self._stream.write(
            "progress", job=self._job, phase=phase, done=done, total=total, unit=unit
        )

    def warning(self, message: str) -> None:
        """Tell the user of something odd that does not stop the job."""
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
            result=dict(result),
            timings_s={phase: round(seconds, 4) for phase, seconds in timings_s.items()},
            peak_memory_bytes=peak_memory_bytes,
            resident_memory_bytes=resident_memory_bytes,
        )

    def failed(self, error: Mapping[str, Any], resident_memory_bytes: int) -> None:
        """Say that the job failed.

        Args:
            error: class, exit_code, happened, expected, remedy, traceback.
            resident_memory_bytes: as of `done`.
        """
        self._stream.write(
            "failed", job=self._job, error=dict(error), resident_memory_bytes=resident_memory_bytes
        )
