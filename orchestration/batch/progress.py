"""How a batch is shown while it goes on: one bar on a terminal, one line an item elsewhere."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from orchestration.batch.ending import Ending
from orchestration.batch.figures import parity_failure
from orchestration.batch.sorting import Sorted
from orchestration.display import TerminalDisplay
from orchestration.run_context import Display

_SECONDS_A_MINUTE = 60.0


@dataclass
class Tally:
    """How many items have come to what.

    Attributes:
        total: all items.
        done: with a result that nothing speaks against.
        failed: without one.
        own: brought to an end by this run itself.
        started_s: `time.monotonic()` at its start.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    own: int = 0
    started_s: float = field(default_factory=time.monotonic)

    @property
    def ended(self) -> int:
        """All that need not be done any more."""
        return self.done + self.failed

    def count(self, ending: Ending) -> None:
        """Count one more."""
        self.own += ending.state != "released"
        if ending.is_well:
            self.done += 1
        elif ending.state != "released":
            self.failed += 1

    def words(self) -> str:
        """For a bar: counts, speed, time left."""
        left = self.total - self.ended
        parts = [f"{self.done} done", f"{self.failed} failed", f"{left} left"]
        seconds = time.monotonic() - self.started_s
        # What earlier runs have done tells nothing of this one's speed.
        if self.own and seconds > 0:
            parts.append(f"{self.own / seconds * _SECONDS_A_MINUTE:.1f} a minute")
            parts.append(f"{_duration(left * seconds / self.own)} to go")
        return ", ".join(parts)


class BatchProgress:
    """Shows the ends of items; safe to use from all lanes.

    Args:
        display: of the command. On a terminal there is a bar, and a line an item that failed.
        total: number of all items.
    """

    def __init__(self, display: Display, total: int) -> None:
        self.tally = Tally(total)
        self._display = display
        self._lock = threading.Lock()

    def begin(self, found: Sorted) -> None:
        """Count what earlier runs have done."""
        self.found(found)
        if found.done or found.failed:
            self._display.notify(earlier_words(found))

    def found(self, found: Sorted) -> None:
        """Count items that need not be done, or that others have done."""
        with self._lock:
            self.tally.done += len(found.done)
            self.tally.failed += len(found.failed)
            self._show()

    def ended(self, ending: Ending) -> None:
        """Show how an item ended."""
        with self._lock:
            self.tally.count(ending)
            if not (ending.is_well and isinstance(self._display, TerminalDisplay)):
                position = f"[{self.tally.ended}/{self.tally.total}]"
                is_failure = ending.state != "released" and not ending.is_well
                say = self._display.problem if is_failure else self._display.notify
                say(f"{position} {describe(ending)}")
            self._show()

    def _show(self) -> None:
        tally = self.tally
        if isinstance(self._display, TerminalDisplay) and tally.total:
            self._display.overall(tally.words(), tally.ended, tally.total)


def describe(ending: Ending) -> str:
    """The end of an item in one line."""
    differs = parity_failure(ending.manifest) if ending.manifest else None
    if differs is not None:
        return (
            f"{ending.name}: failed, {differs.class_name}: {differs.happened}"
            f" Report: {ending.name}/report.html"
        )
    if ending.error is None:
        what = ending.verdict or "given back, to be done by the next run"
        return f"{ending.name}: {what} ({_duration(ending.seconds)})"
    what = "failed" if ending.state == "failed" else "to be done again alone"
    log = "" if ending.log is None else f" Log: {ending.log}"
    return f"{ending.name}: {what}, {ending.error_name}: {ending.error.happened}{log}"


def _duration(seconds: float) -> str:
    if seconds < _SECONDS_A_MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def earlier_words(found: Sorted) -> str:
    """What earlier runs have brought to its end, for people."""
    again = " (--retry-failed tries those again)" if found.failed else ""
    return f"Earlier runs: {len(found.done):,} done, {len(found.failed):,} failed{again}"
