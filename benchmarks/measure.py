"""Run one command and measure it: wall time, CPU time and peak memory of its whole process tree.

Linux only: memory is read from /proc.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SAMPLE_INTERVAL_S = 0.02
KIB = 1024
_SHOWN_BYTES = 3000


class MeasuredCommandFailed(Exception):
    """The command under measurement did not exit with 0, so its figures would mean nothing."""


@dataclass(frozen=True)
class Measurement:
    """What one run of one command cost.

    Attributes:
        wall_s: from start to exit.
        cpu_s: user and system time of the process and of every child that it waited for.
        peak_memory_bytes: largest resident memory. For a single process it is the kernel's own
            record where that is above this process's own, which a child begins with; for a tree
            the largest sum seen by sampling, in which a page shared by two processes counts twice.
        peak_anonymous_bytes: the same by sampling and without pages of mapped files, which the
            kernel can drop at any time.
        events: the last JSON event of each kind on standard output, with "at_s" since the start.
    """

    wall_s: float
    cpu_s: float
    peak_memory_bytes: int
    peak_anonymous_bytes: int
    events: dict[str, dict[str, Any]] = field(default_factory=dict)


class _MemorySampler(threading.Thread):
    """Samples the resident memory of a process tree until told to stop."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._stop_event = threading.Event()
        self.peak_bytes = 0
        self.peak_anonymous_bytes = 0

    def run(self) -> None:
        while not self._stop_event.wait(SAMPLE_INTERVAL_S):
            samples = [resident_bytes(pid) for pid in process_tree(self._pid)]
            self.peak_bytes = max(self.peak_bytes, sum(total for total, _ in samples))
            anonymous = sum(anonymous for _, anonymous in samples)
            self.peak_anonymous_bytes = max(self.peak_anonymous_bytes, anonymous)

    def finish(self) -> None:
        self._stop_event.set()
        self.join()


def process_tree(pid: int) -> list[int]:
    """`pid` and all its descendants that are alive."""
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        for thread in _list_or_empty(Path(f"/proc/{current}/task")):
            waiting.extend(int(child) for child in _read_or_empty(thread / "children").split())
    return found


def resident_bytes(pid: int) -> tuple[int, int]:
    """Resident memory of one process: (all of it, anonymous pages only). Zero when it has ended."""
    values = {"VmRSS": 0, "RssAnon": 0}
    for line in _read_or_empty(Path(f"/proc/{pid}/status")).splitlines():
        name, _, rest = line.partition(":")
        if name in values:
            values[name] = int(rest.split()[0]) * KIB
    return values["VmRSS"], values["RssAnon"]


# A process may end between being listed and being read; it then counts as nothing.
def _list_or_empty(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return []


def _read_or_empty(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def measure(
    command: Sequence[str | Path], *, environment: Mapping[str, str], cwd: Path, stdin: str = ""
) -> Measurement:
    """Run `command` once to its end.

    Args:
        command: program and arguments.
        environment: the whole environment of the process.
        cwd: folder to run it in.
        stdin: text that it reads.

    Raises:
        MeasuredCommandFailed: it exited with something else than 0.
    """
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as source:
        source.write(stdin.encode())
        source.seek(0)
        inherited_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.monotonic()
        process = subprocess.Popen(
            [os.fspath(part) for part in command],
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=dict(environment),
            cwd=cwd,
        )
        sampler = _MemorySampler(process.pid)
        sampler.start()
        output, events = _read_output(process, started)
        # Not process.wait(): only wait4 tells what this one child used.
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        sampler.finish()
        if process.returncode != 0:
            errors.seek(0)
            raise _failure(command, process.returncode, output + errors.read())
    own_record_kib = usage.ru_maxrss if usage.ru_maxrss > inherited_kib else 0
    return Measurement(
        wall_s=wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_memory_bytes=max(sampler.peak_bytes, own_record_kib * KIB),
        peak_anonymous_bytes=sampler.peak_anonymous_bytes,
        events=events,
    )


def _read_output(
    process: subprocess.Popen[bytes], started: float
) -> tuple[bytes, dict[str, dict[str, Any]]]:
    """All of standard output, and the last event of each kind with its time."""
    output, events = b"", {}
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            output = (output + line)[-_SHOWN_BYTES:]
            if line.startswith(b'{"event"'):
                event = json.loads(line)
                events[event["event"]] = {**event, "at_s": time.monotonic() - started}
    return output, events


def _failure(command: Sequence[str | Path], code: int, text: bytes) -> MeasuredCommandFailed:
    shown = text[-_SHOWN_BYTES:].decode(errors="replace")
    words = " ".join(os.fspath(part) for part in command)
    return MeasuredCommandFailed(
        f"Exit code {code} from: {words}\n{shown}\n"
        "Only a run that succeeds (exit code 0) can be measured. Run the command by hand."
    )
