"""One stage as a subprocess of this program: the stage itself, or the command that contains it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from orchestration.event_check import MOST_LINE_BYTES, decode_event, line_too_long
from orchestration.runtimes.base import Event, ExitStatus, Notify, StageSpec, encode_job
from orchestration.runtimes.process_memory import tree_memory_bytes

_SIGNAL_BASE = 128
_OOM_COUNTER = "oom_kill "
# A process that left the session keeps the pipe open; nobody waits for its text.
_TEXT_PATIENCE_S = 1.0
# A longer line of people's text is shown in pieces.
_MOST_TEXT_BYTES = 1 << 16


class CommandProcess:
    """One stage as a subprocess, in a session of its own.

    A runtime makes one by handing over the command; what differs in paths, in the reason of an end
    or in what is to be cleaned up is a method of its subclass.

    Args:
        argv: the command.
        environment: all of its variables; nothing is inherited.
        folder: where it starts.
        spec: what it runs.
        on_text: takes each line of stderr, from a thread.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        spec: StageSpec,
        on_text: Notify,
    ) -> None:
        self._oom_kills = _count_oom_kills()
        self._process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=dict(environment),
            pass_fds=spec.keep_open,
            start_new_session=True,
        )
        self._argv = list(argv)
        self._has_reader = False
        self._ended = False
        assert self._process.stderr is not None
        self._reader = threading.Thread(
            target=_forward_lines, args=(self._process.stderr, on_text), daemon=True
        )
        self._reader.start()

    @property
    def argv(self) -> list[str]:
        """The command line."""
        return self._argv

    def path(self, host_path: Path) -> str:
        """The host's own path, as a plain process sees it."""
        return os.fspath(host_path)

    def host_text(self, text: str) -> str:
        """The text as it is."""
        return text

    def send(self, job: Mapping[str, object]) -> None:
        """Write one job line; a process that is gone is no error here."""
        assert self._process.stdin is not None
        if self._ended:
            return
        with suppress(BrokenPipeError):
            self._process.stdin.write(encode_job(job))
            self._process.stdin.flush()

    def events(self) -> Iterator[Event]:
        """Yield events until the process closes its output.

        Raises:
            StageCrashed: a line is not an event.
        """
        for line in self.lines(MOST_LINE_BYTES + 1):
            if len(line) > MOST_LINE_BYTES:
                raise line_too_long(MOST_LINE_BYTES)
            yield decode_event(line)

    def lines(self, most_bytes: int = -1) -> Iterator[bytes]:
        """Yield line after line of standard output until the process closes it. For one reader.

        Args:
            most_bytes: a longer line comes in pieces.
        """
        assert self._process.stdout is not None
        self._has_reader = True
        with self._process.stdout as stream:
            while line := stream.readline(most_bytes):
                yield line

    def close_input(self) -> None:
        """Tell the stage that no more jobs come."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def wait(self) -> ExitStatus:
        """Wait for the end of the process and of its text."""
        code = self._process.wait()
        self._reader.join(_TEXT_PATIENCE_S)
        if code < 0:
            return ExitStatus(_SIGNAL_BASE - code, -code, self._was_out_of_memory(-code))
        return ExitStatus(code)

    def memory_bytes(self) -> int | None:
        """Memory of the process and its descendants; None once it is gone."""
        return None if self._ended else tree_memory_bytes(self._process.pid)

    def kill(self) -> None:
        """Kill everything in the session, then clean up. Safe to call twice."""
        if self._ended:
            return
        self.close_input()
        self._before_kill()
        # The group outlives its leader while one of its processes lives, and only then exists.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        # From now on its number may be another process's.
        self._ended = True
        # A reader closes the stream itself: closing it under its feet would wait for it.
        if not self._has_reader and self._process.stdout is not None:
            self._process.stdout.close()
        self._reader.join(_TEXT_PATIENCE_S)
        self._clean_up()

    def _was_out_of_memory(self, signal_number: int) -> bool:
        """Whether memory is known to be why a signal ended the process."""
        return signal_number == signal.SIGKILL and _count_oom_kills() > self._oom_kills

    def _before_kill(self) -> None:
        """What must happen while the process still lives."""

    def _clean_up(self) -> None:
        """What remains to be removed once the process is gone."""


def _forward_lines(stream: IO[bytes], on_text: Notify) -> None:
    with stream:
        while line := stream.readline(_MOST_TEXT_BYTES):
            on_text(line.decode(errors="replace").rstrip("\n"))


def _count_oom_kills() -> int:
    """How often this kernel's OOM killer struck since boot; 0 where it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(_OOM_COUNTER))
