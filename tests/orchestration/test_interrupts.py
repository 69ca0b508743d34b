"""Ctrl-C, SIGTERM and sudden death at every stage: nothing is left behind, nothing runs on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from orchestration.result_folder import ResultFolder

PATIENCE_S = 30


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that will happen; how long it takes is nobody's business."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            return stream.read().rpartition(b")")[2].split()[0] != b"Z"
    except FileNotFoundError:
        return False


def hanging_stage(program: subprocess.Popen[str]) -> list[int]:
    """Read what the program says until its stage hangs; the stage's pid and its child's."""
    for line in program.stderr:
        found = re.search(r"child (\d+) of (\d+)", line)
        if found:
            return [int(found[1]), int(found[2])]
    raise AssertionError("the stage never came to its job")


SIGNALS = [
    pytest.param(signal.SIGINT, 130, id="ctrl-c"),
    pytest.param(signal.SIGTERM, 143, id="sigterm"),
    pytest.param(signal.SIGHUP, 129, id="hangup"),
]
STAGES = [
    pytest.param("hang", "unet", id="in-stage-1"),
    pytest.param("fine", "hang", id="in-stage-2"),
]


@pytest.mark.parametrize(("number", "exit_code"), SIGNALS)
@pytest.mark.parametrize(("behaviour", "model"), STAGES)
def test_a_signal_leaves_nothing_behind(machine, behaviour, model, number, exit_code):
    machine.checkpoint(behaviour)
    with machine.start("ckpt", "--model", model, "--out", "a/out") as program:
        pids = hanging_stage(program)
        program.send_signal(number)
        said = program.communicate()
    assert program.returncode == exit_code
    assert "Traceback" not in "".join(said)
    assert machine.names() == ["ckpt"]
    # The stage is a session of its own, so that its children die with it.
    wait_until(lambda: not any(map(is_running, pids)))


def test_ctrl_c_while_the_program_is_imported(machine, tmp_path):
    # A stand-in for the first package that is imported, in which the signal arrives.
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [*machine.program, "doctor"],
        env={**machine.environment, "PYTHONPATH": os.fspath(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


def test_an_impatient_second_ctrl_c_does_not_stop_the_cleaning(machine):
    machine.checkpoint("hang")
    with machine.start("ckpt", "--model", "unet") as program:
        hanging_stage(program)
        program.send_signal(signal.SIGINT)
        program.send_signal(signal.SIGINT)
        program.communicate()
    assert machine.names() == ["ckpt"]


def test_the_folder_of_a_killed_run_is_removed_by_the_next(machine):
    machine.checkpoint("hang")
    with machine.start("ckpt", "--model", "unet") as program:
        stage_pids = hanging_stage(program)
        program.kill()
        program.communicate()
    (leftover,) = [name for name in machine.names() if ".partial-" in name]
    # While the orphaned stage lives it may still write there: hands off.
    machine.checkpoint()
    assert machine.run("ckpt", "--model", "unet").returncode == 0
    assert leftover in machine.names()
    for pid in stage_pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_running, stage_pids)))
    assert machine.run("ckpt", "--model", "unet", "--force").returncode == 0
    assert machine.names() == ["ckpt", "ckpt-torch"]


def test_a_living_run_with_the_same_output_is_left_alone(tmp_path):
    with ResultFolder(tmp_path / "out") as first, ResultFolder(tmp_path / "out") as second:
        assert first.root != second.root
        assert first.result.is_dir()
        assert second.result.is_dir()
    assert list(tmp_path.iterdir()) == []
