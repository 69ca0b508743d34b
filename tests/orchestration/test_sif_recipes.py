"""Apptainer's recipes, archives of images, and what its words mean: all without Apptainer."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from orchestration.errors import (
    EngineRefused,
    FeatureUnavailable,
    FuseUnusable,
    ImageMissing,
    ImageUnusable,
    NamespacesMissing,
    OrchestrationError,
    ScratchTooSmall,
)
from orchestration.image_sources import ImageSources
from orchestration.runtimes.apptainer_failures import explain_failure
from orchestration.runtimes.apptainer_memory import keeps
from orchestration.runtimes.base import Stage
from orchestration.settings import BuildSettings
from orchestration.sif.archives import ArchivedImage, archived_images
from orchestration.sif.build import _from_archive
from orchestration.sif.definition import arguments_script, definition
from orchestration.sif.dockerfile import Copy, read_dockerfile
from orchestration.sif.recipe import prepare_recipe
from orchestration.sif.store import file_name

DOCKERFILE = """\
# A comment.
ARG BASE=python:3
FROM ${BASE} AS packages
ARG TORCH=cpu
ARG INDEX
ARG LINKS=/build
COPY locks/${TORCH}.txt wheels* /build/
RUN make \\
    # between lines
    && pip install ${LINKS}

FROM ${BASE}
ARG BASE
COPY --from=packages /venv /venv
COPY --from=packages /more/ /
COPY code /stage/code
RUN compile /stage
ENV A=1 B=2
LABEL title="two words" \\
      base="${BASE}"
WORKDIR /stage
USER 65534:65534
ENTRYPOINT ["/venv/bin/python3", "-m", "stage"]
"""
DEFINITION = """\
Bootstrap: docker
From: python:3.9
Stage: packages

%files
    locks/cuda.txt /build/cuda.txt
    wheels/a.whl /build/a.whl
    build-arguments.sh /build-arguments.sh

%post
    set -e
    . /build-arguments.sh
    make && pip install ${LINKS}

Bootstrap: docker
From: python:3.9
Stage: image

%files from packages
    /venv /venv
    /more/* /

%files
    code/deep/b.py /stage/code/deep/b.py
    code/main.py /stage/code/main.py

%post
    set -e
    compile /stage

%environment
    export A=1
    export B=2

%labels
    title two words
    base python:3.9

%runscript
    exec /venv/bin/python3 -m stage "$@"
"""
CONTEXT = ["code/deep/b.py", "code/main.py", "locks/cpu.txt", "locks/cuda.txt", "wheels/a.whl"]


def test_recipe_from_a_dockerfile() -> None:
    given = {"BASE": "python:3.9", "TORCH": "cuda", "INDEX": "https://me:it's@index"}
    stages = read_dockerfile(DOCKERFILE, given)
    assert definition(stages, CONTEXT, "docker", "python:3.9") == DEFINITION
    assert arguments_script(stages[0]) == (
        "export TORCH=cuda\nexport INDEX='https://me:it'\"'\"'s@index'\nexport LINKS=/build\n"
    )


def test_defaults_of_build_arguments() -> None:
    first, last = read_dockerfile(DOCKERFILE, {})
    assert (first.base, first.name, last.base, last.name) == (
        "python:3",
        "packages",
        "python:3",
        "",
    )
    assert first.arguments == {"TORCH": "cpu", "LINKS": "/build"}
    assert first.copies == [Copy(("locks/cpu.txt", "wheels*"), "/build/", None)]


def test_an_instruction_that_is_not_known_is_no_guess() -> None:
    with pytest.raises(ValueError, match="HEALTHCHECK is not known here"):
        read_dockerfile("FROM a\nHEALTHCHECK CMD x\n", {})


@pytest.mark.parametrize("stage", ["extract", "load"])
def test_the_project_s_own_recipes(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:secret@index.example")
    sources = ImageSources.read(stage, "cpu")
    name = prepare_recipe(sources, BuildSettings(), tmp_path, os.environ)
    text = (tmp_path / name).read_text(encoding="utf-8")
    for path in sources.files:
        if path.startswith("stage_"):
            assert f"    {path} /stage/{path}\n" in text
            assert (tmp_path / path).read_bytes() == sources.files[path]
    assert f"    {sources.lock} /build/{Path(sources.lock).name}\n" in text
    assert f"    tf1-to-torch.content {sources.content_hash()}\n" in text
    assert "Bootstrap: docker\n" in text
    # An image keeps its recipe: what pip is told is not in it.
    assert "secret" not in text
    script = tmp_path / "build-arguments.sh"
    assert "https://me:secret@index.example" in script.read_text(encoding="utf-8")
    assert stat.S_IMODE(script.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "bootstrap", "base"),
    [
        pytest.param("own base.sif", "localimage", "base.sif", id="sif"),
        pytest.param("sandbox.img", "localimage", "base.sif", id="another-file"),
        pytest.param("saved.tar", "docker-archive", "base.tar", id="archive"),
    ],
)
def test_a_base_image_that_is_a_file(
    name: str, bootstrap: str, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image keeps its recipe, and the folders of whoever builds it are nobody's business."""
    own, folder = tmp_path / "of my own", tmp_path / "build"
    own.mkdir()
    folder.mkdir()
    if name.endswith(".tar"):
        entries = {"manifest.json": b'[{"Config": "c.json"}]', "c.json": b"{}"}
        with tarfile.open(own / name, "w") as tar:
            for member, content in entries.items():
                info = tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    else:
        (own / name).write_bytes(b"layers")
    settings = BuildSettings(load_base_image=os.fspath(own / name))
    prepared = prepare_recipe(ImageSources.read("load", "cpu"), settings, folder, os.environ)
    text = (folder / prepared).read_text(encoding="utf-8")
    assert text.startswith(f"Bootstrap: {bootstrap}\nFrom: {base}\n")
    assert f"    org.opencontainers.image.base.name {name}\n" in text
    digest = hashlib.sha256((own / name).read_bytes()).hexdigest()
    assert f"    org.opencontainers.image.base.digest sha256:{digest}\n" in text
    assert os.fspath(tmp_path) not in text
    assert (folder / base).resolve() == own / name


def test_a_damaged_archive(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(ImageUnusable, match="cannot be read"):
        archived_images(tmp_path / "x.tar")


def test_the_image_of_the_present_sources_is_taken(tmp_path: Path) -> None:
    sources = ImageSources.read("extract", "cpu")
    older = ArchivedImage(tmp_path / "o.tar", "oci-archive", "x", {"tf1-to-torch.content": "0"})
    labels = {"tf1-to-torch.content": sources.content_hash()}
    present = ArchivedImage(tmp_path / "a:b c.tar", "docker-archive", "", labels)
    with pytest.raises(ImageMissing, match="only 1 others"):
        _from_archive([older], sources, tmp_path)
    assert _from_archive([older, present], sources, tmp_path) == "docker-archive:images.tar"
    assert os.readlink(tmp_path / "images.tar") == os.fspath(tmp_path / "a:b c.tar")


def test_names_of_files() -> None:
    assert file_name("tf1-to-torch/load:cpu-01ab") == "tf1-to-torch--load--cpu-01ab.sif"


@pytest.mark.parametrize(
    ("said", "kept"),
    [("1000000\n", True), ("999424\n", True), ("max\n", False), ("", False), ("2000000\n", False)],
)
def test_whether_a_limit_holds(said: str, kept: bool) -> None:
    assert keeps(said, 1_000_000) is kept


# Apptainer 1.4.5's own words.
CREATION = "FATAL:   container creation failed: "
WORDS = [
    pytest.param(
        CREATION + "image driver mount failure: image driver squashfuse_ll instance exited with"
        " error: squashfuse_ll exited: fuse: failed to open /dev/fuse: Permission denied",
        FuseUnusable,
        id="fuse",
    ),
    pytest.param(
        "\x1b[91mERROR  : Failed to create user namespace: maximum number of user namespaces"
        " exceeded, check /proc/sys/user/max_user_namespaces",
        NamespacesMissing,
        id="namespaces",
    ),
    pytest.param(
        "FATAL:   while extracting /x.sif: root filesystem extraction failed: failed to copy"
        " content in staging file: write /t/rootfs-1/archive-2: no space left on device",
        ScratchTooSmall,
        id="scratch",
    ),
    pytest.param(
        CREATION + "while applying cgroups config: cannot use cgroups - system is not configured"
        " for cgroups v2 in unified mode",
        FeatureUnavailable,
        id="memory-limit",
    ),
    pytest.param(
        CREATION + "mount hook function failure: mount /a->/in error: while mounting /a: mount"
        " source /a doesn't exist",
        EngineRefused,
        id="folder",
    ),
    pytest.param(
        "FATAL:   While checking container encryption: could not open image /x.sif: image format"
        " not recognized",
        ImageUnusable,
        id="no-image",
    ),
    pytest.param(
        "/usr/bin/env: '/venv/bin/python3': No such file or directory",
        ImageUnusable,
        id="no-python",
    ),
    pytest.param(CREATION + "something new", EngineRefused, id="unheard-of"),
]


@pytest.mark.parametrize(("line", "error"), WORDS)
def test_what_its_words_mean(line: str, error: type[OrchestrationError]) -> None:
    found = explain_failure(["INFO:    a notice", line, "\x1b[0m"], Path("/x.sif"))
    assert type(found) is error


def test_words_of_a_stage_are_not_apptainer_s() -> None:
    text = ["Traceback", "ValueError: FATAL: no space left on device"]
    assert explain_failure(text, Path("/x.sif")) is None
