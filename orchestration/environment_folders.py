"""Folders of environments: made by one run at a time, whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestration.errors import EnvironmentBuildFailed
from orchestration.runtimes.base import Notify


def make_folder(folder: Path) -> None:
    """Make the folder of all environments.

    Raises:
        EnvironmentBuildFailed: it cannot be made there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentBuildFailed(
            f"The folder {folder} cannot be made: {error.strerror}.",
            "Environments are kept in the user's cache folder.",
            "Set XDG_CACHE_HOME to a folder that you may write to.",
        ) from error


@contextmanager
def exclusive(lock_file: Path, notify: Notify) -> Iterator[None]:
    """Hold the lock of one environment; waits for another run that holds it."""
    descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            notify("Waiting for another run that is making this environment")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def reap_partial_folders(target: Path) -> None:
    """Remove what killed runs left of this environment; the lock is held, so none is in use."""
    for leftover in target.parent.glob(f"{target.name}.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)
