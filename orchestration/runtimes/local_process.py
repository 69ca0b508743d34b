"""One stage as a plain process of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from orchestration.event_check import MOST_LINE_BYTES, decode_event, line_too_long
from orchestration.run_paths import repository_folder
from orchestration.runtimes.base import Event, ExitStatus, Notify, StageSpec, encode_job

# What of the caller's environment a stage needs to find libraries, threads and cards.
_INHERITED = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "NVIDIA_VISIBLE_DEVICES",
    "CUDA_HOME",
    "USER",
    "LOGNAME",
)
_OOM_COUNTER = "oom_kill "
# A process that left the session keeps the pipe open; nobody waits for its text.
_TEXT_PATIENCE_S = 1.0
# A longer line of people's text is shown in pieces.
_MOST_TEXT_BYTES = 1 << 16


class LocalProcess:
    """One stage as a subprocess.

    Args:
        python: interpreter of the stage's environment.
        spec: what to run.
        environment: the caller's.
        on_text: takes each line of stderr, from a thread.
    """

    def __init__(
        self, python: Path, spec: StageSpec, environment: Mapping[str, str], on_text: Notify
    ) -> None:
        self._home = tempfile.TemporaryDirectory(prefix=f"tf1-to-torch-{spec.stage}-")
        self._oom_kills = _count_oom_kills()
        try:
            self._process = subprocess.Popen(
                [os.fspath(python), "-s", "-m", f"stage_{spec.stage}", *spec.arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._home.name,
                env=stage_environment(spec, environment, self._home.name),
                pass_fds=spec.keep_open,
                start_new_session=True,
            )
        except BaseException:
            self._home.cleanup()
            raise
        self._has_reader = False
        self._ended = False
        assert self._process.stderr is not None
        self._reader = threading.Thread(
            target=_forward_lines, args=(self._process.stderr, on_text), daemon=True
        )
        self._reader.start()

    def path(self, host_path: Path) -> str:
        """The host's own path: a plain process sees what the host sees."""
        return os.fspath(host_path)

    def host_text(self, text: str) -> str:
        """The text as it is."""
        return text

    def send(self, job: Mapping[str, object]) -> None:
        """Write one job line."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(encode_job(job))
            self._process.stdin.flush()

    def events(self) -> Iterator[Event]:
        """Yield events until the process closes its output.

        Raises:
            StageCrashed: a line is not an event.
        """
        assert self._process.stdout is not None
        self._has_reader = True
        with self._process.stdout as stream:
            while line := stream.readline(MOST_LINE_BYTES + 1):
                if len(line) > MOST_LINE_BYTES:
                    raise line_too_long(MOST_LINE_BYTES)
                yield decode_event(line)

    def close_input(self) -> None:
        """Tell the stage that no more jobs come."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def wait(self) -> ExitStatus:
        """Wait for the end of the process and of its text."""
        code = self._process.wait()
        self._reader.join(_TEXT_PATIENCE_S)
        if code >= 0:
            return ExitStatus(code)
        killed_for_memory = -code == signal.SIGKILL and _count_oom_kills() > self._oom_kills
        return ExitStatus(128 - code, signal=-code, out_of_memory=killed_for_memory)

    def kill(self) -> None:
        """Kill the stage's whole session and remove its scratch folder."""
        if self._ended:
            return
        self.close_input()
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
        self._home.cleanup()


def stage_environment(spec: StageSpec, environment: Mapping[str, str], home: str) -> dict[str, str]:
    """Variables of a stage: a few of the caller's, scratch in place of HOME, and the spec's own."""
    variables = {name: environment[name] for name in _INHERITED if name in environment}
    variables.update(
        {
            "HOME": home,
            "TMPDIR": home,
            "PYTHONPATH": os.fspath(repository_folder()),
            "PYTHONUTF8": "1",
        }
    )
    variables.update(spec.environment)
    return variables


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
