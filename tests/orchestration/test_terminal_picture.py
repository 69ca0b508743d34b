"""The README's picture shows what stays on a terminal, in its colours, and fetches nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.demo.terminal_picture import draw, screen_lines


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        pytest.param("one\r\ntwo\r\n", ["one", "two", ""], id="plain"),
        pytest.param("10%\r50%\rdone\n", ["done", ""], id="carriage-return-starts-the-line-anew"),
        # How a bar of two lines vanishes: up and erase, twice.
        pytest.param(
            "kept\nfirst bar\nsecond bar\r\x1b[2K\x1b[1A\x1b[2Kend",
            ["kept", "end", ""],
            id="bars-that-vanish",
        ),
        pytest.param("a\nb\nc\x1b[2A\rtop", ["top", "b", "c"], id="up-by-two"),
        pytest.param("\x1b[?25lhidden\x1b[?25h", ["hidden"], id="cursor"),
        pytest.param("\x1b[31mred\x1b[0m", ["\x1b[31mred\x1b[0m"], id="colours-stay"),
    ],
)
def test_screen(written: str, lines: list[str]) -> None:
    assert screen_lines(written) == lines


def test_picture_holds_command_and_output_and_no_web_font(tmp_path: Path) -> None:
    target = tmp_path / "picture.svg"
    draw(["printf 'a\\033[31mb\\033[0m'", "test -t 1 && printf terminal"], target)
    text = target.read_text(encoding="utf-8")
    assert "terminal" in text
    assert "printf" in text
    assert "@font-face" not in text
    assert "url(http" not in text


def test_a_failing_command_makes_no_picture(tmp_path: Path) -> None:
    target = tmp_path / "picture.svg"
    with pytest.raises(subprocess.CalledProcessError):
        draw(["exit 3"], target)
    assert not target.exists()
