"""The lines of a worker's input: of bounded length, and readable whatever bytes they hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

MOST_LINE_BYTES = 16 << 20
"""A job names paths and options; more than this is no job, and would only fill the memory."""


def read_lines(stream: BinaryIO) -> Iterator[str]:
    """Yield line after line; of one that is too long, one byte more than is allowed."""
    while line := stream.readline(MOST_LINE_BYTES + 1):
        rest = line
        while len(rest) > MOST_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MOST_LINE_BYTES + 1)
        yield line.decode("utf-8", "backslashreplace")


def is_too_long(line: str) -> bool:
    """Whether a line was cut."""
    return len(line) > MOST_LINE_BYTES and not line.endswith("\n")
