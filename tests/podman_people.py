"""Whoever uses Podman in the tests: root, or an ordinary user of this machine."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestration.image_sources import ImageSources
from orchestration.podman_facts import PodmanFacts
from orchestration.runtimes.base import Stage
from tests.ordinary_user import NoOrdinaryUser, OrdinaryUser, make_ordinary_user

REPOSITORY = Path(__file__).resolve().parents[1]
# Two processes of pytest must not load the same images at once.
LOCK = Path(tempfile.gettempdir(), "tf1-to-torch-podman-images.lock")
PEOPLE = pytest.mark.parametrize("person", ["root", "user"], indirect=True, scope="module")
ROOT = pytest.mark.parametrize("person", ["root"], indirect=True, scope="module")
# Of whom less is allowed: what works then works for root.
ORDINARY = pytest.mark.parametrize("person", ["user"], indirect=True, scope="module")


@dataclass
class Person:
    """Whoever uses Podman.

    Attributes:
        folder: this person's, with `in` (holding a file) and `out`.
        user: the ordinary one; None = root, who runs the tests.
        run_id: label of this person's containers.
    """

    folder: Path
    user: OrdinaryUser | None
    run_id: str

    @property
    def plain_folder(self) -> Path:
        """The same without characters that need quotes."""
        return self.folder.parent / "plain"

    def run(self, *argv: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `more` = further variables."""
        if self.user is not None:
            return self.user.run(*argv, more=more, cwd=self.folder)
        environment = {
            **os.environ,
            "PYTHONPATH": os.fspath(REPOSITORY),
            "XDG_CACHE_HOME": os.fspath(self.folder / "cache"),
            **more,
        }
        return subprocess.run(
            list(map(os.fspath, argv)),
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def python(self, script: str, *arguments: str | Path, **more: str) -> Any:
        """Run one of the project's scripts."""
        python = sys.executable if self.user is None else self.user.python
        return self.run(python, self.project / script, *arguments, **more)

    @property
    def project(self) -> Path:
        """The checkout that this person runs."""
        return REPOSITORY if self.user is None else self.user.project

    def request(self, **request: Any) -> str:
        """What `podman_client.py` is to do."""
        return json.dumps({"folder": os.fspath(self.folder), "run_id": self.run_id, **request})

    def container(self, **request: Any) -> dict[str, Any]:
        """What came of one container."""
        answer = self.python("tests/podman_client.py", self.request(**request))
        assert answer.stdout, answer.stderr
        return dict(json.loads(answer.stdout))

    def facts(self) -> PodmanFacts:
        """What this person's Podman says of itself."""
        answer = self.run("podman", "info", "--format", "json")
        return PodmanFacts.read(json.loads(answer.stdout))

    def left(self) -> list[str]:
        """Ids of this person's containers that are still there."""
        label = f"--filter=label=tf1-to-torch.run={self.run_id}"
        answer = self.run("podman", "ps", "--all", "--quiet", label)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.split()


def absent(reason: str) -> None:
    """What cannot run here is left out; continuous integration has all of it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def give_images(person: Person) -> None:
    """The images of both stages, from the Docker engine where Podman has none; once a machine."""
    stages: tuple[Stage, ...] = ("extract", "load")
    for stage in stages:
        reference = ImageSources.read(stage, "cpu").reference
        if person.run("podman", "image", "exists", f"localhost/{reference}").returncode == 0:
            continue
        if person.user is None:
            build = ("build", "--stage", stage, "--runtime", "podman", "--from-docker")
            taken = person.python("orchestrate.py", *build)
            if taken.returncode:
                absent(f"Podman has no {reference}: {taken.stderr}")
            continue
        # This user may not speak to the Docker engine.
        with subprocess.Popen(["docker", "save", reference], stdout=subprocess.PIPE) as archive:
            loaded = subprocess.run(
                person.user.command("podman", "load", "--quiet"),
                stdin=archive.stdout,
                env=person.user.environment(),
                cwd="/",
                check=False,
            )
        if archive.returncode or loaded.returncode:
            absent(f"Podman has no {reference}, and the Docker engine cannot give it")


def make_person(kind: str) -> Iterator[Person]:
    """Root, or an ordinary user, with a working Podman and the images."""
    if shutil.which("podman") is None:
        absent("there is no podman on this machine")
    folder = Path(tempfile.mkdtemp(prefix="tf1-to-torch-test-"))
    try:
        user = make_ordinary_user(folder) if kind == "user" else None
    except NoOrdinaryUser as error:
        shutil.rmtree(folder)
        absent(str(error))
    work = folder / "blank, colon: \"quotes\" 'é'"
    for name in ("in", "out"):
        (work / name).mkdir(parents=True)
    (work / "in" / "input.txt").write_text("as it was", encoding="utf-8")
    shutil.copytree(work, folder / "plain")
    if user is not None:
        user.own(work)
        user.own(folder / "plain")
    person = Person(work, user, f"test-{os.urandom(6).hex()}")
    works = person.run("podman", "info")
    if works.returncode:
        absent(f"Podman does not work here: {works.stderr}")
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        give_images(person)
    yield person
    left = person.left()
    for container in left:
        person.run("podman", "rm", "--force", container)
    shutil.rmtree(folder)
    assert left == []
