"""What a stage's container is allowed, as arguments of `podman run`.

A pure function from a `StageSpec`. The isolation is that of `containers.py`; what Podman adds to a
container by itself, or by its configuration file, and Docker does not, is switched off besides, as
far as it can be; see `podman_additions` for the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestration.errors import FeatureUnavailable
from orchestration.podman_facts import PodmanFacts
from orchestration.runtimes.base import Mount, StageSpec
from orchestration.runtimes.containers import (
    HOME_ENVIRONMENT,
    PIDS_LIMIT,
    SCRATCH,
    SCRATCH_OPTIONS,
    SOURCES,
    Caller,
    stage_command,
)

ISOLATION = (
    "--pull=never",
    "--network=none",
    "--read-only",
    # Or /run, /tmp and /var/tmp are writable, and programs in them can be run.
    "--read-only-tmpfs=false",
    f"--tmpfs={SCRATCH}:{SCRATCH_OPTIONS}",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    # A site may have configured otherwise.
    "--pid=private",
    "--ipc=private",
    "--uts=private",
    "--cgroupns=private",
    "--env-host=false",
    # The host's proxies, names of machines and accounts.
    "--http-proxy=false",
    "--no-hosts",
    "--passwd=false",
    # Folders of an image's own VOLUME lines would be writable.
    "--image-volume=ignore",
    "--no-healthcheck",
    # What a stage says is read here as it comes; Podman need not keep a copy on its disk.
    "--log-driver=none",
)
GPU_DEVICE = "nvidia.com/gpu=all"
# crun alone hands the caller's further groups on to a container in a user namespace.
_KEEPS_GROUPS = "crun"


def podman_arguments(
    spec: StageSpec,
    *,
    image_id: str,
    name: str,
    caller: Caller,
    labels: Mapping[str, str],
    podman: PodmanFacts,
    has_init: bool,
    gpu: bool,
    pid_file: Path,
    command: Sequence[str] = (),
) -> list[str]:
    """Arguments of `podman`, from `run` on.

    Without `--rm`: why a container ended, or that it never started, is asked of Podman afterwards.

    Args:
        spec: what to run.
        image_id: digest of the image, so that a name moved meanwhile changes nothing.
        name: of the container.
        caller: whose files it reads and writes.
        labels: to find it again.
        podman: what it says of itself.
        has_init: it has an init program to put into containers.
        gpu: let it use the machine's graphics cards.
        pid_file: gets the number of the container's first process, as this machine counts.
        command: runs in place of the stage.

    Raises:
        FeatureUnavailable: a mount's path cannot be written on Podman's command line.
    """
    environment = {**HOME_ENVIRONMENT, **spec.environment}
    command = command or _own_command(spec)
    return [
        "run",
        f"--name={name}",
        *(f"--label={label}={value}" for label, value in labels.items()),
        f"--pidfile={pid_file}",
        "--interactive",
        *_user_options(caller, podman),
        *ISOLATION,
        *_limits(spec, podman),
        # Passes signals on and reaps children: Python as process 1 does neither.
        *(("--init",) if has_init else ()),
        # The alternative is to label the caller's files anew, which is not for this program to do.
        *(("--security-opt=label=disable",) if podman.uses_selinux else ()),
        *((f"--device={GPU_DEVICE}",) if gpu else ()),
        *(f"--env={variable}={value}" for variable, value in environment.items()),
        *(f"--mount={mount_option(mount)}" for mount in spec.mounts),
        *((f"--entrypoint={command[0]}", f"--workdir={SOURCES}") if command else ()),
        image_id,
        *command[1:],
    ]


def mount_option(mount: Mount) -> str:
    """A mount as a value of `--mount`, which Podman reads as a line of CSV (RFC 4180).

    `--volume` would not do: it takes no colon, and makes a source that is missing.

    Raises:
        FeatureUnavailable: a path has bytes that are no UTF-8, or a line end of Windows', which
            Podman's reader shortens.
    """
    fields = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
    if mount.read_only:
        fields.append("ro=true")
    for field in fields:
        if "\r" in field or any("\ud800" <= character <= "\udfff" for character in field):
            raise FeatureUnavailable(
                f"The path {field.partition('=')[2]!r} cannot be told to Podman.",
                "A path in UTF-8 without carriage returns was expected.",
                "Rename it, or use another --runtime.",
            )
    return ",".join(_csv_field(field) for field in fields)


def _csv_field(text: str) -> str:
    # Only where needed: older versions split at commas and know no quotes.
    if not any(character in text for character in ',"\n'):
        return text
    return '"' + text.replace('"', '""') + '"'


def _user_options(caller: Caller, podman: PodmanFacts) -> list[str]:
    user = f"--user={caller.uid}:{caller.gid}"
    if podman.is_rootless:
        keeps_groups = caller.groups and podman.oci_runtime == _KEEPS_GROUPS
        kept = ["--group-add=keep-groups"] if keeps_groups else []
        return ["--userns=keep-id", user, *kept]
    return [user, *(f"--group-add={group}" for group in caller.groups)]


def _limits(spec: StageSpec, podman: PodmanFacts) -> list[str]:
    # Where it sets no such limit it says so on stderr, at each start.
    limits = [f"--pids-limit={PIDS_LIMIT}"] if "pids" in podman.limits else []
    if spec.memory_limit_bytes is not None:
        # Equal, or Podman grants as much again in swap.
        limits.append(f"--memory={spec.memory_limit_bytes}b")
        limits.append(f"--memory-swap={spec.memory_limit_bytes}b")
    return limits


def _own_command(spec: StageSpec) -> list[str]:
    """What is run; nothing where the image starts the stage by itself."""
    if spec.home is None and not spec.arguments:
        return []
    return stage_command(spec)
