"""The local runtime whose stages stay warm between the runs of one test file.

Importing torch takes longer than converting a small network; what the stages do is the same.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestration.runtimes.base import (
    Availability,
    Event,
    ExitStatus,
    Notify,
    Runtime,
    Stage,
    StageProcess,
    StageSpec,
)


class _Kept:
    """A running stage, and what it said when it was ready."""

    def __init__(self, process: StageProcess) -> None:
        self.process = process
        self.heard = process.events()
        self.ready = next(self.heard)


class _Turn:
    """A kept stage for as long as one run needs it: one job."""

    def __init__(self, kept: _Kept) -> None:
        self._kept = kept
        self._moved = threading.Event()
        self._is_over = False

    @property
    def argv(self) -> Any:
        return self._kept.process.argv

    def path(self, host_path: Path) -> str:
        return self._kept.process.path(host_path)

    def host_text(self, text: str) -> str:
        return self._kept.process.host_text(text)

    def send(self, job: Mapping[str, object]) -> None:
        self._kept.process.send(job)
        self._moved.set()

    def events(self) -> Iterator[Event]:
        yield self._kept.ready
        # Without a job there is nothing to hear, and the next run's events are not for this one.
        self._moved.wait()
        if self._is_over:
            return
        for event in self._kept.heard:
            yield event
            if event["event"] in ("done", "failed"):
                return

    def close_input(self) -> None:
        """More jobs come, of other runs."""

    def wait(self) -> ExitStatus:
        return ExitStatus(0)

    def memory_bytes(self) -> int | None:
        return self._kept.process.memory_bytes()

    def kill(self) -> None:
        if not self._moved.is_set():
            self._is_over = True
            self._moved.set()


class WarmRuntime:
    """A runtime that starts each kind of stage once.

    Args:
        inner: starts them.
        has_tensorflow: whether it is to say so.
    """

    def __init__(self, inner: Runtime, *, has_tensorflow: bool = True) -> None:
        self._inner = inner
        self._kept: dict[tuple[str, ...], _Kept] = {}
        self.has_tensorflow = has_tensorflow

    @property
    def name(self) -> str:
        return self._inner.name

    def availability(self) -> Availability:
        return self._inner.availability()

    def tensorflow(self) -> Availability:
        if self.has_tensorflow:
            return self._inner.tensorflow()
        return Availability(False, "this test has the modern half alone")

    def prepare(self, stages: Collection[Stage], notify: Notify) -> None:
        assert self.has_tensorflow or "extract" not in stages
        self._inner.prepare(stages, notify)

    def identity(self, stage: Stage, home: Stage | None = None) -> dict[str, Any]:
        return self._inner.identity(stage, home)

    def home_record(self, home: Stage) -> dict[str, Any]:
        return self._inner.home_record(home)

    def start(self, spec: StageSpec, on_text: Notify) -> StageProcess:
        key = (spec.stage, *spec.arguments)
        if key not in self._kept:
            self._kept[key] = _Kept(self._inner.start(spec, on_text))
        return _Turn(self._kept[key])

    def reap(self) -> None:
        self._inner.reap()

    def close(self) -> None:
        """End the stages."""
        for kept in self._kept.values():
            kept.process.kill()
            # Who reads closes the pipe, at its end.
            for _ in kept.heard:
                pass
