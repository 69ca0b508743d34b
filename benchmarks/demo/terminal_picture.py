"""Run commands in a terminal and keep what is on its screen as an SVG picture.

    python -m benchmarks.demo.terminal_picture OUT.svg 'COMMAND' ['COMMAND' ...]

The commands run in a shell, in the current folder; the picture in the README was made this way.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 128
ROWS = 60
TITLE = "tf1-to-torch"
# What a progress bar that vanishes at the end makes use of: up by some lines, erase the line,
# back to its start, show or hide the cursor. Colours stay in the text.
_CONTROL = re.compile(r"\x1b\[(\d*)A|\x1b\[(2)K|(\r)(?!\n)|\x1b\[\?25[lh]|(\r?\n)")
_WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def run_in_terminal(command: str) -> str:
    """Everything that a shell command writes to its terminal.

    Raises:
        subprocess.CalledProcessError: it did not exit with 0.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    with subprocess.Popen(
        command, shell=True, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        written = b"".join(_read_to_end(ours))
    os.close(ours)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command, written)
    return written.decode(errors="replace")


def _read_to_end(descriptor: int) -> Iterator[bytes]:
    """Pieces of a terminal's output; Linux reports its end as an I/O error."""
    while True:
        try:
            piece = os.read(descriptor, 1 << 16)
        except OSError:
            return
        if not piece:
            return
        yield piece


def screen_lines(written: str) -> list[str]:
    """What stays on the screen, as lines that may hold colour codes."""
    lines, row, position = [""], 0, 0
    for control in _CONTROL.finditer(written):
        lines[row] += written[position : control.start()]
        position = control.end()
        up, erase, back, down = control.groups()
        if up is not None:
            row = max(0, row - int(up or 1))
        elif erase or back:
            lines[row] = ""
        elif down:
            row += 1
            if row == len(lines):
                lines.append("")
    lines[row] += written[position:]
    return lines


def draw(commands: Sequence[str], target: Path) -> None:
    """Run the commands one after the other and write the picture."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        for command in commands:
            console.print(Text(f"$ {command}", style="bold"))
            lines = screen_lines(run_in_terminal(command))
            console.print(Text.from_ansi("\n".join(lines).rstrip() + "\n"))
    picture = console.export_svg(title=TITLE)
    # A picture in a README must not fetch anything: without this font the reader's own serves.
    target.write_text(_WEB_FONT.sub("", picture), encoding="utf-8")


if __name__ == "__main__":
    draw(sys.argv[2:], Path(sys.argv[1]))
