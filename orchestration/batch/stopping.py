"""Signals that end a batch early: each item is done by then, or free for the next run."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Ctrl-C, the end of a terminal, a scheduler's order to go, and its warning of a time limit.
STOP_SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1)
GRACE_S = 3.0


class StopRequest:
    """Whether, and until when, a batch is to come to its end.

    Attributes:
        signal_number: what asked for it; None = nothing has.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._at_s = float("inf")
        self._listeners: list[Callable[[float], None]] = []
        self._lock = threading.RLock()

    @property
    def is_made(self) -> bool:
        """Whether there is one."""
        return self.signal_number is not None

    def make(self, number: int) -> None:
        """Ask for the end: in a moment, or at once if it is asked for again by Ctrl-C."""
        is_repeated = self.is_made and number == signal.SIGINT
        at_s = time.monotonic() + (0.0 if is_repeated else GRACE_S)
        with self._lock:
            self.signal_number = self.signal_number or number
            self._at_s = min(at_s, self._at_s)
            for listener in self._listeners:
                listener(self._at_s)

    def tell(self, listener: Callable[[float], None]) -> None:
        """Let a listener hear until when work may end by itself; at once if that is known."""
        with self._lock:
            self._listeners.append(listener)
            if self.is_made:
                listener(self._at_s)

    def forget(self, listener: Callable[[float], None]) -> None:
        """Tell it no more."""
        with self._lock:
            self._listeners.remove(listener)


@contextmanager
def stopping_on_signals() -> Iterator[StopRequest]:
    """Let signals make a stop request in place of ending the program."""
    request = StopRequest()

    def make(number: int, frame: FrameType | None) -> None:
        request.make(number)

    before = {number: signal.signal(number, make) for number in STOP_SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
