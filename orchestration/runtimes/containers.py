"""What a stage's container is allowed.

Pure functions from a `StageSpec` to arguments of the SDK's `containers.create`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.run_paths import PROJECT
from orchestration.runtimes.base import Mount, StageSpec

# See docker/Dockerfile.*.
INTERPRETER = "/venv/bin/python3"
SOURCES = "/stage"
SCRATCH = "/tmp"
SCRATCH_OPTIONS = "rw,noexec,nosuid,nodev,size=256m,mode=1777"
# Enough for the thread pools of TensorFlow, torch and BLAS on a machine with hundreds of cores, and
# an end to a fork bomb.
PIDS_LIMIT = 2048
ISOLATION: Mapping[str, Any] = {
    "network_mode": "none",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": PIDS_LIMIT,
}
# The caller's uid has no passwd entry: getpass.getuser() and expanduser() need these.
HOME_ENVIRONMENT: Mapping[str, str] = {
    "HOME": SCRATCH,
    "USER": "stage",
    "LOGNAME": "stage",
    "TMPDIR": SCRATCH,
    "LANG": "C.UTF-8",
}
GPU_REQUEST: Mapping[str, Any] = {"Count": -1, "Capabilities": [["gpu", "compute", "utility"]]}


@dataclass(frozen=True)
class Caller:
    """Whose files a container reads and writes.

    Attributes:
        uid: user id inside the container.
        gid: group id inside the container.
        groups: further groups, which may be what gives access to the inputs.
    """

    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    @classmethod
    def current(cls, rootless_engine: bool) -> Caller:
        """This process's user. An engine without root maps the user to uid 0 of its containers."""
        if rootless_engine:
            return cls(0, 0)
        gid = os.getegid()
        return cls(os.geteuid(), gid, tuple(sorted(set(os.getgroups()) - {gid})))


def container_arguments(
    spec: StageSpec,
    *,
    image_id: str,
    name: str,
    caller: Caller,
    labels: Mapping[str, str],
    gpu: bool,
) -> dict[str, Any]:
    """Keyword arguments of `containers.create` for a stage.

    Besides `ISOLATION`: the caller's user, inputs read-only, one writable folder, scratch in memory
    from which nothing can be executed.

    Args:
        spec: what to run.
        image_id: digest of the image, so that a name moved meanwhile changes nothing.
        name: of the container.
        caller: whose files it reads and writes.
        labels: to find it again.
        gpu: let it use the machine's graphics cards.
    """
    arguments: dict[str, Any] = {
        "image": image_id,
        "name": name,
        "labels": dict(labels),
        "user": f"{caller.uid}:{caller.gid}",
        "group_add": list(caller.groups),
        "environment": {**HOME_ENVIRONMENT, **spec.environment},
        "mounts": [bind_mount(mount) for mount in spec.mounts],
        "tmpfs": {SCRATCH: SCRATCH_OPTIONS},
        "stdin_open": True,
        # Passes signals on and reaps children: Python as process 1 does neither.
        "init": True,
        # What a stage says is read here as it comes; the engine need not keep a copy on its disk.
        "log_config": {"Type": "none", "Config": {}},
        **ISOLATION,
    }
    if spec.memory_limit_bytes is not None:
        # Equal, or the engine grants as much again in swap.
        arguments["mem_limit"] = spec.memory_limit_bytes
        arguments["memswap_limit"] = spec.memory_limit_bytes
    if spec.home is not None or spec.arguments:
        # By itself an image starts the stage that it is made for.
        arguments["entrypoint"] = stage_command(spec)
        arguments["working_dir"] = SOURCES
    if gpu:
        arguments["device_requests"] = [dict(GPU_REQUEST)]
    return arguments


def stage_command(spec: StageSpec) -> list[str]:
    """The program of a stage in any image of this project's."""
    return [INTERPRETER, "-m", f"stage_{spec.stage}", *spec.arguments]


def bind_mount(mount: Mount) -> dict[str, Any]:
    """A mount in the engine's terms.

    Unlike an entry of `volumes` it takes any path, and is refused when its source is missing.
    """
    return {
        "Type": "bind",
        "Source": os.fspath(mount.source),
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }


def container_path(mounts: Sequence[Mount], host_path: Path) -> str:
    """Path under which a container sees a host path.

    Raises:
        ValueError: no mount holds it.
    """
    # The last fitting mount lies deepest, see StageSpec.mounts.
    for mount in reversed(mounts):
        if host_path == mount.source:
            return mount.target
        if mount.source in host_path.parents:
            return f"{mount.target}/{host_path.relative_to(mount.source).as_posix()}"
    raise ValueError(f"{host_path} lies in none of {[str(mount.source) for mount in mounts]}")


def host_text(mounts: Sequence[Mount], text: str) -> str:
    """`text` with each container path in it replaced by the host's."""
    sources = {mount.target: os.fspath(mount.source) for mount in mounts}
    targets = "|".join(re.escape(target) for target in sorted(sources, key=len, reverse=True))
    if not targets:
        return text
    pattern = rf"(?<![\w./-])(?:{targets})(?![\w-])"
    return re.sub(pattern, lambda match: sources[match[0]], text)


def container_name(stage: str, run_id: str, token: str) -> str:
    """Name of a container, which tells the project, the stage and the run.

    It is known before the container exists, so that one whose creation was interrupted can be
    removed.
    """
    run = re.sub(r"[^a-zA-Z0-9_.-]", "-", run_id) or "run"
    return f"{PROJECT}-{stage}-{run}-{token}"
