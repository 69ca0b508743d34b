"""Which process a container belongs to, written on it as labels.

That tells leftovers of killed runs from containers of living ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestration.run_paths import PROJECT

RUN_LABEL = f"{PROJECT}.run"
STAGE_LABEL = f"{PROJECT}.stage"
OWNER_LABELS = {
    "uid": f"{PROJECT}.owner.uid",
    "pid": f"{PROJECT}.owner.pid",
    "started": f"{PROJECT}.owner.started",
    "boot": f"{PROJECT}.owner.boot",
    "pid_namespace": f"{PROJECT}.owner.pid-namespace",
}
# proc(5): the start time is field 22. Counted from field 3, the state, which follows the command's
# name: that may hold blanks and parentheses.
START_TIME_FIELD = 22 - 3


@dataclass(frozen=True)
class Owner:
    """One process, told apart from every other one that ever had its number.

    Attributes:
        uid: its user.
        pid: its number.
        started: when it started, in clock ticks since the machine did.
        boot: id of the machine's present run.
        pid_namespace: where its number is valid.
    """

    uid: str
    pid: str
    started: str
    boot: str
    pid_namespace: str

    @classmethod
    def current(cls) -> Owner:
        """This process."""
        pid = os.getpid()
        return cls(
            uid=str(os.geteuid()),
            pid=str(pid),
            started=start_time(pid) or "",
            boot=_read_text("/proc/sys/kernel/random/boot_id"),
            pid_namespace=_read_link("/proc/self/ns/pid"),
        )

    def labels(self) -> dict[str, str]:
        """The owner as container labels."""
        return {label: getattr(self, field) for field, label in OWNER_LABELS.items()}


def is_leftover(
    labels: Mapping[str, str],
    running: bool,
    observer: Owner,
    start_time_of: Callable[[int], str | None],
) -> bool:
    """Whether a container's owner is certainly gone.

    Doubtful ones are left alone: those of other users, and those whose owner's number means
    nothing here because it belongs to another machine or another pid namespace. (A stage whose
    orchestrator is gone gets the end of its input, so it ends by itself after its present job.)

    Args:
        labels: of the container.
        running: whether its process still runs.
        observer: who asks.
        start_time_of: start time of a living process, None for a dead one.
    """
    try:
        owner = Owner(**{field: labels[label] for field, label in OWNER_LABELS.items()})
    except KeyError:
        return False
    if owner.uid != observer.uid:
        return False
    if owner.boot != observer.boot:
        # This machine was started anew, which no container survives running; or it is another.
        return not running
    if owner.pid_namespace != observer.pid_namespace or not owner.started:
        return False
    return start_time_of(int(owner.pid)) != owner.started


def start_time(pid: int) -> str | None:
    """Start time of a process, in clock ticks since the machine's own; None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()[START_TIME_FIELD]


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        # Not Linux.
        return ""


def _read_link(path: str) -> str:
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""
