"""Stages as plain processes: what they see, what they inherit, how they end."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from orchestration.errors import StageCrashed
from orchestration.event_check import decode_event
from orchestration.runtimes.base import ExitStatus, StageSpec
from orchestration.runtimes.local import sources_sha256
from orchestration.runtimes.local_process import LocalProcess, stage_environment

PATIENCE_S = 30


@pytest.fixture
def start(tmp_path):
    """Start a script in place of a stage; it is killed at the end of the test."""
    started: list[LocalProcess] = []

    def start_script(script: str, text=None, **spec) -> LocalProcess:
        python = tmp_path / "python"
        (tmp_path / "script.py").write_text(script)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path}/script.py" "$@"\n')
        python.chmod(0o755)
        lines = [] if text is None else text
        process = LocalProcess(python, StageSpec("extract", (), **spec), os.environ, lines.append)
        started.append(process)
        return process

    yield start_script
    for process in started:
        process.kill()


ECHO = """
import json, sys
for line in sys.stdin:
    job = json.loads(line)
    print(json.dumps({"event": "done", "job": job["job"], "result": job}), flush=True)
"""


def test_jobs_go_in_and_events_come_out(start):
    process = start(ECHO)
    path = "/a b/\udcff,ü\n"
    process.send({"job": "1", "checkpoint": path})
    process.close_input()
    events = list(process.events())
    assert [event["result"]["checkpoint"] for event in events] == [path]
    assert process.wait() == ExitStatus(0)


def test_a_stage_that_is_gone_can_still_be_spoken_to(start):
    process = start("import sys; sys.exit(3)")
    assert list(process.events()) == []
    process.send({"job": "1", "text": "x" * 1_000_000})
    process.close_input()
    assert process.wait() == ExitStatus(3)


def test_text_of_a_stage_arrives_line_by_line(start):
    text: list[str] = []
    process = start("import os; os.write(2, b'one\\ntwo \\xff\\nno end')", text)
    process.wait()
    assert text == ["one", "two \ufffd", "no end"]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGABRT, 134), (signal.SIGKILL, 137), (signal.SIGSEGV, 139), (signal.SIGTERM, 143)],
)
def test_signals_are_told_as_a_shell_does(start, number, code):
    process = start(f"import os; os.kill(os.getpid(), {int(number)})")
    assert process.wait() == ExitStatus(code, signal=number)


def test_kill_ends_the_whole_group_and_may_be_repeated(start):
    process = start(
        "import subprocess, sys, time, json\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(json.dumps({'event': 'child', 'pid': child.pid}), flush=True)\n"
        "time.sleep(600)\n"
    )
    pid = next(process.events())["pid"]
    process.kill()
    process.kill()
    end = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < end
        time.sleep(0.01)
    assert process.wait().signal == signal.SIGKILL


def test_a_stage_is_a_session_of_its_own(start):
    # Ctrl-C goes to the terminal's foreground group: the orchestrator decides what ends, not it.
    script = "import os, json; print(json.dumps({'event': 'e', 's': os.getsid(0)}), flush=True)"
    assert next(start(script).events())["s"] != os.getsid(0)


def test_home_and_temporary_files_are_scratch_that_vanishes(start):
    process = start(
        "import json, os, tempfile\n"
        "open(os.path.expanduser('~/.keras'), 'w').close()\n"
        "print(json.dumps({'event': 'e', 'home': os.environ['HOME'],\n"
        "                  'tmp': tempfile.gettempdir(), 'cwd': os.getcwd()}), flush=True)\n"
    )
    event = next(process.events())
    assert event["home"] == event["tmp"] == event["cwd"]
    assert Path(event["home"]) != Path.home()
    process.wait()
    process.kill()
    assert not Path(event["home"]).exists()


def test_only_the_descriptors_meant_for_it_are_inherited(start, tmp_path):
    kept, other = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    os.set_inheritable(other, True)
    script = (
        "import json, os\n"
        "fds = sorted(int(n) for n in os.listdir('/proc/self/fd'))\n"
        "print(json.dumps({'event': 'e', 'fds': fds}), flush=True)\n"
    )
    fds = next(start(script, keep_open=(kept,)).events())["fds"]
    os.close(kept)
    os.close(other)
    assert kept in fds
    assert other not in fds


def test_a_clean_environment():
    caller = {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "1",
        "PYTHONPATH": "/mine",
        "PYTHONSTARTUP": "/x",
        "LD_PRELOAD": "/evil.so",
        "TF_CPP_MIN_LOG_LEVEL": "0",
        "AWS_SECRET": "s",
    }
    spec = StageSpec("load", (), environment={"PYTHONHASHSEED": "0"})
    variables = stage_environment(spec, caller, "/scratch")
    assert variables.pop("PYTHONPATH") == str(Path(__file__).resolve().parents[2])
    assert variables == {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "1",
        "HOME": "/scratch",
        "TMPDIR": "/scratch",
        "PYTHONUTF8": "1",
        "PYTHONHASHSEED": "0",
    }


@pytest.mark.parametrize(
    "line", [b"text\n", b"[]\n", b"3\n", b'{"job": "1"}\n', b'{"event": 3}\n', b"\xff\n", b"\n"]
)
def test_a_line_that_is_no_event(line):
    with pytest.raises(StageCrashed, match="where an event was due"):
        decode_event(line)


def event(**values):
    return json.dumps(values).encode()


ERROR = {"class": "X", "exit_code": 33, "happened": "a", "expected": "b", "remedy": "c"}


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"[" * 100_000, id="nested-without-end"),
        pytest.param(b'{"event":"done","x":' + b"9" * 5000 + b"}", id="number-without-end"),
        pytest.param(event(event="done", job="load"), id="done-without-result"),
        pytest.param(event(event="done", job="load", result=[]), id="result-a-list"),
        pytest.param(event(event="done", job={}, result={}), id="job-an-object"),
        pytest.param(event(event="failed", job="load"), id="failed-without-error"),
        pytest.param(event(event="failed", error=ERROR), id="failed-without-job"),
        pytest.param(
            event(event="failed", job="1", error={**ERROR, "exit_code": 0}), id="exit-code-0"
        ),
        pytest.param(
            event(event="failed", job="1", error={**ERROR, "exit_code": "x"}), id="exit-code-text"
        ),
        pytest.param(event(event="progress", phase="a", done=1), id="progress-without-total"),
        pytest.param(event(event="progress", phase="a", done=-1, total="2"), id="progress-text"),
        pytest.param(event(event="warning"), id="warning-without-message"),
        pytest.param(event(event="ready", versions=[]), id="versions-a-list"),
    ],
)
def test_an_event_without_what_belongs_to_it(line):
    with pytest.raises(StageCrashed, match="where an event was due"):
        decode_event(line)


def test_a_failed_job_that_has_no_name_is_an_event():
    assert decode_event(event(event="failed", job=None, error=ERROR))["error"] == ERROR


def test_the_hash_of_sources_sees_names_contents_and_nothing_else(tmp_path):
    (tmp_path / "a.py").write_text("one")
    (tmp_path / "b.json").write_text("two")
    first = sources_sha256(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.cpython-311.pyc").write_text("x")
    assert sources_sha256(tmp_path) == first
    (tmp_path / "page.html").write_text("three")
    assert sources_sha256(tmp_path) != first
    (tmp_path / "page.html").unlink()
    assert sources_sha256(tmp_path) == first
    (tmp_path / "a.py").rename(tmp_path / "c.py")
    assert sources_sha256(tmp_path) != first
