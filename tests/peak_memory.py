"""How much memory a command takes at most, whatever this process has taken itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# A process that starts the command and nothing else: a fork inherits its parent's record, and the
# parent here would be a process of pytest.
_MEASURE = (
    "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]);"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
)


def peak_memory_bytes(
    command: Sequence[str | Path],
    cwd: Path,
    *,
    environment: Mapping[str, str] | None = None,
    exit_code: int = 0,
) -> int:
    """Run a command that is to say nothing; gives the memory of its largest process."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, *map(os.fspath, command)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (exit_code, ""), done
    return int(done.stdout) * 1024
