"""Recorded runs of real models, repeated where nothing but what the manifest names is left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.recorded_run import RecordedRun
from tests.manifest_schema import checked_manifest

TENSORFLOW = """
import sys
import numpy as np
import tensorflow.compat.v1 as tf

x = tf.placeholder(tf.float32, [None, 12, 10, 3], "x")
y = tf.nn.relu(tf.layers.conv2d(x, 8, 3, name="stem"))
y = tf.nn.relu(tf.layers.conv2d(y, 6, 5, name="deep"))
y = tf.layers.dense(tf.reduce_mean(y, [1, 2]), 9, name="logits")
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for number, variable in enumerate(tf.global_variables()):
        value = np.random.RandomState(number).uniform(-0.5, 0.5, variable.shape)
        session.run(variable.assign(value))
    tf.train.Saver().save(session, sys.argv[1], global_step=20)
    tf.train.Saver().save(session, sys.argv[1], global_step=30)
"""
PARTS = """
from torch import nn


def encoder(widths):
    first, second = widths
    return nn.Sequential(nn.Conv2d(3, first, 3), nn.ReLU(), nn.Conv2d(first, second, 5), nn.ReLU())
"""
MODEL = """
from torch import nn

from {parts} import encoder


class Net(nn.Module):
    def __init__(self, widths, classes=9):
        super().__init__()
        self.encoder = encoder(widths)
        self.logits = nn.Linear(widths[1], classes)

    def forward(self, x):
        return self.logits(self.encoder(x).mean((2, 3)))
"""
ARGUMENTS = ("--model-arg", "widths=[8,6]", "--freeze", r"encoder\.0\..*", "--seed", "11")


@pytest.fixture(scope="module")
def trained(extract_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with two steps of a checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    command = [extract_python, "-W", "ignore", "-c", TENSORFLOW, folder / "model"]
    subprocess.run(command, check=True, capture_output=True)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def lab(workplace: Any, trained: Path, load_python: Path) -> Any:
    """A workplace with the checkpoint, a data shard elsewhere, and a module in two ways."""
    folder = workplace.folder
    shutil.copytree(trained, folder / "ckpt")
    (folder / "disk").mkdir()
    shard = "model-20.data-00000-of-00001"
    shutil.move(folder / "ckpt" / shard, folder / "disk" / shard)
    (folder / "own").mkdir()
    (folder / "own" / "parts.py").write_text(PARTS)
    (folder / "own" / "net.py").write_text(MODEL.format(parts="parts"))
    (folder / "own" / "unused.py").write_text("nobody imports this")
    (folder / "mypkg" / "nets").mkdir(parents=True)
    for name in ("__init__.py", "nets/__init__.py"):
        (folder / "mypkg" / name).touch()
    (folder / "mypkg" / "parts.py").write_text(PARTS)
    (folder / "mypkg" / "nets" / "small.py").write_text(MODEL.format(parts="mypkg.parts"))
    return workplace


def put_away(folder: Path, out: Path) -> list[str | Path]:
    """Move a result, and what its manifest says was read, to another place; remove all else.

    Returns:
        The arguments that repeat the run.
    """
    run, kept = RecordedRun.read(out), folder.parent / "kept"
    arguments: list[str | Path] = ["rerun", kept / "result"]
    for one in run.inputs:
        place = kept / "given" / one.role
        for entry in one.files:
            target = place / entry["name"]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(one.folder / entry["name"], target)
        is_converted = one.role in ("checkpoint", "export")
        arguments += ["--checkpoint", place] if is_converted else ["--moved", f"{one.role}={place}"]
    shutil.move(out, kept / "result")
    for path in folder.iterdir():
        shutil.rmtree(path)
    return arguments


CONVERSIONS = [
    pytest.param(
        ("ckpt", "--step", "20", "--data-folder", "disk", "--model", "own/net.py:Net", *ARGUMENTS),
        {
            "checkpoint": {"model-20.index", "model-20.meta"},
            "data": {"model-20.data-00000-of-00001"},
            "model": {"net.py", "parts.py"},
        },
        id="file-and-shards-elsewhere",
    ),
    pytest.param(
        ("ckpt/model-30", "--model", "mypkg.nets.small:Net", *ARGUMENTS),
        {
            "checkpoint": {f"model-30.{end}" for end in ("index", "meta", "data-00000-of-00001")},
            "model": {
                *("mypkg/__init__.py", "mypkg/parts.py"),
                *("mypkg/nets/__init__.py", "mypkg/nets/small.py"),
            },
        },
        id="package",
    ),
]


def read(manifest: dict[str, Any]) -> dict[str, set[str]]:
    return {one["role"]: {entry["name"] for entry in one["files"]} for one in manifest["inputs"]}


@pytest.mark.parametrize(("arguments", "expected"), CONVERSIONS)
def test_what_the_manifest_names_is_enough(
    lab: Any, arguments: tuple[str, ...], expected: dict[str, set[str]]
) -> None:
    done = lab.run(*arguments, "--runtime", "local", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PROVEN")
    assert read(lab.manifest("out")) == expected
    done = lab.run(*put_away(lab.folder, lab.folder / "out"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("REPRODUCED  result-rerun\n")
    assert "model_source/" in done.stdout


def test_a_load_with_a_mapping_by_hand(lab: Any) -> None:
    lab.run("extract", "ckpt/model-30", "--runtime", "local", "--out", "export")
    options = ("--model", "own/net.py:Net", *ARGUMENTS[:2], "--runtime", "local")
    lab.run("load", "export", *options, "--out", "first")
    (lab.folder / "maps").mkdir()
    shutil.copyfile(lab.folder / "first" / "mapping.csv", lab.folder / "maps" / "by hand.csv")
    done = lab.run("load", "export", *options, "--map", "maps/by hand.csv", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert read(lab.manifest("out")) == {
        "export": {"graph.json", "reference.safetensors", "variables.safetensors"},
        "map": {"by hand.csv"},
        "model": {"net.py", "parts.py"},
    }
    # A module that was edited since is not the one that was read.
    (lab.folder / "own" / "parts.py").write_text(PARTS.replace("nn.ReLU()", "nn.Identity()"))
    done = lab.run("rerun", "out", "--out", "again")
    assert (done.returncode, "own/parts.py" in done.stderr) == (79, True)
    (lab.folder / "own" / "parts.py").write_text(PARTS)
    done = lab.run(*put_away(lab.folder, lab.folder / "out"))
    assert done.returncode == 0, done.stderr


@pytest.mark.docker
def test_the_recorded_image_is_asked_for_by_its_id(lab: Any) -> None:
    """Its name may stand for another one by now, or for none."""
    name = f"tf1-to-torch-test:{os.urandom(6).hex()}"
    image = _docker("images", "--no-trunc", "--quiet", "tf1-to-torch/load").split()[0]
    _docker("tag", image, name)
    try:
        options = ("--model", "own/net.py:Net", *ARGUMENTS, "--image-load", name)
        done = lab.run("ckpt/model-30", *options, "--runtime", "docker", "--out", "out")
        assert done.returncode == 0, done.stderr
    finally:
        _docker("rmi", name)
    done = lab.run("rerun", "out", "--out", "again")
    assert done.returncode == 0, done.stderr
    assert "is not here" not in done.stderr
    assert lab.manifest("again")["load"]["image"]["id"] == image
    # One that is nowhere is told, and what is used in its place.
    path = lab.folder / "out" / "manifest.json"
    manifest = json.loads(path.read_bytes())
    gone = f"sha256:{'0' * 64}"
    manifest["load"]["image"] |= {"id": gone, "reference": "gone:1"}
    manifest["settings"]["runtime"]["load_image"] = None
    path.write_text(json.dumps(manifest))
    done = lab.run("rerun", "out", "--out", "third")
    assert done.returncode == 0, done.stderr
    assert f"The image in which stage 2 ran is not here (gone:1, {gone})" in done.stderr
    other = checked_manifest(lab.folder / "third")["load"]["image"]["id"]
    assert f"image of stage 2 ({other}, recorded was {gone})" in done.stdout


def _docker(*arguments: str) -> str:
    return subprocess.run(
        ["docker", *arguments], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
