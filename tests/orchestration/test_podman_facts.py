"""What Podman says of itself, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestration.errors import EngineNotInstalled, EngineRefused, FeatureUnavailable
from orchestration.podman_command import PodmanCommand
from orchestration.podman_engine import PodmanEngine, build_command_line, full_names
from orchestration.podman_facts import PodmanFacts
from orchestration.runtimes.podman import PodmanRuntime, check_limits, wants_gpu, why_unusable
from orchestration.settings import RuntimeOptions

GB = 10**9


def information(**host: Any) -> dict[str, Any]:
    """`podman info --format json` of Podman 4.3.1 as root, what is not read left out."""
    return {
        "host": {
            "arch": "amd64",
            "cgroupControllers": ["cpuset", "cpu", "memory", "pids"],
            "cgroupVersion": "v1",
            "idMappings": {"gidmap": None, "uidmap": None},
            "ociRuntime": {"name": "runc"},
            "security": {"rootless": False, "selinuxEnabled": False},
            **host,
        },
        "store": {
            "graphDriverName": "overlay",
            "graphRoot": "/var/lib/containers/storage",
            "graphStatus": {"Backing Filesystem": "extfs", "Supports d_type": "true"},
        },
        "version": {"Version": "4.3.1"},
    }


ROOT = PodmanFacts(
    version="4.3.1",
    is_rootless=False,
    machine="x86_64",
    limits=frozenset({"cpuset", "cpu", "memory", "pids"}),
    cgroup_version="v1",
    mapped_ids=None,
    oci_runtime="runc",
    uses_selinux=False,
    storage_driver="overlay",
    storage_backing="extfs",
    storage_folder="/var/lib/containers/storage",
)
USER = replace(ROOT, is_rootless=True, limits=frozenset(), mapped_ids=65537)
ROOTLESS = {
    "cgroupControllers": [],
    "idMappings": {
        "uidmap": [
            {"container_id": 0, "host_id": 1001, "size": 1},
            {"container_id": 1, "host_id": 100000, "size": 65536},
        ]
    },
    "security": {"rootless": True, "selinuxEnabled": False},
}


@pytest.mark.parametrize(
    ("said", "facts"),
    [
        pytest.param(information(), ROOT, id="root"),
        pytest.param(information(**ROOTLESS), USER, id="rootless"),
        # Go writes a list that was never filled as null.
        pytest.param(
            information(**{**ROOTLESS, "cgroupControllers": None}), USER, id="rootless-null"
        ),
        pytest.param(
            information(arch="arm64", security={"rootless": False, "selinuxEnabled": True}),
            replace(ROOT, machine="aarch64", uses_selinux=True),
            id="arm-with-selinux",
        ),
    ],
)
def test_reading(said: dict[str, Any], facts: PodmanFacts) -> None:
    assert PodmanFacts.read(said) == facts


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(ROOT, (True, True, []), id="root"),
        pytest.param(USER, (False, False, ["name=rootless"]), id="rootless"),
    ],
)
def test_in_docker_terms(facts: PodmanFacts, expected: tuple[Any, ...]) -> None:
    said = facts.in_docker_terms()
    assert (said["MemoryLimit"], said["PidsLimit"], said["SecurityOptions"]) == expected
    assert (said["ServerVersion"], said["Architecture"]) == ("4.3.1", "x86_64")


def test_a_memory_limit_that_would_be_dropped_is_refused() -> None:
    with pytest.raises(FeatureUnavailable) as caught:
        check_limits(USER, 3 * GB, lambda _: None)
    assert caught.value.happened == (
        "A memory limit of 3000000000 bytes was asked for, and Podman 4.3.1 (rootless) on control"
        " groups v1 sets none."
    )


@pytest.mark.parametrize(
    ("facts", "memory_limit_bytes", "said"),
    [
        pytest.param(ROOT, 3 * GB, [], id="root"),
        pytest.param(
            USER,
            None,
            ["Podman 4.3.1 (rootless) sets no limit on the number of processes here"],
            id="rootless",
        ),
        pytest.param(
            replace(USER, limits=frozenset({"memory", "pids"}), cgroup_version="v2"),
            3 * GB,
            [],
            id="rootless-on-delegated-control-groups",
        ),
    ],
)
def test_limits_that_are_kept_and_one_that_is_not(
    facts: PodmanFacts, memory_limit_bytes: int | None, said: list[str]
) -> None:
    heard: list[str] = []
    check_limits(facts, memory_limit_bytes, heard.append)
    assert heard == said


@pytest.mark.parametrize(
    ("facts", "usable"),
    [
        pytest.param(ROOT, True, id="root"),
        pytest.param(USER, True, id="rootless"),
        pytest.param(replace(USER, mapped_ids=1), False, id="no-subordinate-ids"),
    ],
)
def test_a_user_needs_subordinate_ids(facts: PodmanFacts, usable: bool) -> None:
    assert (why_unusable(facts) is None) is usable


def test_no_podman_in_path(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path)}
    with pytest.raises(EngineNotInstalled, match="no program named podman"):
        PodmanCommand(environment)
    availability = PodmanRuntime(RuntimeOptions(), environment).availability()
    assert (availability.ok, availability.reason) == (
        False,
        "There is no program named podman in PATH.",
    )


@pytest.fixture
def speaking(tmp_path: Path) -> PodmanCommand:
    """A program by Podman's name that tells what it was given."""
    program = tmp_path / "podman"
    program.write_text('#!/bin/sh\npwd\nenv\ncat\necho "Error: no" >&2\n[ "$1" = well ]\n')
    program.chmod(0o755)
    hostile = {"CONTAINER_HOST": "ssh://elsewhere", "AWS_SECRET": "secret", "HOME": "/home/me"}
    return PodmanCommand({"PATH": f"{tmp_path}:/usr/bin:/bin", **hostile})


def test_podman_gets_what_it_needs_of_the_environment(speaking: PodmanCommand) -> None:
    said = speaking.answer("well").splitlines()
    assert said[0] == "/"
    assert "HOME=/home/me" in said
    assert not [line for line in said if line.startswith(("CONTAINER_HOST", "AWS_SECRET"))]


def test_a_subcommand_that_fails_is_told_in_podman_s_words(speaking: PodmanCommand) -> None:
    with pytest.raises(EngineRefused) as caught:
        speaking.answer("badly")
    assert caught.value.happened == "Podman refused: Error: no."


def test_a_subcommand_reads_what_it_is_given(speaking: PodmanCommand) -> None:
    lines = speaking.stream(["well"], iter([b"one\ntw", b"o\n"]))
    assert list(lines)[-3:] == ["one", "two", "Error: no"]


@pytest.mark.parametrize(
    ("reference", "names"),
    [
        pytest.param(
            "tf1-to-torch/load:cpu-1",
            (
                "localhost/tf1-to-torch/load:cpu-1",
                "docker.io/tf1-to-torch/load:cpu-1",
                "tf1-to-torch/load:cpu-1",
            ),
            id="this-project-s",
        ),
        pytest.param(
            "python:3.7",
            ("localhost/python:3.7", "docker.io/library/python:3.7", "python:3.7"),
            id="of-the-hub",
        ),
        pytest.param("localhost/a:1", ("localhost/a:1",), id="of-this-machine"),
        pytest.param("reg.example/a/b:1", ("reg.example/a/b:1",), id="of-a-registry"),
        pytest.param("reg:5000/a", ("reg:5000/a",), id="of-a-port"),
        pytest.param("sha256:ab", ("sha256:ab",), id="id"),
    ],
)
def test_names_under_which_an_image_may_lie(reference: str, names: tuple[str, ...]) -> None:
    assert full_names(reference) == names


@pytest.mark.parametrize(
    ("network", "no_cache", "options"),
    [
        pytest.param("none", True, ["--network=none", "--no-cache"], id="offline-anew"),
        pytest.param(None, False, [], id="online"),
    ],
)
def test_build_command_line(network: str | None, no_cache: bool, options: list[str]) -> None:
    arguments = {
        "tag": "tf1-to-torch/load:cpu-1",
        "dockerfile": "docker/Dockerfile.load",
        "buildargs": {"BASE_IMAGE": "python:3.11", "TORCH": "cpu"},
        "network_mode": network,
        "nocache": no_cache,
        "pull": False,
        "rm": True,
        "forcerm": True,
    }
    assert build_command_line(arguments) == [
        "build",
        "--file=docker/Dockerfile.load",
        "--tag=localhost/tf1-to-torch/load:cpu-1",
        "--build-arg=BASE_IMAGE",
        "--build-arg=TORCH",
        *options,
        "--pull-never",
        "-",
    ]


def test_what_pip_is_told_is_on_no_command_line(tmp_path: Path) -> None:
    program = tmp_path / "podman"
    program.write_text('#!/bin/sh\necho "$@"\necho "$PIP_INDEX_URL"\n')
    program.chmod(0o755)
    engine = PodmanEngine(PodmanCommand({"PATH": f"{tmp_path}:/usr/bin:/bin"}))
    index = "https://me:it's secret@index.example/simple"
    arguments = {
        "tag": "a:1",
        "dockerfile": "D",
        "buildargs": {"PIP_INDEX_URL": index},
        "network_mode": None,
        "nocache": False,
    }
    command, told = engine.build_image(iter(()), arguments)
    assert "--build-arg=PIP_INDEX_URL --pull-never" in command
    assert "secret" not in command
    assert told == index


@pytest.mark.parametrize(
    ("device", "files", "expected"),
    [
        pytest.param("auto", ["nvidia.yaml"], True, id="auto-with"),
        pytest.param("auto", ["other.json"], False, id="auto-without"),
        pytest.param("cpu", ["nvidia.yaml"], False, id="cpu"),
        # Asked for by name: Podman's refusal is the answer, not a silent CPU.
        pytest.param("cuda:1", [], True, id="cuda"),
    ],
)
def test_gpu_only_when_asked_for_or_there(
    device: str, files: list[str], expected: bool, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).touch()
    assert wants_gpu(device, [tmp_path, tmp_path / "missing"]) is expected


# Podman 4.3 says so when a container ends by itself while it is being killed.
RELUCTANT = """#!/bin/sh
echo "$@" >>"{folder}/calls"
[ "$(wc -l <"{folder}/calls")" -ge {refusals} ] && exit 0
echo "Error: cannot remove container: container state improper: stopped" >&2
exit 125
"""


@pytest.mark.parametrize(
    ("refusals", "calls"),
    [pytest.param(3, 3, id="ends-in-this-moment"), pytest.param(99, 5, id="never-goes")],
)
def test_a_container_that_is_just_ending_is_removed(
    tmp_path: Path, refusals: int, calls: int
) -> None:
    program = tmp_path / "podman"
    program.write_text(RELUCTANT.format(folder=tmp_path, refusals=refusals))
    program.chmod(0o755)
    engine = PodmanEngine(PodmanCommand({"PATH": f"{tmp_path}:/usr/bin:/bin"}))
    if refusals > calls:
        with pytest.raises(EngineRefused, match="state improper"):
            engine.remove_container("some")
    else:
        engine.remove_container("some")
    made = (tmp_path / "calls").read_text().splitlines()
    assert made == ["rm --force --ignore --time=0 --volumes some"] * calls
