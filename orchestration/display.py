"""How a run is shown while it goes on: bars on a terminal, plain lines in a file or a pipe."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TextIO

from orchestration.printing import printable
from orchestration.runtimes.base import Event, Stage

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LINE_INTERVAL_S = 5.0
_DESCRIPTION_WIDTH = 28


class QuietDisplay:
    """Shows what went wrong and nothing else.

    Args:
        stream: where that goes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def notify(self, line: str) -> None:
        """Drop the line."""

    def problem(self, line: str) -> None:
        """Print the line."""
        print(printable(line), file=self._stream, flush=True)

    def event(self, stage: Stage, event: Event) -> None:
        """Drop the event."""

    def text(self, stage: Stage, line: str) -> None:
        """Drop the text."""

    def close(self) -> None:
        """Nothing to close."""


class LineDisplay:
    """Plain lines, one a step; a long step says every few seconds how far it is.

    Args:
        stream: where the lines go.
        verbose: also show what the stages write for people.
    """

    def __init__(self, stream: TextIO, verbose: bool) -> None:
        self._stream = stream
        self._verbose = verbose
        self._last_line_s: dict[tuple[Stage, str], float] = {}

    def notify(self, line: str) -> None:
        """Print a line."""
        print(printable(line), file=self._stream, flush=True)

    def problem(self, line: str) -> None:
        """Print a line."""
        self.notify(line)

    def event(self, stage: Stage, event: Event) -> None:
        """Print the event, unless its like was printed a moment ago."""
        line = describe_event(stage, event)
        if line is None:
            return
        if event["event"] == "progress" and not self._is_due(stage, event):
            return
        self.notify(line)

    def text(self, stage: Stage, line: str) -> None:
        """Print a stage's own text, if asked to be verbose."""
        if self._verbose:
            self.notify(f"{stage}| {line}")

    def close(self) -> None:
        """Nothing to close."""

    def _is_due(self, stage: Stage, event: Event) -> bool:
        """True at the end of a phase, and now and then within a long one."""
        key = (stage, str(event["phase"]))
        now_s = time.monotonic()
        started_s = self._last_line_s.setdefault(key, now_s)
        if event["done"] != event["total"] and now_s - started_s < _LINE_INTERVAL_S:
            return False
        self._last_line_s[key] = now_s
        return True


class TerminalDisplay:
    """Progress bars, one a stage, that vanish at the end; other lines stay above them.

    Rich is imported at the first event, when the stages are busy importing their frameworks.

    Args:
        stream: the terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._progress: Progress | None = None
        self._tasks: dict[Stage, TaskID] = {}
        self._overall: TaskID | None = None

    def notify(self, line: str) -> None:
        """Print a line, above the bars if there are any."""
        line = printable(line)
        if self._progress is None:
            print(line, file=self._stream, flush=True)
        else:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def problem(self, line: str) -> None:
        """Print a line, above the bars if there are any."""
        self.notify(line)

    def event(self, stage: Stage, event: Event) -> None:
        """Move the stage's bar."""
        progress = self._started()
        kind = event["event"]
        if kind == "starting":
            self._tasks[stage] = progress.add_task(
                _described(stage, f"starting {event['imports']}"), total=None
            )
        elif kind == "ready":
            self._update(stage, "ready", total=1, completed=0)
        elif kind == "progress":
            self._update(stage, event["phase"], total=event["total"], completed=event["done"])
        elif kind == "done" and event["job"] == stage:
            self._update(stage, "done", total=1, completed=1)
        elif kind == "warning":
            self.notify(f"Warning: {event['message']}")

    def text(self, stage: Stage, line: str) -> None:
        """Drop it: asked to be verbose, the lines of `LineDisplay` are used instead of bars."""

    def overall(self, what: str, done: int, total: int) -> None:
        """Move the one bar of many items, in place of bars of stages."""
        progress = self._started()
        if self._overall is None:
            self._overall = progress.add_task(what)
        progress.update(self._overall, description=printable(what), total=total, completed=done)

    def close(self) -> None:
        """Take the bars away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = self._overall = None

    def _update(self, stage: Stage, what: str, total: int | None, completed: int) -> None:
        assert self._progress is not None
        if stage in self._tasks:
            self._progress.update(
                self._tasks[stage],
                description=_described(stage, what),
                total=total,
                completed=completed,
            )

    def _started(self) -> Progress:
        if self._progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TimeElapsedColumn(),
                console=Console(file=self._stream),
                transient=True,
            )
            self._progress.start()
        return self._progress


def describe_event(stage: Stage, event: Event) -> str | None:
    """An event as one line for people, or None if it tells them nothing."""
    kind = event["event"]
    if kind == "ready":
        versions = event.get("versions", {})
        told = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        return f"{stage}: ready ({told})"
    if kind == "progress":
        unit = event.get("unit", "")
        return f"{stage}: {event['phase']} {event['done']}/{event['total']} {unit}".rstrip()
    if kind == "warning":
        return f"Warning: {event['message']}"
    if kind == "done" and event["job"] == stage:
        return f"{stage}: done"
    return None


def _described(stage: Stage, what: str) -> str:
    return printable(f"{stage:<8} {what}").ljust(_DESCRIPTION_WIDTH)
