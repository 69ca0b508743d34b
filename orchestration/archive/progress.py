"""Shows how many bytes of how many are done: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from typing import Final

from orchestration.display import LineDisplay, QuietDisplay, TerminalDisplay
from orchestration.printing import size_text

_BAR_INTERVAL_S: Final = 0.1
_LINE_INTERVAL_S: Final = 5.0
Display = QuietDisplay | LineDisplay | TerminalDisplay


class ByteProgress:
    """Counts bytes and shows them.

    Args:
        display: where.
        what: is done, such as "archiving".
        total_bytes: how many there are.
    """

    def __init__(self, display: Display, what: str, total_bytes: int) -> None:
        self._display = display
        self._what = what
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._shown_s = time.monotonic()

    def advance(self, count: int) -> None:
        """So many more bytes are done."""
        self.show(self._done_bytes + count, self._total_bytes)

    def show(self, done_bytes: int, total_bytes: int) -> None:
        """So many of so many are done."""
        self._done_bytes, self._total_bytes = done_bytes, total_bytes
        is_bar = isinstance(self._display, TerminalDisplay)
        now_s = time.monotonic()
        if now_s - self._shown_s < (_BAR_INTERVAL_S if is_bar else _LINE_INTERVAL_S):
            return
        self._shown_s = now_s
        told = f"{self._what}, {size_text(done_bytes)} of {size_text(total_bytes)}"
        if isinstance(self._display, TerminalDisplay):
            self._display.overall(told, done_bytes, max(total_bytes, 1))
        else:
            self._display.notify(told)
