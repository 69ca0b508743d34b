"""What the doctor says of Podman, and how it is mended."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.doctor_checks import Check
from orchestration.podman_doctor import check_facts, check_podman
from orchestration.podman_facts import PodmanFacts

USER = PodmanFacts(
    version="4.3.1",
    is_rootless=True,
    machine="x86_64",
    limits=frozenset({"memory", "pids"}),
    cgroup_version="v2",
    mapped_ids=65537,
    oci_runtime="runc",
    uses_selinux=False,
    storage_driver="overlay",
    storage_backing="extfs",
    storage_folder="/home/me/.local/share/containers/storage",
)
ROOT = replace(USER, is_rootless=False, mapped_ids=None, cgroup_version="v1")


def checks(
    facts: PodmanFacts, *, has_init: bool = True, groups: tuple[int, ...] = ()
) -> list[Check]:
    return list(check_facts(facts, has_init, frozenset(groups)))


def test_nothing_to_mend() -> None:
    assert checks(USER) == [
        Check("podman user ids", True, "65537 in containers"),
        Check("podman storage", True, "overlay on extfs"),
        Check("podman limits", True, "memory and the number of processes (control groups v2)"),
    ]


@pytest.mark.parametrize(
    ("facts", "options", "name", "ok", "detail", "remedy"),
    [
        pytest.param(
            replace(USER, mapped_ids=1),
            {},
            "podman user ids",
            False,
            "no subordinate ids",
            "usermod --add-subuids",
            id="no-subordinate-ids",
        ),
        pytest.param(
            replace(USER, storage_driver="vfs"),
            {},
            "podman storage",
            False,
            "vfs on extfs: each container copies its whole image",
            'driver = "overlay"',
            id="vfs",
        ),
        pytest.param(
            replace(USER, storage_backing="nfs"),
            {},
            "podman storage",
            False,
            "overlay on nfs, which cannot hold images of a user",
            "graphroot",
            id="home-on-a-network",
        ),
        pytest.param(
            replace(USER, limits=frozenset(), cgroup_version="v1"),
            {},
            "podman limits",
            None,
            "none on memory and the number of processes (control groups v1)",
            None,
            id="no-limits",
        ),
        pytest.param(
            replace(USER, limits=frozenset({"pids"})),
            {},
            "podman limits",
            None,
            "none on memory (control groups v2)",
            None,
            id="no-memory-limit",
        ),
        pytest.param(
            ROOT,
            {"has_init": False},
            "podman init",
            False,
            "no catatonit",
            "apt-get install catatonit",
            id="no-init",
        ),
        pytest.param(
            USER,
            {"groups": (27,)},
            "podman groups",
            False,
            "runc drops your further groups",
            'runtime = "crun"',
            id="further-groups",
        ),
    ],
)
def test_what_is_to_be_mended(
    facts: PodmanFacts,
    options: dict[str, object],
    name: str,
    ok: bool | None,
    detail: str,
    remedy: str | None,
) -> None:
    (check,) = [check for check in checks(facts, **options) if check.name == name]
    assert check.ok is ok
    assert check.detail.startswith(detail)
    assert check.remedy is None if remedy is None else remedy in check.remedy


@pytest.mark.parametrize(
    ("facts", "groups"),
    [
        pytest.param(replace(USER, oci_runtime="crun"), (27,), id="crun-keeps-them"),
        pytest.param(USER, (), id="there-are-none"),
        pytest.param(ROOT, (27,), id="root-hands-them-on"),
    ],
)
def test_groups_that_are_not_lost(facts: PodmanFacts, groups: tuple[int, ...]) -> None:
    assert "podman groups" not in [check.name for check in checks(facts, groups=groups)]


def test_no_podman(tmp_path: Path) -> None:
    (check,) = check_podman({"PATH": os.fspath(tmp_path)}, ())
    assert (check.name, check.ok) == ("podman", False)
    assert check.detail == "There is no program named podman in PATH."
    assert "apt-get install podman" in (check.remedy or "")
