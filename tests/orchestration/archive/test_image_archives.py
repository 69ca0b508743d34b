"""Images put away and brought back, by Docker, Podman and Apptainer for real; small ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestration.archive.image_archives import ImageArchive, restore_image, save_image
from orchestration.errors import EngineRefused, FeatureUnavailable, ImageMissing
from orchestration.images import CONTENT_LABEL
from orchestration.settings import ImageRuntimeName
from tests.podman_people import absent

pytestmark = pytest.mark.docker
CONTENT = "0ddba11"
DOCKERFILE = f"""FROM scratch
COPY one /one
COPY two /two
COPY one /folder/one
ENV NAME=value
LABEL {CONTENT_LABEL}={CONTENT}
"""
ENGINES = pytest.mark.parametrize("engine", ["docker", "podman"])


def command(*argv: str, folder: Path | None = None) -> str:
    # Podman fails in a folder that its user may not enter.
    answer = subprocess.run(argv, cwd=folder or "/", capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Builds a small image under a name, never the same one twice; all of it goes in the end."""
    if shutil.which("podman") is None:
        absent("there is no podman on this machine")
    folder = tmp_path_factory.mktemp("context")
    (folder / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
    (folder / "one").write_text("a layer's content\n", encoding="utf-8")
    made: list[str] = []

    def make(name: str) -> str:
        (folder / "two").write_bytes(os.urandom(100_000))
        command("docker", "build", "--quiet", "--tag", name, ".", folder=folder)
        made.append(command("docker", "image", "inspect", "--format={{.Id}}", name))
        return made[-1]

    yield make
    for image_id in made:
        for engine in ("docker", "podman"):
            remove(engine, image_id)


def remove(engine: str, image_id: str) -> None:
    subprocess.run([engine, "rmi", "--force", image_id], cwd="/", capture_output=True, check=False)


@pytest.fixture(scope="module")
def saved(
    build: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[ImageArchive, Path]:
    """An image that Docker saved and no engine has any more."""
    name = f"tf1-to-torch-test/archived:{os.urandom(6).hex()}"
    image_id = build(name)
    path = tmp_path_factory.mktemp("saved") / "image.oci.tar"
    archive = save_image("docker", name, path)
    assert (archive.reference, archive.id) == (name, image_id)
    assert archive.size_bytes == path.stat().st_size
    remove("docker", image_id)
    return archive, path


def names(engine: str, image_id: str) -> list[str]:
    (details,) = json.loads(command(engine, "image", "inspect", image_id))
    return [tag.removeprefix("localhost/") for tag in details["RepoTags"]]


@ENGINES
def test_there_and_back(
    saved: tuple[ImageArchive, Path], tmp_path: Path, engine: ImageRuntimeName
) -> None:
    archive, path = saved
    said: list[str] = []
    assert restore_image(engine, path, notify=said.append) == archive.id
    assert said
    assert names(engine, archive.id) == [archive.reference]
    (details,) = json.loads(command(engine, "image", "inspect", archive.id))
    assert details["Config"]["Env"][-1] == "NAME=value"
    # By its name and by its id, twice: the same bytes, from whichever engine.
    for wanted in (archive.reference, archive.id, archive.id):
        again = save_image(engine, wanted, tmp_path / "again.tar")
        assert again == archive
        assert (tmp_path / "again.tar").read_bytes() == path.read_bytes()
    # What is there already is not loaded again.
    said.clear()
    assert restore_image(engine, path, notify=said.append) == archive.id
    assert said == []
    remove(engine, archive.id)


@ENGINES
def test_another_image_keeps_its_name(
    saved: tuple[ImageArchive, Path], build: Callable[[str], str], engine: ImageRuntimeName
) -> None:
    archive, path = saved
    other = build(archive.reference)
    if engine == "podman":
        subprocess.run(
            f"docker save {archive.reference} | podman load",
            shell=True,
            cwd="/",
            capture_output=True,
            check=True,
        )
    assert restore_image(engine, path) == archive.id
    assert names(engine, archive.id) == []
    assert names(engine, other) == [archive.reference]
    for image_id in (archive.id, other):
        remove(engine, image_id)


@ENGINES
def test_a_stranger_s_image_gets_no_name_here(
    saved: tuple[ImageArchive, Path], engine: ImageRuntimeName
) -> None:
    archive, path = saved
    assert restore_image(engine, path, with_name=False) == archive.id
    assert names(engine, archive.id) == []
    remove(engine, archive.id)


@ENGINES
def test_a_changed_layer_is_not_taken(
    saved: tuple[ImageArchive, Path], tmp_path: Path, engine: ImageRuntimeName
) -> None:
    archive, path = saved
    content = path.read_bytes()
    changed = tmp_path / "changed.tar"
    changed.write_bytes(content.replace(b"a layer's content", b"a liar's content "))
    with pytest.raises(EngineRefused, match=r"sha256|digest|diff"):
        restore_image(engine, changed)
    remove(engine, archive.id)


@pytest.mark.parametrize("engine", ["docker", "podman", "apptainer"])
def test_an_image_that_is_not_there(tmp_path: Path, engine: ImageRuntimeName) -> None:
    if engine == "apptainer" and shutil.which(engine) is None:
        absent("there is no Apptainer on this machine")
    with pytest.raises(ImageMissing, match="has no image tf1-to-torch-test/none:1"):
        save_image(engine, "tf1-to-torch-test/none:1", tmp_path / "image.tar")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_apptainer_s(saved: tuple[ImageArchive, Path], tmp_path: Path) -> None:
    if shutil.which("apptainer") is None:
        absent("there is no Apptainer on this machine")
    archive, path = saved
    cache = {**os.environ, "XDG_CACHE_HOME": os.fspath(tmp_path / "cache")}
    made = Path(restore_image("apptainer", path, environment=cache))
    told = json.loads(command("apptainer", "inspect", "--json", os.fspath(made)))
    assert told["data"]["attributes"]["labels"][CONTENT_LABEL] == CONTENT
    stamp = made.stat().st_mtime_ns
    again = restore_image("apptainer", path, environment=cache)
    assert (Path(again), made.stat().st_mtime_ns) == (made, stamp)
    # Put away, such a file is what it was.
    copied = save_image("apptainer", os.fspath(made), tmp_path / "copy.sif", environment=cache)
    assert (tmp_path / "copy.sif").read_bytes() == made.read_bytes()
    assert copied.id == f"sha256:{copied.sha256}"
    assert restore_image("apptainer", tmp_path / "copy.sif") == os.fspath(tmp_path / "copy.sif")
    with pytest.raises(FeatureUnavailable, match=r"copy\.sif is an image of Apptainer's"):
        restore_image("docker", tmp_path / "copy.sif")
    assert archive.id.removeprefix("sha256:") in made.name
