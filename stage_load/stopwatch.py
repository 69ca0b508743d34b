"""Measures how long the phases of a job take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Seconds by phase."""

    timings_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a phase."""
        begin_s = time.perf_counter()
        try:
            yield
        finally:
            taken_s = time.perf_counter() - begin_s
            self.timings_s[name] = self.timings_s.get(name, 0.0) + taken_s
