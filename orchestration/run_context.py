"""What every command is given, and what it comes to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from orchestration.conversation import Conversation
from orchestration.runtimes.base import Event, Runtime, Stage


class Display(Protocol):
    """Shows people how a run goes on."""

    def notify(self, line: str) -> None:
        """Show one line about what the host does."""

    def problem(self, line: str) -> None:
        """Show one line about something that went wrong; always, `--quiet` or not."""

    def event(self, stage: Stage, event: Event) -> None:
        """Show an event of a stage."""

    def text(self, stage: Stage, line: str) -> None:
        """Show a line that a stage wrote for people; may come from any thread."""


@dataclass(frozen=True)
class RunContext:
    """What every command needs.

    Attributes:
        choose: picks the runtime; called once, after the paths have been checked.
        display: where progress goes.
        argv: the command line, for the manifest.
        environment: the caller's.
        started_s: `time.monotonic()` at the start.
    """

    choose: Callable[[], Runtime]
    display: Display
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    started_s: float = field(default_factory=time.monotonic)

    @cached_property
    def runtime(self) -> Runtime:
        """How stages become processes."""
        return self.choose()

    @property
    def started(self) -> datetime:
        """The start by the clock on the wall."""
        age = timedelta(seconds=time.monotonic() - self.started_s)
        return datetime.now(timezone.utc) - age

    def conversation(self) -> Conversation:
        """Stages of this context's runtime, shown on its display."""
        return Conversation(self.runtime, self.display.event, self.display.text)


@dataclass(frozen=True)
class Outcome:
    """What a command came to.

    Attributes:
        out: the result folder.
        manifest: its manifest.
        is_new: False when an earlier run had made the same result already.
    """

    out: Path
    manifest: Mapping[str, Any]
    is_new: bool = True

    @property
    def exit_code(self) -> int:
        """0, or that of a failed parity check."""
        return int(self.manifest["verdict"]["exit_code"])
