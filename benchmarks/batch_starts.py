"""How long each runtime takes from a command to a stage's answer, as root and as another user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.runs import REPOSITORY, stage_environment
from orchestration.errors import EngineNotInstalled
from orchestration.image_sources import ImageSources
from orchestration.runtimes.registry import RUNTIMES
from orchestration.sif.program import find_program
from orchestration.sif.store import SifStore
from tests.ordinary_user import NoOrdinaryUser, make_ordinary_user

REPEATS = 3
# What somebody without rights may use on a machine that others have set up.
OF_USERS = ("podman", "apptainer")

Starts = dict[str, dict[str, list[float]]]
Say = Callable[[str], None]
Inspect = Callable[[str], "subprocess.CompletedProcess[str]"]


def measure_starts(checkpoint: Path, say: Say) -> Starts:
    """Runtime -> caller ("root" or "user") -> seconds of each repeat; what cannot run is said.

    Args:
        checkpoint: folder of a checkpoint that takes no time.
        say: takes a line for people.
    """
    found: Starts = {}

    def here(runtime: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, os.fspath(REPOSITORY / "orchestrate.py")]
        return subprocess.run(
            [*program, "inspect", os.fspath(checkpoint), "--runtime", runtime],
            env=stage_environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    caller = "root" if os.geteuid() == 0 else "user"
    for runtime in RUNTIMES:
        _measure(found, runtime, caller, here, say)
    if caller == "root":
        _measure_another(found, checkpoint, say)
    return found


def _measure_another(found: Starts, checkpoint: Path, say: Say) -> None:
    """As somebody who is not root, with that user's own images."""
    with tempfile.TemporaryDirectory(prefix="starts-") as folder:
        try:
            user = make_ordinary_user(Path(folder))
        except NoOrdinaryUser as reason:
            say(f"Nothing is measured as another user: {reason}.")
            return
        copy = user.own(Path(shutil.copytree(checkpoint, user.folder / "checkpoint")))
        images = {"apptainer": _lent_image(user.folder)}

        def there(runtime: str) -> subprocess.CompletedProcess[str]:
            answer: subprocess.CompletedProcess[str]
            more = images.get(runtime, ())
            answer = user.orchestrate("inspect", copy, "--runtime", runtime, *more)
            return answer

        for runtime in OF_USERS:
            _measure(found, runtime, "user", there, say)


def _lent_image(folder: Path) -> tuple[str | Path, ...]:
    """Options that name a copy of root's own image, which another user cannot see."""
    try:
        store = SifStore(find_program(os.environ), os.environ)
    except EngineNotInstalled:
        return ()
    image = store.path(ImageSources.read("extract", "cpu").reference)
    if not image.is_file():
        return ()
    copy = Path(shutil.copy(image, folder))
    copy.chmod(0o644)
    return ("--image-extract", copy)


def _measure(found: Starts, runtime: str, caller: str, inspect: Inspect, say: Say) -> None:
    times_s = []
    for _ in range(1 + REPEATS):
        started_s = time.monotonic()
        answer = inspect(runtime)
        times_s.append(round(time.monotonic() - started_s, 3))
        if answer.returncode != 0:
            say(f"{runtime} as {caller} is left out: {answer.stderr.strip()}")
            return
    # The first one fills caches.
    found.setdefault(runtime, {})[caller] = times_s[1:]
