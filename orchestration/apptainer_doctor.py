"""What the doctor says of Apptainer: what works, what it lacks here, and what mends that."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestration.doctor_checks import GB, Check, check_image, check_own_image, check_readers
from orchestration.errors import OrchestrationError
from orchestration.processor import read_cpu_flags, why_no_tensorflow
from orchestration.runtimes.apptainer_scratch import scratch_parent
from orchestration.runtimes.base import Availability, Stage
from orchestration.runtimes.container_images import own_image
from orchestration.settings import RuntimeOptions
from orchestration.sif.program import find_program
from orchestration.sif.store import SUFFIX, SifStore

FUSE = Path("/dev/fuse")
# Settings of the kernel that forbid user namespaces to ordinary users, and at which value.
FORBIDDING = {
    "/proc/sys/user/max_user_namespaces": "0",
    "/proc/sys/kernel/unprivileged_userns_clone": "0",
}
# Measured: both images unpacked, one after the other, and what mksquashfs holds meanwhile.
SCRATCH_NEEDS_BYTES = 3 * GB


def check_apptainer(options: RuntimeOptions, environment: Mapping[str, str]) -> Iterator[Check]:
    """Look at Apptainer.

    Args:
        options: may name images, which are looked at in place of those that `build` makes.
        environment: the caller's.
    """
    try:
        program = find_program(environment)
    except OrchestrationError as error:
        yield Check("apptainer", None, error.happened, error.remedy)
        return
    yield Check("apptainer", True, f"{program.title}, {program.path}")
    if os.geteuid() != 0:
        yield check_namespaces(FORBIDDING)
        yield check_fuse(FUSE)
    yield check_scratch(scratch_parent(environment))
    machine = platform.machine()
    missing = why_no_tensorflow(machine, read_cpu_flags())
    tensorflow = Availability(missing is None, missing or f"containers run on {machine}")
    yield check_readers("apptainer readers", tensorflow)
    store = SifStore(program, environment)
    stages: tuple[Stage, ...] = ("extract", "load") if tensorflow.ok else ("load",)
    try:
        yield from [_check_image(store, stage, own_image(options, stage)) for stage in stages]
    except OrchestrationError as error:
        yield Check("apptainer images", False, error.happened, error.remedy)


def _check_image(store: SifStore, stage: Stage, own: str | None) -> Check:
    # A name without this ending is one of an engine's.
    if own is not None and own.endswith(SUFFIX):
        return check_own_image(store, stage, own)
    return check_image(store, stage, "cpu")


def check_namespaces(forbidding: Mapping[str, str]) -> Check:
    """Whether an ordinary user may make a user namespace.

    Args:
        forbidding: file of a kernel's setting -> the value that forbids it.
    """
    name = "apptainer namespaces"
    for path, value in forbidding.items():
        if _text(path) == value:
            setting = path.removeprefix("/proc/sys/").replace("/", ".")
            return Check(
                name,
                False,
                f"{setting} is {value}",
                f"Ask those who run the machine for another value of {setting}, or for Apptainer"
                " installed setuid (the package apptainer-suid).",
            )
    return Check(name, True, "user namespaces are open to you")


def check_fuse(device: Path) -> Check:
    """Whether an ordinary user may open images by FUSE."""
    if os.access(device, os.R_OK | os.W_OK):
        return Check("apptainer FUSE", True, f"{device} may be opened")
    why = "may not be opened by you" if device.exists() else "is not there"
    return Check(
        "apptainer FUSE",
        False,
        f"{device} {why}",
        f"Ask those who run the machine for `chmod 666 {device}`, or pass `--unsquash`.",
    )


def check_scratch(folder: Path) -> Check:
    """Whether there is room where images are unpacked and built."""
    name = "apptainer scratch"
    remedy = "Let the environment variable APPTAINER_TMPDIR name a folder on a larger local disk."
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check(name, False, f"{folder} may not be written to", remedy)
    free_bytes = shutil.disk_usage(folder).free
    detail = f"{free_bytes / GB:.1f} GB free in {folder}"
    if free_bytes >= SCRATCH_NEEDS_BYTES:
        return Check(name, True, detail)
    needs = f"{SCRATCH_NEEDS_BYTES / GB:.0f} GB"
    return Check(name, False, f"{detail}, {needs} needed to build images or unpack them", remedy)


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        # Not every kernel has every setting.
        return None
