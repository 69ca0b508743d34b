"""How a recorded run is run again: its options, those given now, and its images by their ids."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestration.image_sources import ImageSources
from orchestration.recorded_run import RecordedRun
from orchestration.recorded_settings import to_json
from orchestration.rerun_runtime import rerun_runtime
from orchestration.settings import ConvertSettings, ExtractOptions, LoadOptions, RuntimeOptions
from orchestration.sif.store import SifStore
from tests.orchestration.apptainer_bench import need_image, need_program

LOCAL = RuntimeOptions(
    "local", "cpu", legacy_python=Path("/old/python"), torch_variant="cuda", requirements=Path("/r")
)
CONTAINERS = RuntimeOptions("docker", "cuda:1", 1 << 33, extract_image="mine:1", unsquash=True)
GONE = f"sha256:{'0' * 64}"


def recorded(folder: Path, runtime: RuntimeOptions, **images: Mapping[str, Any]) -> RecordedRun:
    """A run by its manifest; `images`: by stage."""
    settings = ConvertSettings(
        Path("/c"), Path("/o"), False, ExtractOptions(), LoadOptions("unet"), runtime
    )
    stages = {stage: {"image": images.get(stage)} for stage in ("extract", "load")}
    roles = ("checkpoint", "requirements")
    manifest = {
        **stages,
        "format": "tf1-to-torch-manifest",
        "version": 2,
        "command": "convert",
        "settings": to_json(settings),
        "inputs": [{"role": role, "folder": "/", "files": []} for role in roles],
        "files": [],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return RecordedRun.read(folder)


def image(stage: str, reference: str, image_id: str) -> dict[str, Any]:
    return {"stage": stage, "reference": reference, "id": image_id, "base": {}}


@pytest.mark.parametrize(
    ("runtime", "given", "expected"),
    [
        pytest.param(LOCAL, {}, LOCAL, id="as-recorded"),
        pytest.param(LOCAL, {"device": "auto"}, replace(LOCAL, device="auto"), id="an-option"),
        pytest.param(
            LOCAL, {"legacy_python": None}, replace(LOCAL, legacy_python=None), id="an-option-back"
        ),
        # Of the options of another kind of runtime none can hold.
        pytest.param(
            LOCAL,
            {"name": "docker"},
            replace(LOCAL, name="docker", legacy_python=None),
            id="containers",
            marks=pytest.mark.docker,
        ),
        pytest.param(
            CONTAINERS, {"name": "local"}, RuntimeOptions("local", "cuda:1"), id="plain-processes"
        ),
        pytest.param(
            CONTAINERS,
            {"name": "auto", "memory_limit_bytes": 5},
            RuntimeOptions("auto", "cuda:1", 5),
            id="whatever-works",
        ),
    ],
)
def test_options_are_the_recorded_ones_and_those_given(tmp_path, runtime, given, expected):
    run = recorded(tmp_path, runtime)
    assert rerun_runtime(run, given, os.environ, lambda line: None) == expected


def docker_image(reference: str) -> str:
    command = ["docker", "image", "inspect", "--format", "{{.Id}}", reference]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.docker
def test_images_of_an_engine(tmp_path):
    """Named where they are not what is taken anyway; packages are in the image that has them."""
    reference = ImageSources.read("load", "cpu").reference
    image_id = docker_image(reference)
    runtime = RuntimeOptions("docker", requirements=Path("/more.txt"), extract_image="mine:1")
    said: list[str] = []

    def options(load: Mapping[str, Any], **given: Any) -> RuntimeOptions:
        run = recorded(tmp_path, runtime, load=load, extract=image("extract", "mine:1", GONE))
        return rerun_runtime(run, given, os.environ, said.append)

    assert options(image("load", reference, image_id)) == runtime
    found = options(image("load", "tf1-to-torch/load-packages:gone", image_id))
    assert found == replace(runtime, load_image=image_id, requirements=None)
    assert all(GONE in line and "stage 1" in line for line in said)
    said.clear()
    # The name is there, and stands for another one.
    assert options(image("load", reference, GONE)) == runtime
    assert any("stage 2 ran is not here" in line for line in said)
    said.clear()
    mine = {"load_image": "b:2", "extract_image": "a:1", "requirements": None}
    assert options(image("load", reference, image_id), **mine) == replace(runtime, **mine)
    assert said == []


def test_images_that_are_files(tmp_path):
    program = need_program()
    path = need_image(program)
    details = SifStore(program, os.environ).find_image(os.fspath(path))
    assert details is not None
    said: list[str] = []
    runtime = RuntimeOptions("apptainer", load_image="/elsewhere/mine.sif")
    for reference in (os.fspath(path), f"/gone/{path.name}"):
        run = recorded(tmp_path, runtime, load=image("load", reference, details.image_id))
        found = rerun_runtime(run, {}, os.environ, said.append)
        assert found == replace(runtime, load_image=os.fspath(path))
    assert said == []
    run = recorded(tmp_path, runtime, load=image("load", os.fspath(path), GONE))
    assert rerun_runtime(run, {}, os.environ, said.append) == runtime
    assert len(said) == 1
