"""Conversions by Apptainer, as root and as an ordinary user: bytes as of every runtime."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.image_sources import ImageSources
from orchestration.run_paths import PROJECT
from orchestration.runtimes.base import Stage
from orchestration.settings import DEFAULT_EXTRACT_BASE_IMAGE
from orchestration.sif.store import SifStore
from tests.orchestration.apptainer_bench import BUILD_COMMAND, absent, lend, need_program
from tests.ordinary_user import NoOrdinaryUser, OrdinaryUser, make_ordinary_user

REPOSITORY = Path(__file__).resolve().parents[2]
CHECKPOINT = REPOSITORY / "tests" / "contract" / "checkpoints" / "segmenter"
EQUAL_FILES = (
    "model.safetensors",
    "mapping.csv",
    "config.json",
    "export/variables.safetensors",
    "export/graph.json",
    "export/reference.safetensors",
)
# What steers Apptainer in the user's shell, and would change what a stage sees.
STEERING = {"APPTAINER_BIND": "/etc:/in", "APPTAINERENV_TF_CPP_MIN_LOG_LEVEL": "0"}


@pytest.fixture(scope="module")
def images() -> Iterator[tuple[str | Path, ...]]:
    """Options that name the images of both stages, for whoever may not look into this cache."""
    store = SifStore(need_program(), os.environ)
    folder = Path(tempfile.mkdtemp(prefix="tf1-to-torch-images-"))
    folder.chmod(0o755)
    stages: tuple[Stage, ...] = ("extract", "load")
    options: list[str | Path] = ["--runtime", "apptainer"]
    try:
        for stage in stages:
            reference = ImageSources.read(stage, "cpu").reference
            if store.find_image(reference) is None:
                absent(f"there is no file of {reference}: run `{BUILD_COMMAND}`")
            options += [f"--image-{stage}", lend(store.path(reference), folder)]
        yield tuple(options)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def user() -> Iterator[OrdinaryUser]:
    folder = Path(tempfile.mkdtemp(prefix="tf1-to-torch-test-"))
    try:
        yield make_ordinary_user(folder)
    except NoOrdinaryUser as error:
        absent(str(error))
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def expected(shared_workplace: Any) -> Path:
    """What the local runtime makes of the checkpoint."""
    converted(shared_workplace.run(CHECKPOINT, *arguments("local", "--runtime", "local")))
    return Path(shared_workplace.folder / "local")


def arguments(out: str | Path, *options: str | Path) -> tuple[str | Path, ...]:
    return ("--model", "unet", "--out", out, *options)


def converted(answer: subprocess.CompletedProcess[str]) -> None:
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("PROVEN")


def check_equal(result: Path, expected: Path) -> None:
    for name in EQUAL_FILES:
        assert (result / name).read_bytes() == (expected / name).read_bytes(), name
    manifest = json.loads((result / "manifest.json").read_bytes())
    assert manifest["runtime"] == "apptainer"


def test_as_whoever_runs_the_tests(
    images: tuple[str | Path, ...],
    expected: Path,
    shared_workplace: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in STEERING.items():
        monkeypatch.setitem(shared_workplace.environment, name, value)
    converted(shared_workplace.run(CHECKPOINT, *arguments("contained", *images)))
    check_equal(shared_workplace.folder / "contained", expected)


@pytest.mark.docker
def test_docker_gives_the_same(expected: Path, shared_workplace: Any) -> None:
    converted(shared_workplace.run(CHECKPOINT, *arguments("docker", "--runtime", "docker")))
    for name in EQUAL_FILES:
        other = shared_workplace.folder / "docker" / name
        assert other.read_bytes() == (expected / name).read_bytes(), name


def test_as_an_ordinary_user(
    images: tuple[str | Path, ...], expected: Path, user: OrdinaryUser
) -> None:
    scratch = user.folder / "scratch"
    scratch.mkdir()
    user.own(scratch)
    checkpoint = user.project / CHECKPOINT.relative_to(REPOSITORY)
    more = {"TMPDIR": os.fspath(scratch), **STEERING}
    out = user.folder / "contained"
    converted(user.orchestrate(checkpoint, *arguments(out, *images), more=more))
    check_equal(out, expected)
    assert (out / "model.safetensors").stat().st_uid == user.uid
    assert list(scratch.iterdir()) == []


def test_a_user_s_image_is_made_without_an_engine(user: OrdinaryUser) -> None:
    """No base image can be fetched in a test; what Apptainer says of that one must be told."""
    folder = user.folder / "images"
    answer = user.orchestrate(
        *("build", "--runtime", "apptainer", "--stage", "load", "--sif-folder", folder),
        *("--load-base-image", f"localhost:1/{PROJECT}/nothing:1"),
    )
    assert "Building without a Docker engine" in answer.stderr
    assert answer.returncode == 22, answer.stderr
    assert "ImageBuildFailed" in answer.stderr
    assert list(folder.iterdir()) == []


RECIPE = """\
FROM base AS packages
ARG WORD
COPY word.txt /build/
RUN echo "$WORD $(cat /build/word.txt)" > /made

FROM base
COPY --from=packages /made /made
COPY code /stage/code
LABEL tf1-to-torch.content="here"
"""
MAKE = """
import os, sys, tempfile
from pathlib import Path
from orchestration.sif.convert import make_image
from orchestration.sif.definition import arguments_script, definition
from orchestration.sif.dockerfile import read_dockerfile
from orchestration.sif.program import find_program
target, base, recipe = sys.argv[1:]
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    (folder / "code").mkdir()
    (folder / "code" / "a.py").write_text("6 * 7")
    (folder / "word.txt").write_text("there")
    (folder / "base.tar").symlink_to(base)
    stages = read_dockerfile(recipe, {"WORD": "it's"})
    (folder / "build-arguments.sh").write_text(arguments_script(stages[0]))
    text = definition(stages, ["code/a.py", "word.txt"], "docker-archive", "base.tar")
    (folder / "image.def").write_text(text)
    make_image(find_program(os.environ), "image.def", Path(target), "here",
               folder=folder, environment=os.environ, notify=print)
"""


@pytest.mark.docker
def test_a_recipe_as_an_ordinary_user(user: OrdinaryUser) -> None:
    need_program()
    base, target = user.folder / "base.tar", user.folder / "made.sif"
    with base.open("wb") as file:
        subprocess.run(["docker", "save", DEFAULT_EXTRACT_BASE_IMAGE], stdout=file, check=True)
    made = user.run(user.python, "-c", MAKE, target, base, RECIPE)
    assert made.returncode == 0, made.stdout + made.stderr
    look = ("cat", "/made", "/stage/code/a.py")
    seen = user.run("apptainer", "--silent", "exec", "--containall", target, *look)
    assert seen.stdout == "it's there\n6 * 7"
    # Neither what pip would be told, nor a part of another image.
    kept = user.run("apptainer", "--silent", "exec", "--containall", target, "ls", "/").stdout
    assert not {"build-arguments.sh", "build"} & set(kept.split())
    assert "it's" not in user.run("apptainer", "inspect", "--deffile", target).stdout
