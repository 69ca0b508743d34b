"""What has become of each item: one small file an attempt, in a folder that all workers share.

No database and no lock: both are unsafe on network file systems. An item is claimed by giving a
finished file its name, which fails if the name is taken. Only the process that claimed an attempt
writes its file again. The attempt with the highest number is the item's state, so that a process
that was taken for dead and wakes up writes where nobody looks any more.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestration.batch.files import read_object, write_new, write_over
from orchestration.batch.owner import LOST_AFTER_S, BatchOwner, is_known_dead, silence_s
from orchestration.batch.record import Record, now
from orchestration.batch.settings import BatchFolder
from orchestration.result_folder import writing_to

_FILE_NAME = re.compile(r"(?P<name>.+)\.(?P<attempt>[1-9]\d*)\.json", re.DOTALL)


@dataclass(frozen=True)
class Damaged:
    """A file of the ledger that tells nothing.

    Attributes:
        name: of the item.
        attempt: 1, 2, …
        reason: what is wrong with it.
    """

    name: str
    attempt: int
    reason: str


Entry = Record | Damaged


@dataclass(frozen=True)
class Attempt:
    """An attempt that this process has claimed.

    Attributes:
        path: its file.
        record: what that file says.
    """

    path: Path
    record: Record

    def finish(self, record: Record) -> None:
        """Write how the attempt ended.

        Raises:
            DiskFull, OutputNotWritable: the file system refuses.
        """
        with writing_to(self.path.parent):
            write_over(self.path, record.to_json())


def read_entries(folder: BatchFolder) -> dict[str, Entry]:
    """Item -> its latest attempt. Items that nobody has begun have none.

    Raises:
        OSError: the folder cannot be read.
    """
    latest = _latest_attempts(folder.ledger)
    return {name: read_entry(folder, name, attempt) for name, attempt in latest.items()}


def read_entry(folder: BatchFolder, name: str, attempt: int) -> Entry:
    """One file of the ledger; what is no record, or another's, is told as damaged."""
    try:
        record = Record.from_json(read_object(folder.ledger / _file_name(name, attempt)))
    except (OSError, ValueError) as error:
        return Damaged(name, attempt, str(error))
    if (record.name, record.attempt) != (name, attempt):
        return Damaged(name, attempt, f"it tells of {record.name}, attempt {record.attempt}")
    return record


class Ledger:
    """The ledger of a batch, for a process that works on it.

    Args:
        folder: of the batch.
        owner: this process, whose heartbeat must be going.
    """

    def __init__(self, folder: BatchFolder, owner: BatchOwner) -> None:
        self._folder = folder
        self._owner = owner
        with writing_to(folder.out):
            folder.ledger.mkdir(parents=True, exist_ok=True)

    def entries(self) -> dict[str, Entry]:
        """See `read_entries`.

        Raises:
            OutputNotWritable: the folder cannot be read.
        """
        with writing_to(self._folder.ledger):
            return read_entries(self._folder)

    def claim(self, name: str, size_bytes: int, latest: Entry | None) -> Attempt | None:
        """Take an item, so that no other process does.

        Args:
            name: of the item.
            size_bytes: of its checkpoint.
            latest: the attempt that the caller has seen and found to be no hindrance.

        Returns:
            None if another process was first, or has ended `latest` meanwhile.

        Raises:
            DiskFull, OutputNotWritable: the file system refuses.
        """
        # A process writes its item's end before its heartbeat goes: who was found to be gone may
        # have ended well since `latest` was read.
        if latest is not None and read_entry(self._folder, name, latest.attempt) != latest:
            return None
        number = 1 if latest is None else latest.attempt + 1
        record = Record(name, number, "running", self._owner, now(), size_bytes=size_bytes)
        path = self._folder.ledger / _file_name(name, number)
        with writing_to(self._folder.ledger):
            is_ours = write_new(path, record.to_json())
        return Attempt(path, record) if is_ours else None

    def is_being_done(self, entry: Entry) -> bool:
        """Whether a process that lives works on an item, as far as can be known."""
        if not isinstance(entry, Record) or entry.state != "running":
            return False
        return not self.is_lost(entry.owner)

    def is_lost(self, owner: BatchOwner) -> bool:
        """Whether a process is gone, or has given no sign of life for long."""
        if owner.id == self._owner.id:
            return False
        if is_known_dead(owner, self._owner):
            return True
        with writing_to(self._folder.owners):
            silent_s = silence_s(self._folder.owners, owner.id, self._owner.id)
        return silent_s is None or silent_s > LOST_AFTER_S


def _latest_attempts(folder: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, attempt in _attempts(folder):
        found[name] = max(attempt, found.get(name, 0))
    return found


def _attempts(folder: Path) -> Iterator[tuple[str, int]]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    for file_name in names:
        match = _FILE_NAME.fullmatch(file_name)
        if match is not None:
            yield match["name"], int(match["attempt"])


def _file_name(name: str, attempt: int) -> str:
    return f"{name}.{attempt}.json"
