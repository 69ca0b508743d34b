"""The traceback of a user's own code: what remains when this program's and torch's frames go."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from traceback import StackSummary, TracebackException
from types import FrameType

_FOREIGN = frozenset(
    {"stage_load", "torch", "importlib", "_frozen_importlib", "_frozen_importlib_external"}
)
"""Packages whose frames stand around a user's code, and tell nothing of it."""

_MOST_FRAMES = 40
_MOST_LINES = 100
_MOST_LETTERS = 400


def own_lines(error: BaseException, *, short: bool = False) -> tuple[str, ...]:
    """Return a traceback as Python writes it, of the frames of a user's code and its libraries.

    Causes and contexts are told as well. Very long ones lose their beginning.

    Args:
        error: what was raised.
        short: name files as their modules are imported, so that equal code gives equal text in any
            folder.
    """
    told = TracebackException.from_exception(error)
    _cut(told, error, short)
    lines = "".join(told.format()).splitlines()[-_MOST_LINES:]
    return tuple(
        line if len(line) <= _MOST_LETTERS else f"{line[:_MOST_LETTERS]}…" for line in lines
    )


def own_place(error: BaseException) -> str:
    """Return where in a user's code an exception arose, in one line; empty if nowhere in it."""
    frames = _summary(error, short=True)
    if not frames:
        return ""
    last = frames[-1]
    line = f": {last.line}" if last.line else ""
    return f"{last.filename}, line {last.lineno}, in {last.name}{line}"


def _cut(told: TracebackException, error: BaseException, short: bool) -> None:
    """Leave foreign frames out of an exception and of what led to it."""
    told.stack = _summary(error, short)
    if told.__cause__ is not None and error.__cause__ is not None:
        _cut(told.__cause__, error.__cause__, short)
    if told.__context__ is not None and error.__context__ is not None:
        _cut(told.__context__, error.__context__, short)


def _summary(error: BaseException, short: bool) -> StackSummary:
    frames = list(_own_frames(error))[-_MOST_FRAMES:]
    summary = StackSummary.extract(frames)
    if short:
        for entry, (frame, _) in zip(summary, frames, strict=True):
            entry.filename = _short_name(frame)
    return summary


def _short_name(frame: FrameType) -> str:
    """Return a frame's file below the folder from which its module was imported."""
    path = Path(frame.f_code.co_filename)
    module = str(frame.f_globals.get("__name__", "")).split(".")
    return Path(*path.parts[-len(module) - (path.name == "__init__.py") :]).as_posix()


def _own_frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__", "")).split(".")[0] not in _FOREIGN:
            yield frame, line
