"""What the doctor says of Podman: what works, what it cannot do for this user, and the mending."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestration.doctor_checks import (
    IMAGES_NEED_BYTES,
    Check,
    check_disk,
    check_image,
    check_readers,
)
from orchestration.errors import OrchestrationError
from orchestration.podman_command import PodmanCommand
from orchestration.podman_engine import PodmanEngine
from orchestration.podman_facts import PodmanFacts
from orchestration.processor import read_cpu_flags, why_no_tensorflow
from orchestration.runtimes.base import Availability, Stage
from orchestration.runtimes.podman import SUBORDINATE_IDS, wants_gpu

SLOW_DRIVER = "vfs"
NETWORK_FILE_SYSTEM = "nfs"
USE_OVERLAY = (
    'Write `[storage]` and `driver = "overlay"` into ~/.config/containers/storage.conf (as root:'
    " /etc/containers/storage.conf), and run `podman system reset`, which removes all images."
)
USE_LOCAL_DISK = (
    "Name a folder of your own on a local disk as `graphroot` below `[storage]` in"
    " ~/.config/containers/storage.conf."
)
LIMITS: Mapping[str, str] = {"memory": "memory", "pids": "the number of processes"}


def check_podman(environment: Mapping[str, str], gpus: tuple[str, ...]) -> Iterator[Check]:
    """Look at Podman.

    Args:
        environment: the caller's.
        gpus: name and memory of each card.
    """
    try:
        command = PodmanCommand(environment)
        facts = command.facts()
    except OrchestrationError as error:
        yield Check("podman", False, error.happened, error.remedy)
        return
    yield Check("podman", True, f"{facts.title}, containers by {facts.oci_runtime}")
    yield from check_facts(facts, command.has_init(), frozenset(os.getgroups()) - {os.getegid()})
    missing = why_no_tensorflow(facts.machine, read_cpu_flags())
    tensorflow = Availability(missing is None, missing or f"containers run on {facts.machine}")
    yield check_readers("podman readers", tensorflow)
    if gpus:
        yield _check_gpu(gpus)
    try:
        store = PodmanEngine(command)
        needed: tuple[Stage, ...] = ("extract", "load") if tensorflow.ok else ("load",)
        images = [check_image(store, stage, "cpu") for stage in needed]
    except OrchestrationError as error:
        yield Check("podman images", False, error.happened, error.remedy)
        return
    yield from images
    folder = Path(facts.storage_folder)
    yield check_disk("podman disk", folder, IMAGES_NEED_BYTES, all(image.ok for image in images))


def check_facts(facts: PodmanFacts, has_init: bool, groups: frozenset[int]) -> Iterator[Check]:
    """What follows from what Podman says of itself.

    Args:
        facts: what it says.
        has_init: it has an init program to put into containers.
        groups: further groups of the caller.
    """
    if facts.is_rootless:
        yield _check_ids(facts)
    yield _check_storage(facts)
    yield _check_limits(facts)
    if not has_init:
        detail = "no catatonit: Python is process 1, and how a stage died may be told wrongly"
        yield Check("podman init", False, detail, "Install it (`sudo apt-get install catatonit`).")
    if facts.is_rootless and groups and facts.oci_runtime != "crun":
        detail = f"{facts.oci_runtime} drops your further groups: what only they may read is unread"
        remedy = 'Install crun, and set `runtime = "crun"` below `[engine]` in containers.conf.'
        yield Check("podman groups", False, detail, remedy)


def _check_ids(facts: PodmanFacts) -> Check:
    if facts.mapped_ids == 1:
        return Check("podman user ids", False, "no subordinate ids", SUBORDINATE_IDS)
    return Check("podman user ids", True, f"{facts.mapped_ids} in containers")


def _check_storage(facts: PodmanFacts) -> Check:
    name, detail = "podman storage", f"{facts.storage_driver} on {facts.storage_backing}"
    if facts.storage_driver == SLOW_DRIVER:
        return Check(name, False, f"{detail}: each container copies its whole image", USE_OVERLAY)
    if facts.is_rootless and facts.storage_backing == NETWORK_FILE_SYSTEM:
        return Check(name, False, f"{detail}, which cannot hold images of a user", USE_LOCAL_DISK)
    return Check(name, True, detail)


def _check_limits(facts: PodmanFacts) -> Check:
    """A limit that cannot be set is no fault, as long as nobody relies on it."""
    groups = f"control groups {facts.cgroup_version}"
    missing = [title for limit, title in LIMITS.items() if limit not in facts.limits]
    if not missing:
        return Check("podman limits", True, f"{' and '.join(LIMITS.values())} ({groups})")
    return Check(
        "podman limits",
        None,
        f"none on {' and '.join(missing)} ({groups}); --memory-limit needs root, or control groups"
        " v2 that are delegated to you",
    )


def _check_gpu(gpus: tuple[str, ...]) -> Check:
    cards = "; ".join(gpus)
    if wants_gpu("auto"):
        return Check("podman GPU", True, cards)
    return Check(
        "podman GPU",
        False,
        f"{cards}, and Podman knows no way to it",
        "Install the NVIDIA container toolkit, and run `sudo nvidia-ctk cdi generate"
        " --output=/etc/cdi/nvidia.yaml`.",
    )
