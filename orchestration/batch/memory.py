"""How many lanes fit this process's share of the machine: its cores and its memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.batch.settings import BYTES_OF_A_GB

_KIBIBYTE = 1024
_MEBIBYTE = 1 << 20
# Both stages with their frameworks, before they hold a tensor.
LANE_BYTES = 1_500_000_000
# A checkpoint's values are held by stage 1, by stage 2 as they come and as they go, and by the
# graph that computes the reference.
BYTES_PER_CHECKPOINT_BYTE = 4
# What else runs on the machine needs some, too.
_USABLE = 0.9
_UNLIMITED = 1 << 60
_CONTROL_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Lanes:
    """How the work is cut.

    Attributes:
        count: lanes at work at once.
        budget_bytes: what all workers may hold together.
        reason: for people.
    """

    count: int
    budget_bytes: int
    reason: str

    @property
    def worker_share_bytes(self) -> int:
        """What one worker may hold between two items."""
        return max(self.budget_bytes // (2 * self.count), LANE_BYTES // 2)


def plan_lanes(
    jobs: int | None,
    memory_bytes: int | None,
    sizes_bytes: Sequence[int],
    environment: Mapping[str, str],
) -> Lanes:
    """How many lanes to open: as many as cores, memory and items allow, and at least one.

    Args:
        jobs: how many were asked for; None = by cores.
        memory_bytes: what they may hold together; None = what is free.
        sizes_bytes: of the checkpoints.
        environment: the caller's, in which a scheduler tells what it grants.
    """
    cores = available_cores(environment)
    budget_bytes = memory_bytes or int(available_memory_bytes(environment) * _USABLE)
    # A lane's two stages work at the same time.
    wanted = jobs or -(-cores // 2)
    fitting = _fitting(budget_bytes, sizes_bytes)
    count = max(1, min(wanted, fitting, len(sizes_bytes)))
    memory = f"{budget_bytes / BYTES_OF_A_GB:.1f} GB of memory"
    if count < min(wanted, len(sizes_bytes)):
        reason = f"more do not fit {memory}"
    elif jobs is not None:
        reason = f"--jobs; {memory}"
    else:
        reason = f"{cores} {'core' if cores == 1 else 'cores'}, {memory}"
    return Lanes(count, budget_bytes, reason)


def available_cores(environment: Mapping[str, str]) -> int:
    """Cores that this process may keep busy: by affinity, by Slurm, by its control group."""
    granted = [len(os.sched_getaffinity(0))]
    # The first is there only where it was asked for; the second counts all tasks of a node.
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        slurm = environment.get(name, "")
        if slurm.isdecimal() and int(slurm) > 0:
            granted.append(int(slurm))
    granted += [max(1, int(quota)) for quota in _cpu_quotas()]
    return min(granted)


def available_memory_bytes(environment: Mapping[str, str]) -> int:
    """Memory that is free for this process's workers: by the machine, Slurm, its control group."""
    granted = [_machine_free_bytes()]
    per_node, per_cpu = (
        environment.get(name, "") for name in ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU")
    )
    if per_node.isdecimal() and int(per_node) > 0:
        granted.append(int(per_node) * _MEBIBYTE)
    elif per_cpu.isdecimal() and int(per_cpu) > 0:
        granted.append(int(per_cpu) * available_cores(environment) * _MEBIBYTE)
    granted += list(_group_free_bytes())
    return max(0, min(granted))


def _fitting(budget_bytes: int, sizes_bytes: Iterable[int]) -> int:
    """How many lanes fit if the largest checkpoints come together."""
    count = needed_bytes = 0
    for size_bytes in sorted(sizes_bytes, reverse=True):
        needed_bytes += LANE_BYTES + BYTES_PER_CHECKPOINT_BYTE * size_bytes
        if needed_bytes > budget_bytes:
            break
        count += 1
    return count


def _machine_free_bytes() -> int:
    for line in _text(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * _KIBIBYTE
    return _UNLIMITED


def _group_free_bytes() -> Iterator[int]:
    """What the memory limits of this process's control group and those above it leave."""
    # cgroup v2 and v1 (Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst).
    for folder in (*_groups(""), *_groups("memory")):
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = _text(folder / limit_name), _text(folder / used_name)
            if limit.isdecimal() and used.isdecimal() and int(limit) < _UNLIMITED:
                # Pages of files count as used until another needs the room.
                yield int(limit) - int(used) + _file_bytes(folder)


def _file_bytes(folder: Path) -> int:
    fields = dict(
        line.split()[:2] for line in _text(folder / "memory.stat").splitlines() if line.strip()
    )
    return int(fields.get("total_inactive_file") or fields.get("inactive_file") or 0)


def _cpu_quotas() -> Iterator[float]:
    """Cores by the quotas of this process's control group and those above it."""
    for folder in _groups(""):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdecimal() and period.isdecimal():
            yield int(quota) / int(period)
    for folder in _groups("cpu"):
        quota, period = (_text(folder / f"cpu.cfs_{what}_us") for what in ("quota", "period"))
        if quota.isdecimal() and period.isdecimal():
            yield int(quota) / int(period)


def _groups(controller: str) -> Iterator[Path]:
    """This process's control group of a controller ("" = version 2) and those above it."""
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller not in controllers.split(","):
            continue
        # Where controllers share a folder, each has a link of its own name.
        root = _CONTROL_GROUPS / controller
        folder = Path(os.path.normpath(f"{root}/{path}"))
        while folder.is_relative_to(root):
            yield folder
            folder = folder.parent


def _text(path: Path) -> str:
    """Content of a small file of the system; "" where there is none."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
