"""How far an archive is: a bar on a terminal, a line now and then elsewhere, nothing if quiet."""

from __future__ import annotations

import io

import pytest

from orchestration.archive import progress
from orchestration.archive.progress import ByteProgress
from orchestration.display import LineDisplay, QuietDisplay, TerminalDisplay


class Terminal(io.StringIO):
    """What a terminal would be sent."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in a list of one number."""
    now_s = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now_s[0])
    return now_s


def test_lines_come_now_and_then(clock: list[float]) -> None:
    stream = io.StringIO()
    shown = ByteProgress(LineDisplay(stream, verbose=False), "Archiving", 4_000_000_000)
    for _ in range(12):
        clock[0] += 1
        shown.advance(250_000_000)
    assert stream.getvalue().splitlines() == [
        "Archiving, 1.25 GB of 4 GB",
        "Archiving, 2.5 GB of 4 GB",
    ]


def test_a_quiet_run_says_nothing(clock: list[float]) -> None:
    stream = io.StringIO()
    shown = ByteProgress(QuietDisplay(stream), "Archiving", 4_000)
    clock[0] += 60
    shown.advance(2_000)
    assert stream.getvalue() == ""


def test_a_terminal_has_a_bar(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    display = TerminalDisplay(stream)
    shown = ByteProgress(display, "Archiving", 0)
    for done_bytes in (0, 1_000, 4_000):
        clock[0] += 1
        shown.show(done_bytes, 4_000)
    display.close()
    assert "Archiving, 4 kB of 4 kB" in stream.getvalue()
