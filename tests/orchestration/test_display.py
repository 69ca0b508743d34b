"""Plain lines in files and pipes, bars on a terminal."""

from __future__ import annotations

import io
import os
import pty
import subprocess

import pytest

from orchestration.display import LineDisplay, TerminalDisplay

READY = {"event": "ready", "versions": {"torch": "2.13", "python": "3.11"}}


def progress(done: int, total: int = 3):
    return {
        "event": "progress",
        "job": "load",
        "phase": "load",
        "done": done,
        "total": total,
        "unit": "tensors",
    }


@pytest.mark.parametrize(
    ("event", "line"),
    [
        pytest.param({"event": "starting", "imports": "torch"}, "", id="starting"),
        pytest.param(READY, "load: ready (python 3.11, torch 2.13)\n", id="ready"),
        pytest.param({"event": "started", "job": "load"}, "", id="started"),
        pytest.param(progress(3), "load: load 3/3 tensors\n", id="end-of-a-phase"),
        # The middle of a phase is worth a line only when it takes long.
        pytest.param(progress(1), "", id="middle-of-a-phase"),
        pytest.param({"event": "warning", "message": "Careful."}, "Warning: Careful.\n", id="warn"),
        pytest.param({"event": "done", "job": "load"}, "load: done\n", id="done"),
        pytest.param({"event": "done", "job": "check"}, "", id="check-done"),
    ],
)
def test_lines(event, line):
    stream = io.StringIO()
    LineDisplay(stream, verbose=False).event("load", event)
    assert stream.getvalue() == line


@pytest.mark.parametrize(("verbose", "shown"), [(True, "load| noise\n"), (False, "")])
def test_text_of_stages_is_for_the_verbose(verbose, shown):
    stream = io.StringIO()
    LineDisplay(stream, verbose).text("load", "noise")
    assert stream.getvalue() == shown


def test_bars_move_and_vanish():
    stream = io.StringIO()
    display = TerminalDisplay(stream)
    display.notify("before")
    for event in (
        {"event": "starting", "imports": "torch"},
        READY,
        progress(1),
        {"event": "warning", "message": "[odd] message"},
        progress(3),
        {"event": "done", "job": "load"},
    ):
        display.event("load", event)
    display.text("load", "noise")
    display.close()
    display.notify("after")
    shown = stream.getvalue()
    assert shown.startswith("before\n")
    assert "Warning: [odd] message" in shown
    assert "noise" not in shown
    assert shown.endswith("after\n")


def test_a_terminal_sees_bars_and_a_pipe_does_not(machine):
    machine.checkpoint()
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*machine.program, "ckpt", "--model", "unet", "--runtime", "local"],
        cwd=machine.folder,
        env={**machine.environment, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=terminal,
    ) as program:
        out, _ = program.communicate()
    os.close(terminal)
    shown = os.read(controller, 1 << 16).decode()
    os.close(controller)
    assert program.returncode == 0
    assert "\x1b[" in shown
    assert out.decode().startswith("PROVEN  ckpt-torch\n")
    assert "\x1b" not in machine.run("ckpt", "--model", "other", "--force").stderr
