"""Whether a real Slurm answers on this machine, for tests that submit jobs to it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable

import pytest


def why_no_slurm() -> str | None:
    """None where a controller answers and has a node for jobs, else what is missing."""
    if shutil.which("sbatch") is None or shutil.which("sinfo") is None:
        return "there is no Slurm on this machine: run .ci/slurm start"
    command = ["sinfo", "--noheader", "--states=idle,mixed,allocated,completing"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0 or not answer.stdout.strip():
        return f"Slurm has no node for jobs: run .ci/slurm start ({answer.stderr.strip()})"
    return None


def require_slurm() -> None:
    """Skip the test where there is no Slurm; in continuous integration that has failed."""
    reason = why_no_slurm()
    if reason is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def wait_until(is_true: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Ask again and again until something is true.

    Raises:
        AssertionError: it did not come true.
    """
    end_s = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < end_s, f"{what} not within {timeout_s:.0f} s"
        time.sleep(0.2)
