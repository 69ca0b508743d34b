"""Who works on an item: one process of this program, and whether it still lives.

Machines that share a file system share no clock. Whether a process elsewhere still lives is told by
the age of its heartbeat, and age is the difference of two times that the file system itself set.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from orchestration.batch.files import write_new
from orchestration.result_folder import writing_to
from orchestration.runtimes.ownership import Owner, start_time

HEARTBEAT_EVERY_S = 10.0
# Nine beats missed: an overloaded file server may be late by some.
LOST_AFTER_S = 90.0
_ID = re.compile(r"[0-9a-f]{16}")
_NUMBER = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True)
class SlurmTask:
    """The task of a Slurm job in which a process runs.

    Attributes:
        job: id of the job, as `scontrol` takes it.
        array_job: id of the array, "" for a job without one.
        array_task: number in the array, "" for a job without one.
        restart: how often Slurm has started it anew.
    """

    job: str
    array_job: str
    array_task: str
    restart: int

    @classmethod
    def current(cls, environment: Mapping[str, str]) -> SlurmTask | None:
        """The task that this process belongs to; None outside of Slurm."""
        job = environment.get("SLURM_JOB_ID")
        if not job:
            return None
        restart = environment.get("SLURM_RESTART_COUNT", "")
        return cls(
            job=job,
            array_job=environment.get("SLURM_ARRAY_JOB_ID", ""),
            array_task=environment.get("SLURM_ARRAY_TASK_ID", ""),
            restart=int(restart) if restart.isdecimal() else 0,
        )

    @property
    def name(self) -> str:
        """What Slurm's commands show, and take."""
        return f"{self.array_job}_{self.array_task}" if self.array_job else self.job

    def is_earlier_start_of(self, other: SlurmTask) -> bool:
        """Whether `other` is this very task, started anew since."""
        return self.job == other.job and self.restart < other.restart


@dataclass(frozen=True)
class BatchOwner:
    """One process that works on a batch.

    Attributes:
        id: told apart from every other process that ever worked here.
        host: its machine, for people.
        process: the process on that machine.
        slurm: the job that it belongs to, or None.
    """

    id: str
    host: str
    process: Owner
    slurm: SlurmTask | None

    @classmethod
    def current(cls, environment: Mapping[str, str]) -> BatchOwner:
        """This process."""
        slurm = SlurmTask.current(environment)
        return cls(secrets.token_hex(8), platform.node(), Owner.current(), slurm)

    def to_json(self) -> dict[str, Any]:
        """As `from_json` takes it."""
        slurm = None if self.slurm is None else vars(self.slurm)
        return {
            "id": self.id,
            "host": self.host,
            "process": vars(self.process),
            "slurm": slurm,
        }

    @classmethod
    def from_json(cls, value: Any) -> BatchOwner:
        """The owner that a record tells of.

        Raises:
            ValueError: it is not one.
        """
        try:
            process = Owner(**{field.name: str(value["process"][field.name]) for field in _OWNER})
            slurm = value["slurm"]
            task = None
            if slurm is not None:
                names = ("job", "array_job", "array_task")
                texts = {name: str(slurm[name]) for name in names}
                task = SlurmTask(**texts, restart=int(slurm["restart"]))
            owner = cls(str(value["id"]), str(value["host"]), process, task)
        except (KeyError, TypeError) as error:
            raise ValueError(f"no owner: {value!r}") from error
        if not (is_owner_id(owner.id) and _NUMBER.fullmatch(process.pid)):
            raise ValueError(f"no owner: id {owner.id!r}, process {process.pid!r}")
        return owner

    def words(self) -> str:
        """Where it works, for people: the host, and the Slurm task if it is one."""
        if self.slurm is None:
            return f"{self.host}, process {self.process.pid}"
        return f"{self.host}, Slurm job {self.slurm.name}"


_OWNER = fields(Owner)


def is_owner_id(text: str) -> bool:
    """Whether a text is an id as `BatchOwner.current` makes them."""
    return _ID.fullmatch(text) is not None


def is_known_dead(owner: BatchOwner, observer: BatchOwner) -> bool:
    """Whether a process is certainly gone, without a look at its heartbeat.

    That is known of a process of this machine's present run, and of an earlier start of the same
    Slurm task: should that one live on, cut off from Slurm, it can do no harm.

    Args:
        owner: which process.
        observer: who asks.
    """
    if owner.slurm and observer.slurm and owner.slurm.is_earlier_start_of(observer.slurm):
        return True
    there, here = owner.process, observer.process
    if (there.boot, there.pid_namespace) != (here.boot, here.pid_namespace) or not there.boot:
        return False
    return start_time(int(there.pid)) != there.started


class Heartbeat:
    """Says, as long as it is entered, that a process lives: it renews the time of a small file.

    Args:
        folder: of all owners' files.
        owner: whose.
        every_s: how often.
    """

    def __init__(self, folder: Path, owner: BatchOwner, every_s: float = HEARTBEAT_EVERY_S) -> None:
        self._folder = folder
        self._path = heartbeat_path(folder, owner.id)
        self._owner = owner
        self._every_s = every_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Heartbeat:
        with writing_to(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_new(self._path, self._owner.to_json())
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()
        # A file server that is away: whoever looks later takes silence for the end.
        with suppress(OSError):
            self._path.unlink()

    def _beat(self) -> None:
        while not self._end.wait(self._every_s):
            try:
                os.utime(self._path)
            except OSError:
                # A file server that is away for a moment; if it stays away, the work fails anyway.
                continue


def heartbeat_path(folder: Path, owner_id: str) -> Path:
    """The file whose time is an owner's last sign of life."""
    return folder / f"{owner_id}.json"


def silence_s(folder: Path, owner_id: str, observer_id: str) -> float | None:
    """How long ago an owner gave its last sign of life, by the file system's own clock.

    Args:
        folder: of all owners' files.
        owner_id: whose.
        observer_id: an owner of this process, whose own file is renewed to read the clock.

    Returns:
        None where the owner has no file: it has ended.

    Raises:
        OSError: this process's own file is gone.
    """
    own = heartbeat_path(folder, observer_id)
    os.utime(own)
    try:
        last = heartbeat_path(folder, owner_id).stat().st_mtime
    except FileNotFoundError:
        return None
    return own.stat().st_mtime - last
