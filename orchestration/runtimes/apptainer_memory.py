"""Whether Apptainer keeps a memory limit here: tried, and looked at from inside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestration.errors import EngineRefused, FeatureUnavailable
from orchestration.runtimes.apptainer_arguments import Apptainer, caller_environment
from orchestration.sif.program import run

# Of the process's own control group, version 2: line "0::/its/path" of cgroups(7).
_LOOK = "cat /sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/memory.max"
_PAGE_BYTES = 4096


def check_memory_limit(
    apptainer: Apptainer, image: Path, limit_bytes: int, environment: Mapping[str, str]
) -> None:
    """Refuse a memory limit that would not be kept.

    Root's is set by Apptainer itself, which fails where it cannot. For an ordinary user it asks
    systemd, which takes any limit and keeps those that were delegated to the user.

    Raises:
        FeatureUnavailable: no limit, or another one, holds.
    """
    limit = str(limit_bytes)
    options = ["--containall", "--memory", limit, "--memory-swap", limit]
    look = ["true"] if apptainer.is_root else ["sh", "-c", _LOOK]
    privileges = ["--no-privs"] if apptainer.is_root else []
    unsquash = ["--unsquash"] if apptainer.unsquash else []
    try:
        said = run(
            apptainer.program,
            ["exec", *privileges, *options, *unsquash, str(image), *look],
            caller_environment(environment),
        )
    except EngineRefused as error:
        raise _not_kept(limit_bytes, error.happened) from error
    if not apptainer.is_root and not keeps(said, limit_bytes):
        raise _not_kept(limit_bytes, f"the limit that holds is {said.strip()}")


def keeps(said: str, limit_bytes: int) -> bool:
    """Whether `memory.max` holds a limit, which the kernel rounds down to whole pages."""
    return said.strip() in (str(limit_bytes), str(limit_bytes // _PAGE_BYTES * _PAGE_BYTES))


def _not_kept(limit_bytes: int, said: str) -> FeatureUnavailable:
    return FeatureUnavailable(
        f"A memory limit of {limit_bytes} bytes was asked for, and Apptainer keeps none here:"
        f" {said.rstrip('.')}.",
        "Root, or control groups v2 with systemd that are delegated to the user, were expected.",
        "Leave `--memory-limit` out: a batch system's own limit of the job holds all the same.",
    )
