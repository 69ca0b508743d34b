"""Reads job lines until the end of the input and answers each with events."""

from __future__ import annotations

import platform
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from stage_load import memory
from stage_load.conversion import run_check, run_load
from stage_load.devices import describe_device
from stage_load.errors import DeviceOutOfMemory, FactoryFailed, LoadError
from stage_load.jobs import CHECK, decode_job_line, parse_job
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
    for line in lines:
        if line.strip():
            _serve_line(line, stream)
            memory.free_cycles()


def _serve_line(line: str, stream: EventStream) -> None:
    identifier: str | None = None
    try:
        values = decode_job_line(line)
        identifier = values.get("job") if isinstance(values.get("job"), str) else None
        _do_job(values, JobEvents(stream, identifier))
    except LoadError as error:
        JobEvents(stream, identifier).failed(_describe(error))
    except torch.OutOfMemoryError as error:
        JobEvents(stream, identifier).failed(_describe(_out_of_memory(error)))
    except Exception as error:  # noqa: BLE001 - the worker outlives a bug; the event carries it
        JobEvents(stream, identifier).failed(_describe_bug(error))


def _do_job(values: Mapping[str, Any], events: JobEvents) -> None:
    memory.reset_peak()
    job = parse_job(values)
    events.started()
    stopwatch = Stopwatch()
    result = run_check(job) if job.command == CHECK else run_load(job, events, stopwatch)
    events.done(result, stopwatch.timings_s, memory.peak_bytes())


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
