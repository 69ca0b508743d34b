"""The loop of this stage's process: one job line after the other, until the input ends."""

from __future__ import annotations

import traceback
from typing import Any, Callable, Dict, Iterable, Mapping, Tuple

from stage_extract.errors import INTERNAL_ERROR_EXIT_CODE, ExtractError
from stage_extract.jobs import Job, decode_job_line, parse_job
from stage_extract.memory import (
    CycleCollector,
    give_back_free_memory,
    peak_memory_bytes,
    reset_peak_memory,
    resident_memory_bytes,
)
from stage_extract.protocol import EventStream, JobEvents

# Does a job; returns its result and its timings in seconds by phase.
JobRunner = Callable[[Job, JobEvents], Tuple[Mapping[str, Any], Mapping[str, float]]]


def describe_error(error: Exception) -> Dict[str, Any]:
    """Give the "error" object of a failed event.

    A cause that is known carries its three texts; anything else is a fault of this program and
    carries its traceback for the log.
    """
    if isinstance(error, ExtractError):
        return {
            "class": type(error).__name__,
            "exit_code": error.exit_code,
            "happened": error.happened,
            "expected": error.expected,
            "remedy": error.remedy,
            "traceback": None,
        }
    return {
        "class": "InternalError",
        "exit_code": INTERNAL_ERROR_EXIT_CODE,
        "happened": f"The extraction stopped with {type(error).__name__}: {error}.",
        "expected": "No checkpoint should lead there: this is a fault of the program.",
        "remedy": "Report it with the traceback from the log file.",
        "traceback": "".join(traceback.format_exception(type(error), error, error.__traceback__)),
    }


def run_job_line(
    line: str,
    stream: EventStream,
    run: JobRunner,
    clean_up: Callable[[], None] = give_back_free_memory,
) -> None:
    """Do what one line asks for and write its events; never raises for a job that fails.

    Args:
        line: the job.
        stream: takes the events.
        run: does it.
        clean_up: frees what it leaves, before its last event tells how much memory is held.
    """
    events = JobEvents(stream, None)
    failure = None
    try:
        values = decode_job_line(line)
        if isinstance(values.get("job"), str):
            events = JobEvents(stream, values["job"])
        job = parse_job(values)
        events.started()
        reset_peak_memory()
        result, timings_s = run(job, events)
    except Exception as error:  # noqa: BLE001 - the one place where a job ends and the worker goes on
        failure = describe_error(error)
    # The exception is gone by now, and with it all that its traceback held.
    peak_bytes = peak_memory_bytes()
    clean_up()
    if failure is not None:
        events.failed(failure, resident_memory_bytes())
        return
    events.done(result, timings_s, peak_bytes, resident_memory_bytes())


def serve(lines: Iterable[str], stream: EventStream, run: JobRunner) -> None:
    """Do all jobs, in order; a job that fails does not end the loop."""
    collector = CycleCollector()
    for line in lines:
        if line.strip():
            run_job_line(line, stream, run, collector.collect)
