"""The lines of a worker's input: of bounded length, and readable whatever bytes they hold."""

from __future__ import annotations

from typing import BinaryIO, Iterator

# A job names paths and options; more than this is no job, and would only fill the memory.
MOST_LINE_BYTES = 16 << 20


def read_lines(stream: BinaryIO) -> Iterator[str]:
    """Give line after line; of one that is too long, one byte more than is allowed."""
    line = stream.readline(MOST_LINE_BYTES + 1)
    while line:
        rest = line
        while len(rest) > MOST_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MOST_LINE_BYTES + 1)
        yield line.decode("utf-8", "backslashreplace")
        line = stream.readline(MOST_LINE_BYTES + 1)


def is_too_long(line: str) -> bool:
    """Tell whether a line was cut."""
    return len(line) > MOST_LINE_BYTES and not line.endswith("\n")
