"""The stage as a process: events on stdout and nothing else, failures that end one job only."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from stage_load import worker
from stage_load.errors import LoadError
from stage_load.job_lines import MOST_LINE_BYTES, read_lines
from stage_load.protocol import EventStream, JobEvents
from tests.load.networks import classifier_export, write_model

ROOT = Path(__file__).parents[2]

LOUD = """
import os
from torch import nn

print("printed while importing")
os.write(1, b"written to file descriptor 1\\n")


def Net():
    print("printed while building")
    return nn.Linear(3, 4)
"""


def events_of(text):
    return [json.loads(line) for line in text.splitlines()]


def run_process(*jobs):
    lines = "".join(json.dumps(job) + "\n" for job in jobs)
    return subprocess.run(
        [sys.executable, "-m", "stage_load"],
        input=lines,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


def test_a_whole_session(tmp_path):
    maker, _ = classifier_export()
    export = maker.write(tmp_path / "export")
    loud = f"{write_model(tmp_path, LOUD)}:Net"
    out = tmp_path / "out"
    out.mkdir()

    def job(name, command="load", **options):
        paths = {"export": str(export), "out": str(out)} if command == "load" else {}
        return {"job": name, "command": command, "options": options, **paths}

    process = run_process(
        job("1", "check", model="unet", device="cpu"),
        job("2", "check", model="unte"),
        {"job": "3", "command": "fly"},
        job("4", model=loud, device="cpu"),
        job("5", "check", model="torch.nn:Identity", map=str(tmp_path / "absent.csv")),
    )
    assert process.returncode == 0
    events = events_of(process.stdout)
    ready = events.pop(0)
    assert (ready["event"], ready["stage"]) == ("ready", "load")
    assert set(ready) == {"event", "stage", "versions", "import_s", "device"}
    assert set(ready["versions"]) == {"python", "torch", "numpy"}
    assert [(event["event"], event["job"]) for event in events] == [
        ("started", "1"),
        ("done", "1"),
        ("started", "2"),
        ("failed", "2"),
        ("failed", "3"),
        ("started", "4"),
        ("failed", "4"),
        ("started", "5"),
        ("failed", "5"),
    ]
    assert events[1]["result"] == {"device": "cpu", "device_note": None}
    errors = [event["error"] for event in events if event["event"] == "failed"]
    assert [(error["class"], error["exit_code"]) for error in errors] == [
        ("UnknownModel", 50),
        ("JobInvalid", 61),
        ("TensorsDoNotFit", 52),
        ("MappingInvalid", 56),
    ]
    for error in errors:
        assert error["traceback"] is None
        assert all(error[text] for text in ("happened", "expected", "remedy"))
    assert "printed while importing" in process.stderr
    assert "written to file descriptor 1" in process.stderr
    assert [path.name for path in out.iterdir()] == ["mapping.csv"]


def serve(*lines):
    stream = io.StringIO()
    worker.serve(lines, EventStream(stream))
    return events_of(stream.getvalue())


CHECK = {"job": "9", "command": "check", "options": {"model": "unet"}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("{", "no JSON", id="no-json"),
        pytest.param("[" * 100_000, "no JSON", id="nested"),
        pytest.param("[1]", "a list", id="list"),
        pytest.param(" " * MOST_LINE_BYTES + "{}", "longer than", id="longer-than-any-job"),
        pytest.param(json.dumps({**CHECK, "job": 7}), "'job' is 7", id="job-number"),
        pytest.param(json.dumps({**CHECK, "command": None}), "command is None", id="no-command"),
        pytest.param(json.dumps({**CHECK, "command": "load"}), "'export' is None", id="no-export"),
        pytest.param(json.dumps({**CHECK, "options": {}}), "with a model", id="no-model"),
        pytest.param(json.dumps({**CHECK, "options": []}), "with a model", id="options-list"),
        *(
            pytest.param(
                json.dumps({**CHECK, "options": {"model": "unet", name: value}}),
                f"option '{name}'",
                id=f"{name}-{value}",
            )
            for name, value in [
                ("tolerance", -1),
                ("tolerance", "1"),
                ("tolerance", True),
                ("tolerance", float("nan")),
                ("tolerance", 1),
                ("prove", 1),
                ("map", 3),
                ("device", ""),
                ("colour", "red"),
            ]
        ),
    ],
)
def test_a_job_line_that_is_wrong(line, message):
    (event,) = serve(line)
    assert event["event"] == "failed"
    assert (event["error"]["class"], event["error"]["exit_code"]) == ("JobInvalid", 61)
    assert message in event["error"]["happened"] + event["error"]["expected"]


def test_lines_are_read_in_bounded_memory_and_whatever_they_hold():
    line = json.dumps(CHECK)
    lines = [b"x" * (2 * MOST_LINE_BYTES + 5), b"y" * MOST_LINE_BYTES, b"\xff", line.encode()]
    assert list(read_lines(io.BytesIO(b"\n".join(lines)))) == [
        "x" * (MOST_LINE_BYTES + 1),
        "y" * MOST_LINE_BYTES + "\n",
        "\\xff\n",
        line,
    ]


def test_blank_lines_are_no_jobs():
    assert serve("\n", "  \n") == []


def test_a_bug_is_told_with_its_traceback_and_ends_one_job_only(monkeypatch):
    def explode(job):
        raise ZeroDivisionError("by accident")

    good = {**CHECK, "options": {"model": "unet", "device": "cpu"}}
    monkeypatch.setattr(worker, "run_check", explode)
    started, failed = serve(json.dumps(good))
    assert started["event"] == "started"
    assert (failed["error"]["class"], failed["error"]["exit_code"]) == ("InternalError", 1)
    assert failed["error"]["happened"] == "ZeroDivisionError: by accident"
    assert "explode" in failed["error"]["traceback"]
    monkeypatch.undo()
    assert serve(json.dumps(good))[1]["event"] == "done"


def test_a_users_own_bug_is_told_with_its_traceback(tmp_path):
    path = write_model(tmp_path, "def helper():\n    raise KeyError('lost')\n\n\nhelper()\n")
    (_, failed) = serve(json.dumps({**CHECK, "options": {"model": f"{path}:Net"}}))
    assert (failed["error"]["class"], failed["error"]["exit_code"]) == ("FactoryFailed", 62)
    assert failed["error"]["traceback"] is None
    assert failed["error"]["user_traceback"] == [
        "Traceback (most recent call last):",
        f'  File "{path}", line 5, in <module>',
        "    helper()",
        f'  File "{path}", line 2, in helper',
        "    raise KeyError('lost')",
        "KeyError: 'lost'",
    ]


def test_progress_comes_ten_times_a_second_at_most_and_at_the_end():
    now_s = iter([0.0, 0.05, 0.11, 0.12, 0.13])
    stream = io.StringIO()
    events = JobEvents(EventStream(stream), "1", clock=lambda: next(now_s))
    for done in (1, 2, 3, 4):
        events.progress("load", done, 4, "tensors")
    events.progress("prove", 1, 2, "layers")
    assert [(event["phase"], event["done"]) for event in events_of(stream.getvalue())] == [
        ("load", 1),
        ("load", 3),
        ("load", 4),
        ("prove", 1),
    ]


def test_each_error_has_an_exit_code_of_its_own():
    classes = LoadError.__subclasses__()
    codes = [error.exit_code for error in classes]
    assert len(set(codes)) == len(codes)
    assert all(50 <= code <= 69 for code in codes)
