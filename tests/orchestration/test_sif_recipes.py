"""Apptainer's recipes, archives of images, and what its words mean: all without Apptainer."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

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


def write_tar(path: Path, members: dict[str, Any]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            data = json.dumps(content).encode()
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return path


def config(**labels: str) -> dict[str, Any]:
    return {"config": {"Labels": labels or None}}


def oci(*names: str) -> dict[str, Any]:
    """An OCI layout whose images are labelled by their names."""
    members: dict[str, Any] = {"oci-layout": {"imageLayoutVersion": "1.0.0"}}
    entries = []
    for number, name in enumerate(names):
        members[f"blobs/sha256/c{number}"] = config(name=name)
        members[f"blobs/sha256/m{number}"] = {"config": {"digest": f"sha256:c{number}"}}
        annotations = {"org.opencontainers.image.ref.name": name}
        entries.append({"digest": f"sha256:m{number}", "annotations": annotations})
    return {**members, "index.json": {"manifests": entries}}


DOCKER = {
    "manifest.json": [
        {"Config": "one.json", "RepoTags": ["a:1"]},
        {"Config": "two.json", "RepoTags": None},
    ],
    "one.json": config(name="one"),
    "two.json": config(),
}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param(
            DOCKER,
            [("docker-archive", "@0", {"name": "one"}), ("docker-archive", "@1", {})],
            id="docker",
        ),
        pytest.param(oci("x:1"), [("oci-archive", "", {"name": "x:1"})], id="oci"),
        pytest.param(
            oci("x:1", "y:2"),
            [("oci-archive", "x:1", {"name": "x:1"}), ("oci-archive", "y:2", {"name": "y:2"})],
            id="oci-with-two",
        ),
        pytest.param(
            {**oci("x:1"), **DOCKER},
            [("docker-archive", "@0", {"name": "one"}), ("docker-archive", "@1", {})],
            id="both-forms",
        ),
    ],
)
def test_what_an_archive_holds(
    tmp_path: Path, members: dict[str, Any], expected: list[tuple[str, str, dict[str, str]]]
) -> None:
    path = write_tar(tmp_path / "images.tar", members)
    assert archived_images(path) == [ArchivedImage(path, *one) for one in expected]


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"a.json": {}}, id="other-tar"),
        pytest.param({"manifest.json": [{"Config": "gone.json"}]}, id="without-its-config"),
        pytest.param({"manifest.json": [{}]}, id="without-its-field"),
        pytest.param({"index.json": []}, id="another-shape"),
    ],
)
def test_archives_of_something_else(tmp_path: Path, members: dict[str, Any]) -> None:
    with pytest.raises(ImageUnusable, match=r"The archive .*images\.tar cannot be read"):
        archived_images(write_tar(tmp_path / "images.tar", members))


def test_a_damaged_archive(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(ImageUnusable, match="cannot be read"):
        archived_images(tmp_path / "x.tar")


def test_the_image_of_the_present_sources_is_taken(tmp_path: Path) -> None:
    sources = ImageSources.read("extract", "cpu")
    older = ArchivedImage(tmp_path / "o.tar", "oci-archive", "x", {"tf1-to-torch.content": "0"})
    labels = {"tf1-to-torch.content": sources.content_hash()}
    present = ArchivedImage(tmp_path / "a:b c.tar", "docker-archive", "@1", labels)
    with pytest.raises(ImageMissing, match="only 1 others"):
        _from_archive([older], sources, tmp_path)
    assert _from_archive([older, present], sources, tmp_path) == "docker-archive:images.tar:@1"
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
