"""Whether those who work on a batch still live, seen by a process that only looks."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from orchestration.batch.owner import LOST_AFTER_S, BatchOwner, heartbeat_path, is_known_dead
from orchestration.batch.settings import BatchFolder


class Onlooker:
    """Looks at heartbeats without one of its own, also where nothing may be written.

    Args:
        folder: of the batch.
    """

    def __init__(self, folder: BatchFolder) -> None:
        self._folder = folder
        self._observer = BatchOwner.current({})
        self._now_s: float | None = None

    def is_lost(self, owner: BatchOwner) -> bool:
        """Whether a process is gone, or has given no sign of life for long.

        Raises:
            OSError: the folder cannot be read.
        """
        if is_known_dead(owner, self._observer):
            return True
        try:
            last_s = heartbeat_path(self._folder.owners, owner.id).stat().st_mtime
        except FileNotFoundError:
            return True
        if self._now_s is None:
            self._now_s = self._file_system_time_s()
        return self._now_s - last_s > LOST_AFTER_S

    def _file_system_time_s(self) -> float:
        """What the clock shows that the heartbeats are written by.

        Where nothing may be written, the latest time that it has written: others beat in the same
        folder as long as they live.
        """
        try:
            with tempfile.TemporaryFile(dir=self._folder.owners) as file:
                os.utime(file.fileno())
                return os.fstat(file.fileno()).st_mtime
        except OSError:
            return max(map(_modified_s, (self._folder.ledger, *self._folder.owners.iterdir())))


def _modified_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        # Its process has ended meanwhile.
        return 0.0
