from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time

import pytest

from stage_extract import memory
from stage_extract.errors import CorruptTensor
from stage_extract.job_lines import MOST_LINE_BYTES, read_lines
from stage_extract.protocol import EventStream, JobEvents
from stage_extract.worker import serve

LINE = json.dumps({"job": "1", "command": "inspect", "checkpoint": "/in"})


def events_of(lines, run):
    stream = io.StringIO()
    serve(lines, EventStream(stream), run)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_events_of_a_job():
    def run(job, events):
        events.progress("variables", 1, 2, "tensors")
        events.warning("odd")
        return {"variables": 2}, {"locate": 0.123456}

    started, progress, warning, done = events_of([LINE], run)
    assert started == {"event": "started", "job": "1"}
    assert progress == {
        "event": "progress",
        "job": "1",
        "phase": "variables",
        "done": 1,
        "total": 2,
        "unit": "tensors",
    }
    assert warning == {"event": "warning", "job": "1", "message": "odd"}
    assert done.pop("peak_memory_bytes") > 1_000_000
    assert done.pop("resident_memory_bytes") > 1_000_000
    assert done == {
        "event": "done",
        "job": "1",
        "result": {"variables": 2},
        "timings_s": {"locate": 0.1235},
    }


def test_a_failed_job_does_not_end_the_worker():
    def run(job, events):
        if job.identifier == "1":
            raise CorruptTensor("Damaged.", "Expected whole.", "Copy again.")
        return {}, {}

    second = LINE.replace('"1"', '"2"')
    events = events_of([LINE + "\n", "\n", second + "\n"], run)
    assert [(event["event"], event["job"]) for event in events] == [
        ("started", "1"),
        ("failed", "1"),
        ("started", "2"),
        ("done", "2"),
    ]
    assert events[1]["error"] == {
        "class": "CorruptTensor",
        "exit_code": 33,
        "happened": "Damaged.",
        "expected": "Expected whole.",
        "remedy": "Copy again.",
        "traceback": None,
    }


def test_a_fault_of_the_program_carries_its_traceback():
    def run(job, events):
        return {"x": {}["missing key"]}, {}

    error = events_of([LINE], run)[-1]["error"]
    assert (error["class"], error["exit_code"]) == ("InternalError", 1)
    assert "KeyError" in error["happened"]
    assert "missing key" in error["traceback"]


@pytest.mark.parametrize(
    ("line", "job"),
    [
        pytest.param("nonsense", None, id="no-json"),
        pytest.param('{"job": "5"}', "5", id="field-missing"),
        pytest.param('{"job": 5, "command": "inspect"}', None, id="identifier-no-text"),
        pytest.param("[" * 100_000, None, id="nested"),
        pytest.param(" " * MOST_LINE_BYTES + "{}", None, id="longer-than-any-job"),
    ],
)
def test_an_invalid_line_fails_and_the_worker_goes_on(line, job):
    failed, started, _ = events_of([line, LINE], lambda job, events: ({}, {}))
    assert (failed["event"], failed["job"]) == ("failed", job)
    assert failed["error"]["class"] == "JobInvalid"
    assert started["event"] == "started"


def test_lines_are_read_in_bounded_memory_and_whatever_they_hold():
    long = b"x" * (2 * MOST_LINE_BYTES + 5)
    whole = b"y" * MOST_LINE_BYTES
    lines = [long, whole, b'{"job": "\xff"}', LINE.encode()]
    assert list(read_lines(io.BytesIO(b"\n".join(lines)))) == [
        "x" * (MOST_LINE_BYTES + 1),
        "y" * MOST_LINE_BYTES + "\n",
        '{"job": "\\xff"}\n',
        LINE,
    ]


def test_progress_is_thinned_out_but_never_loses_its_end(monkeypatch):
    clock_s = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock_s[0])
    stream = io.StringIO()
    events = JobEvents(EventStream(stream), "1")
    for done in range(1, 101):
        clock_s[0] += 0.01
        events.progress("variables", done, 100, "tensors")
        events.progress("other", done, 100, "tensors")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    done = [line["done"] for line in lines if line["phase"] == "variables"]
    assert (done[0], done[-1]) == (1, 100)
    assert 8 <= len(done) <= 12
    assert len(lines) == 2 * len(done)


def test_peak_memory_is_that_of_the_job():
    if not memory.reset_peak_memory():
        pytest.skip("the kernel does not let a process reset its peak")
    before = memory.peak_memory_bytes()
    block = bytearray(64 << 20)
    for position in range(0, len(block), 4096):
        block[position] = 1
    assert memory.peak_memory_bytes() >= before + (60 << 20)
    del block
    assert memory.reset_peak_memory()
    assert memory.peak_memory_bytes() < before + (32 << 20)


@pytest.fixture
def run_stage():
    """`run_stage(lines, code)`: the real process, or one that first does something else."""

    def run(lines, code="import runpy; runpy.run_module('stage_extract', run_name='__main__')"):
        return subprocess.run(
            [sys.executable, "-c", code],
            input="".join(line + "\n" for line in lines),
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    return run


def test_the_process_serves_until_its_input_ends(run_stage, checkpoint, out, tmp_path):
    jobs = [
        {"job": "a", "command": "extract", "checkpoint": str(tmp_path / "gone"), "out": str(out)},
        {"job": "b", "command": "extract", "checkpoint": checkpoint, "out": str(out)},
    ]
    ended = run_stage([json.dumps(job) for job in jobs])
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    ready = events[0]
    assert ended.returncode == 0
    assert ended.stderr == ""
    assert (ready["event"], ready["stage"]) == ("ready", "extract")
    assert ready["versions"]["tensorflow"] == "1.15.5"
    assert ready["import_s"] > 0
    last = {event["job"]: event for event in events if event["event"] in ("done", "failed")}
    assert last["a"]["error"]["class"] == "NoCheckpointFound"
    assert last["b"]["result"]["variables"] == 5


def test_nothing_that_a_library_prints_reaches_the_events(run_stage):
    noise = (
        "import os, sys, stage_extract.protocol as p; s = p.claim_standard_output();"
        "print('from python', flush=True); os.write(1, b'from C\\n'); os.system('echo from child');"
        "s.write('ready')"
    )
    ended = run_stage([], noise)
    assert ended.stdout == '{"event":"ready"}\n'
    assert ended.stderr.splitlines() == ["from python", "from C", "from child"]
