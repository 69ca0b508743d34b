"""Reads job lines until the end of the input and answers each with events."""

from __future__ import annotations

import platform
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from stage_load import memory
from stage_load.between_jobs import leaving_no_trace
from stage_load.conversion import run_check, run_load
from stage_load.devices import describe_device
from stage_load.errors import DeviceOutOfMemory, FactoryFailed, LoadError
from stage_load.jobs import CHECK, decode_job_line, parse_job
from stage_load.models.neighbours import note_imports_at_start
from stage_load.own_traceback import own_lines
from stage_load.protocol import STAGE, EventStream, JobEvents
from stage_load.stopwatch import Stopwatch

INTERNAL_EXIT_CODE = 1


def announce(stream: EventStream, import_s: float) -> None:
    """Say that the heavy imports are done and jobs may come."""
    versions = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }
    stream.write(
        "ready",
        stage=STAGE,
        versions=versions,
        import_s=round(import_s, 4),
        device=describe_device(),
    )


def serve(lines: Iterable[str], stream: EventStream) -> None:
    """Do one job a line; a job that fails does not end the worker."""
    collector = memory.CycleCollector()
    note_imports_at_start()
    for line in lines:
        if line.strip():
            _serve_line(line, stream, collector)


def _serve_line(line: str, stream: EventStream, collector: memory.CycleCollector) -> None:
    identifier: str | None = None
    stopwatch = Stopwatch()
    result, failure = None, None
    try:
        values = decode_job_line(line)
        identifier = values.get("job") if isinstance(values.get("job"), str) else None
        with leaving_no_trace():
            result = _do_job(values, JobEvents(stream, identifier), stopwatch)
    except LoadError as error:
        failure = _describe(error)
    except torch.OutOfMemoryError as error:
        failure = _describe(_out_of_memory(error))
    except Exception as error:  # noqa: BLE001 - the worker outlives a bug; the event carries it
        failure = _describe_bug(error)
    # The exception is gone by now, and with it all that its traceback held.
    peak_bytes = memory.peak_bytes()
    collector.collect()
    events = JobEvents(stream, identifier)
    if failure is not None:
        events.failed(failure, memory.resident_bytes())
    else:
        events.done(result or {}, stopwatch.timings_s, peak_bytes, memory.resident_bytes())


def _do_job(
    values: Mapping[str, Any], events: JobEvents, stopwatch: Stopwatch
) -> Mapping[str, Any]:
    memory.reset_peak()
    job = parse_job(values)
    events.started()
    return run_check(job) if job.command == CHECK else run_load(job, events, stopwatch)


def _out_of_memory(error: Exception) -> DeviceOutOfMemory:
    return DeviceOutOfMemory(
        f"The GPU has too little free memory: {str(error).splitlines()[0]}",
        "Expected room for the model, its largest tensor and one run.",
        "Use --device cpu, another GPU, or end what else runs on this one.",
    )


def _describe(error: LoadError) -> dict[str, Any]:
    # Of an error with a known cause a traceback tells a user nothing, unless it is in their code;
    # an error of which this program may be the cause brings its own.
    cause = error.__cause__ if isinstance(error, FactoryFailed) else None
    own = {} if cause is None else {"user_traceback": own_lines(cause)}
    return {
        "class": type(error).__name__,
        "exit_code": error.exit_code,
        "happened": error.happened,
        "expected": error.expected,
        "remedy": error.remedy,
        "traceback": error.traceback,
        **own,
    }


def _describe_bug(error: Exception) -> dict[str, Any]:
    return {
        "class": "InternalError",
        "exit_code": INTERNAL_EXIT_CODE,
        "happened": f"{type(error).__name__}: {error}",
        "expected": "Expected the load stage to finish the job or to name the cause.",
        "remedy": "This is a bug of this program; report it with the traceback in the log.",
        "traceback": "".join(traceback.format_exception(error)),
    }
