"""Podman's conversions, builds and Docker-compatible socket; as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.errors import ImageBuildFailed
from orchestration.image_sources import ImageSources
from orchestration.podman_command import PodmanCommand
from orchestration.podman_engine import PodmanEngine
from tests.podman_people import ORDINARY, PEOPLE, ROOT, Person

EQUAL_FILES = (
    "model.safetensors",
    "mapping.csv",
    "config.json",
    "export/variables.safetensors",
    "export/graph.json",
    "export/reference.safetensors",
)
SERVICE_START_S = 20


@pytest.fixture(scope="module")
def converted(
    zoo: Callable[[str], Path], shared_workplace: Any
) -> Callable[[Path], tuple[Path, Path]]:
    """A checkpoint, and what the local runtime makes of it."""
    checkpoint = zoo("five_levels")
    answer = shared_workplace.run(
        checkpoint, "--model", "unet", "--runtime", "local", "--out", "local"
    )
    assert answer.returncode == 0, answer.stderr
    return checkpoint, shared_workplace.folder / "local"


def convert(person: Person, checkpoint: Path, folder: Path, runtime: str, **more: str) -> Path:
    """Convert a copy of a checkpoint in a folder; gives the result folder there."""
    copy = folder / "checkpoint"
    if not copy.exists():
        shutil.copytree(checkpoint, copy)
        copy.chmod(0o755)
    out = folder / "converted"
    arguments = (copy, "--model", "unet", "--runtime", runtime, "--out", out)
    answer = person.python("orchestrate.py", *arguments, **more)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("PROVEN")
    return out


def check_equal(result: Path, expected: Path) -> None:
    for name in EQUAL_FILES:
        assert (result / name).read_bytes() == (expected / name).read_bytes(), name


@PEOPLE
def test_bytes_are_those_of_the_local_runtime(person: Person, converted: Any) -> None:
    checkpoint, expected = converted
    result = convert(person, checkpoint, person.folder, "podman")
    check_equal(result, expected)
    images = json.loads((result / "manifest.json").read_bytes())
    assert '"runtime": "podman"' in json.dumps(images)
    assert person.left() == []


@ROOT
def test_build(person: Person) -> None:
    """An image of two stages from a context that comes by a pipe, without network."""
    base = ImageSources.read("load", "cpu").reference
    dockerfile = (
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE} AS first\nUSER 0:0\nRUN cat /proc/net/dev > /cards\n"
        "FROM ${BASE_IMAGE}\nARG WORD\nCOPY --from=first /cards /cards\n"
        'COPY text none* /texts/\nLABEL word="${WORD}"\n'
    )
    engine = PodmanEngine(PodmanCommand(os.environ))
    arguments = {
        "tag": f"tf1-to-torch/{person.run_id}:1",
        "dockerfile": "sub/Dockerfile",
        "buildargs": {"BASE_IMAGE": base, "WORD": "two words, 'quoted'"},
        "network_mode": "none",
        "nocache": False,
    }
    files = {"sub/Dockerfile": dockerfile.encode(), "text": b"a text"}
    try:
        context = ImageSources("load", None, files).context()
        log = list(engine.build_image(context, arguments))
        assert any("COPY text" in line for line in log)
        found = engine.find_image(arguments["tag"])
        assert found is not None
        assert found.labels["word"] == "two words, 'quoted'"
        assert [
            image.image_id for image in engine.list_images(f"tf1-to-torch/{person.run_id}")
        ] == [found.image_id]
        show = (
            "run",
            "--rm",
            "--entrypoint",
            "/bin/cat",
            arguments["tag"],
            "/cards",
            "/texts/text",
        )
        answer = person.run("podman", *show)
        assert answer.stdout.endswith("a text")
        assert "lo:" in answer.stdout
        assert "eth0" not in answer.stdout
    finally:
        person.run("podman", "image", "rm", "--force", f"localhost/{arguments['tag']}")
    bad = ImageSources(
        "load", None, {"sub/Dockerfile": b"ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN no"}
    )
    with pytest.raises(ImageBuildFailed, match="could not be built: Podman refused"):
        list(engine.build_image(bad.context(), arguments))


@pytest.fixture
def service(person: Person) -> Iterator[str]:
    """Address of Podman's Docker-compatible socket, served by this person."""
    # A socket's path is short; this folder's is not.
    short = Path(tempfile.mkdtemp(prefix="tf1-"))
    if person.user is not None:
        person.user.own(short)
    socket = short / "p.sock"
    argv = ["podman", "system", "service", "--time=0", f"unix://{socket}"]
    environment = None
    if person.user is not None:
        argv, environment = person.user.command(*argv), person.user.environment()
    with subprocess.Popen(
        argv, env=environment, cwd="/", stderr=subprocess.DEVNULL, start_new_session=True
    ) as server:
        deadline_s = time.monotonic() + SERVICE_START_S
        while not socket.exists() and time.monotonic() < deadline_s:
            time.sleep(0.1)
        yield f"unix://{socket}"
        server.terminate()
    shutil.rmtree(short)


@ORDINARY
def test_the_docker_runtime_by_podman_s_socket(
    person: Person, service: str, converted: Any
) -> None:
    checkpoint, expected = converted
    result = convert(person, checkpoint, person.plain_folder, "docker", DOCKER_HOST=service)
    check_equal(result, expected)


@ORDINARY
@pytest.mark.parametrize(
    ("plain", "options", "refusal"),
    [
        # The interface says of every Podman that it sets memory limits.
        pytest.param(True, ("--memory-limit", "1g"), "this engine sets none", id="memory-limit"),
        pytest.param(False, (), "cannot be told to Podman through its socket", id="quotes"),
    ],
)
def test_what_podman_s_socket_cannot_do_is_said(
    person: Person, service: str, plain: bool, options: tuple[str, ...], refusal: str
) -> None:
    if options and "memory" in person.facts().limits:
        pytest.skip("this Podman sets memory limits")
    checkpoint = (person.plain_folder if plain else person.folder) / "in"
    arguments = ("inspect", checkpoint, "--runtime", "docker", *options)
    refused = person.python("orchestrate.py", *arguments, DOCKER_HOST=service)
    assert refused.returncode == 25, refused.stderr
    assert refusal in refused.stderr
