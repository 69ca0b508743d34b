"""What a stage may do inside of Apptainer: from a `StageSpec` to a command line. Pure functions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.errors import FeatureUnavailable
from orchestration.runtimes.base import Mount, StageSpec
from orchestration.runtimes.containers import HOME_ENVIRONMENT, SOURCES

# All that Apptainer itself needs. Its own variables overrule its options, `--cleanenv` lets those
# of proxies and terminals through, and APPTAINERENV_X becomes X in the container: so none of them
# is handed on, but for the two that say where it may put large files.
INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
)
FOLDER_VARIABLES = ("APPTAINER_TMPDIR", "APPTAINER_CACHEDIR")
CARDS = "CUDA_VISIBLE_DEVICES"
OWN_VARIABLE_PREFIXES = ("APPTAINER", "SINGULARITY")
# Files of the kernel that root may write even without capabilities; covered read-only. As a user
# Apptainer shows the host's /sys itself, with its network cards and the user's control groups.
SETTINGS = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs")
# Of /sys torch and TensorFlow ask only how the processor is made up.
PROCESSOR = "/sys/devices/system"
# Read with encoding/csv of Go, which leaves out the first of these two.
UNREADABLE = "\r\n"


@dataclass(frozen=True)
class Apptainer:
    """The installation that runs a stage, and what of it is used.

    Attributes:
        program: path of `apptainer` or `singularity`.
        is_root: the caller is root, whose privileges are to be dropped.
        gpu: hand in the machine's NVIDIA cards and their driver.
        unsquash: unpack the image at each start: slow, and needs no /dev/fuse.
        settings: those of `SETTINGS` that this kernel has.
    """

    program: str
    is_root: bool
    gpu: bool = False
    unsquash: bool = False
    settings: tuple[str, ...] = SETTINGS


def exec_arguments(
    apptainer: Apptainer,
    spec: StageSpec,
    *,
    image: Path,
    scratch: Path,
    command: Sequence[str],
    cards: str | None = None,
) -> list[str]:
    """The command line that runs `command` in an image as isolated as Apptainer can.

    Never `--fakeroot`: with it a read-only mount can be made writable from inside.

    Args:
        apptainer: the installation.
        spec: what the command may see.
        image: SIF file.
        scratch: empty folder that becomes /tmp and /var/tmp; without one an ordinary user has
            64 MiB.
        command: path of a program in the image, and its arguments.
        cards: the caller's CUDA_VISIBLE_DEVICES, which is how a batch system allots cards.

    Raises:
        FeatureUnavailable: a path cannot be said on Apptainer's command line.
    """
    if apptainer.unsquash:
        _check_unpacking(scratch)
    variables = {**HOME_ENVIRONMENT, **spec.environment}
    if apptainer.gpu and cards is not None:
        variables = {CARDS: cards, **variables}
    return [
        *(apptainer.program, "--nocolor", "--silent", "exec"),
        *(["--no-privs"] if apptainer.is_root else []),
        *("--containall", "--cleanenv", "--no-home"),
        *("--net", "--network", "none"),
        *("--pwd", SOURCES),
        *_kernel_options(apptainer),
        *(option for mount in spec.mounts for option in ("--mount", bind_mount(mount))),
        *("--workdir", os.fspath(scratch)),
        *_memory_options(spec.memory_limit_bytes),
        *(["--nv"] if apptainer.gpu else []),
        *(["--unsquash"] if apptainer.unsquash else []),
        os.fspath(image),
        # `--env HOME=` is ignored, and commas in `--env` part variables.
        *("env", *(f"{name}={value}" for name, value in variables.items())),
        *command,
    ]


def bind_mount(mount: Mount) -> str:
    """A mount as a record of comma-separated values, quoted, so that any path can be said.

    Raises:
        FeatureUnavailable: the path holds a carriage return before a newline.
    """
    source = os.fspath(mount.source)
    for path in (source, mount.target):
        if UNREADABLE in path:
            raise FeatureUnavailable(
                f"The path {path!r} has a carriage return and a newline in it.",
                "Apptainer reads no such path.",
                "Give the folder another name, or pass `--runtime local`.",
            )
    fields = ["type=bind", _quoted(f"src={source}"), _quoted(f"dst={mount.target}")]
    return ",".join([*fields, *(["ro"] if mount.read_only else [])])


def caller_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables of the `apptainer` process that runs a stage; nothing of them reaches the stage."""
    names = (*INHERITED, *FOLDER_VARIABLES)
    return {name: environment[name] for name in names if name in environment}


def build_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables of `apptainer build`: the caller's, proxies too, without those that steer it."""
    return {
        name: value
        for name, value in environment.items()
        if name in FOLDER_VARIABLES or not name.startswith(OWN_VARIABLE_PREFIXES)
    }


def _check_unpacking(scratch: Path) -> None:
    """Apptainer itself says its temporary folder by `--bind`, where these signs part fields."""
    if any(sign in os.fspath(scratch) for sign in ",:"):
        raise FeatureUnavailable(
            f"Images cannot be unpacked in {scratch.parent}.",
            "A folder for temporary files without a comma or a colon in its path was expected.",
            "Let the environment variable APPTAINER_TMPDIR name another folder.",
        )


def _kernel_options(apptainer: Apptainer) -> list[str]:
    """Options that hide the kernel's settings, or show them read-only."""
    options = []
    for path in apptainer.settings:
        options += ["--mount", f"type=bind,src={path},dst={path},ro"]
    # A card's driver looks into more of /sys.
    if not apptainer.gpu:
        options += ["--no-mount", "sys"]
        options += ["--mount", f"type=bind,src={PROCESSOR},dst={PROCESSOR},ro"]
    return options


def _memory_options(limit_bytes: int | None) -> list[str]:
    # Equal, or as much again is granted in swap.
    limit = str(limit_bytes)
    return [] if limit_bytes is None else ["--memory", limit, "--memory-swap", limit]


def _quoted(field: str) -> str:
    doubled = field.replace('"', '""')
    return f'"{doubled}"'
