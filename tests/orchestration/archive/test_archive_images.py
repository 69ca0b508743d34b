"""--with-images: the images of a result lie in its bag, and load again under their ids."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.archive.image_archives import restore_image
from tests.orchestration.archive.made_result import (
    Made,
    contents,
    make_result,
    says_bagit,
    unpack,
)

SMALL = ("--without-program", "--with-images")
IMAGE_MISSING, NOT_ARCHIVABLE = 15, 80


def docker(*arguments: str) -> str:
    run = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.fixture
def images(tmp_path: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """Two images that Docker has, as a record tells them."""
    found = {}
    for stage in ("extract", "load"):
        context = tmp_path / f"context-{stage}"
        context.mkdir()
        (context / "Dockerfile").write_text("FROM scratch\nCOPY x /x\n", encoding="ascii")
        (context / "x").write_bytes(os.urandom(10_000))
        name = f"tf1-to-torch-test/{stage}:{os.urandom(6).hex()}"
        docker("build", "--quiet", "--tag", name, os.fspath(context))
        found[stage] = recorded(stage, name, docker("image", "inspect", "--format={{.Id}}", name))
    yield found
    for image in found.values():
        subprocess.run(["docker", "rmi", "--force", image["id"]], capture_output=True, check=False)


def recorded(stage: str, reference: str, image_id: str) -> dict[str, Any]:
    return {"stage": stage, "reference": reference, "id": image_id, "base": {}, "labels": {}}


def result_in(folder: Path, runtime: str, **images: dict[str, Any]) -> Made:
    """A result whose stages ran in images."""
    made = make_result(folder)
    file = made.result / "manifest.json"
    manifest = json.loads(file.read_bytes())
    manifest["runtime"] = manifest["settings"]["runtime"]["name"] = runtime
    for stage, image in images.items():
        manifest[stage] |= {"image": image, "environment": None}
    file.write_text(json.dumps(manifest), encoding="ascii")
    return made


@pytest.mark.docker
@pytest.mark.parametrize("bag", ["x.bag", "x.bag.tar.zst"])
def test_both_images_are_kept_and_load_again(
    tmp_path: Path, images: dict[str, dict[str, Any]], bag: str
) -> None:
    made = result_in(tmp_path, "docker", **images)
    run = made.archive(bag, *SMALL)
    assert run.returncode == 0, run.stderr
    folder = tmp_path / bag
    if bag.endswith(".zst"):
        folder = unpack(folder, tmp_path / "unpacked")
    assert says_bagit(folder) == (0, "")
    kept = folder / "data" / "images"
    assert set(contents(kept)) == {"extract.oci.tar", "load.oci.tar"}
    for stage, image in images.items():
        docker("rmi", "--force", image["id"])
        assert restore_image("docker", kept / f"{stage}.oci.tar") == image["id"]
        assert docker("image", "inspect", "--format={{.Id}}", image["reference"]) == image["id"]
    assert "docker load --input data/images/load.oci.tar" in (folder / "README.md").read_text()


@pytest.mark.docker
def test_an_image_of_both_stages_is_kept_once(
    tmp_path: Path, images: dict[str, dict[str, Any]]
) -> None:
    load = images["load"]
    made = result_in(tmp_path, "docker", extract=load, load=load)
    assert made.archive("x.bag", *SMALL).returncode == 0
    assert set(contents(tmp_path / "x.bag" / "data" / "images")) == {"load.oci.tar"}


@pytest.mark.docker
def test_an_image_that_is_gone_is_named_and_nothing_is_kept(
    tmp_path: Path, images: dict[str, dict[str, Any]]
) -> None:
    made = result_in(tmp_path, "docker", **images)
    docker("rmi", "--force", images["load"]["id"])
    before = sorted(os.listdir(tmp_path))
    run = made.archive("x.bag", *SMALL)
    assert run.returncode == IMAGE_MISSING
    assert images["load"]["id"] in run.stderr
    assert sorted(os.listdir(tmp_path)) == before


def sif(folder: Path, content: bytes) -> dict[str, Any]:
    """A file, as a record tells one of Apptainer's; it is not looked into."""
    path = folder / "stage one.sif"
    path.write_bytes(content)
    return recorded("load", os.fspath(path), f"sha256:{hashlib.sha256(content).hexdigest()}")


def test_files_of_apptainers_are_shared(tmp_path: Path) -> None:
    image = sif(tmp_path, b"image" * 1000)
    made = result_in(tmp_path, "apptainer", extract=image, load=image)
    run = made.archive("x.bag", *SMALL)
    assert run.returncode == 0, run.stderr
    kept = tmp_path / "x.bag" / "data" / "images"
    assert set(contents(kept)) == {"load.sif"}
    assert (kept / "load.sif").samefile(image["reference"])


def test_a_file_of_apptainers_that_was_replaced_is_named(tmp_path: Path) -> None:
    image = sif(tmp_path, b"image")
    made = result_in(tmp_path, "apptainer", load=image)
    Path(image["reference"]).write_bytes(b"later")
    run = made.archive("x.bag", *SMALL)
    assert run.returncode == NOT_ARCHIVABLE
    assert f"{image['reference']}: it has changed" in run.stderr
