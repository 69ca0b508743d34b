"""What each stage gets to see, and the job lines that it reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestration.own_code import code_sha256, model_file, package_folder
from orchestration.run_paths import find_checkpoint
from orchestration.runtimes.base import Mount
from orchestration.settings import ExtractOptions, LoadOptions, RuntimeOptions, TransferOptions
from orchestration.stage_specs import (
    check_job,
    extract_job,
    extract_spec,
    load_job,
    load_spec,
)


class Host:
    """A process that sees the host's paths."""

    def path(self, host_path: Path) -> str:
        return os.fspath(host_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.ckpt.index").write_text("")
    (tmp_path / "net.py").write_text("")
    (tmp_path / "edited.csv").write_text("")
    return tmp_path


def test_stage_1(folder):
    checkpoint, out = find_checkpoint(folder / "model.ckpt"), folder / "out"
    options = RuntimeOptions(memory_limit_bytes=1 << 30, device="cuda:1")
    extraction = ExtractOptions(
        step=5, inputs=("x:0",), input_shapes={"x:0": (1, 2)}, seed=9, tags=("serve",)
    )
    spec = extract_spec(checkpoint, out, extraction, options, (3,))
    assert spec.mounts == (Mount(folder, "/in", True), Mount(out, "/out", False))
    assert (spec.stage, spec.device, spec.memory_limit_bytes) == ("extract", "cpu", 1 << 30)
    assert spec.keep_open == (3,)
    assert spec.environment["CUDA_VISIBLE_DEVICES"] == ""
    assert extract_job("extract", Host(), checkpoint, out, extraction) == {
        "job": "extract",
        "command": "extract",
        "checkpoint": str(folder / "model.ckpt"),
        "out": str(out),
        "options": {
            "step": 5,
            "keep_optimizer": False,
            "inputs": ["x:0"],
            "outputs": [],
            "input_shapes": {"x:0": [1, 2]},
            "reference": True,
            "reference_mb": 256,
            "seed": 9,
            "reader": "auto",
            "prefer_ema": False,
            "tags": ["serve"],
            "signature": None,
            "checkpoint_format": None,
            "data_folder": None,
        },
    }


class Container:
    """A process that sees each mount under its target."""

    def __init__(self, mounts: tuple[Mount, ...]) -> None:
        self._targets = {mount.source: mount.target for mount in mounts}

    def path(self, host_path: Path) -> str:
        return self._targets.get(host_path) or f"{self.path(host_path.parent)}/{host_path.name}"


def test_a_data_folder_is_mounted_and_named_as_the_stage_sees_it(folder):
    shards = folder.with_name("shards")
    shards.mkdir()
    checkpoint, extraction = (
        find_checkpoint(folder / "model.ckpt"),
        ExtractOptions(data_folder=shards),
    )
    spec = extract_spec(checkpoint, None, extraction, RuntimeOptions(), ())
    assert spec.mounts == (Mount(folder, "/in", True), Mount(shards, "/data", True))
    job = extract_job("inspect", Container(spec.mounts), checkpoint, None, extraction)
    assert (job["checkpoint"], job["options"]["data_folder"]) == ("/in/model.ckpt", "/data")


@pytest.mark.parametrize(
    ("reader", "home", "arguments", "imports"),
    [
        pytest.param("tf", None, ("--reader", "tf"), "TensorFlow", id="tf"),
        pytest.param("both", None, ("--reader", "both"), "TensorFlow", id="both"),
        pytest.param("pure", "load", ("--reader", "pure"), "numpy", id="pure"),
    ],
)
def test_stage_1_runs_where_its_reader_can(folder, reader, home, arguments, imports):
    extraction = ExtractOptions(reader=reader)
    spec = extract_spec(find_checkpoint(folder), None, extraction, RuntimeOptions(), ())
    assert (spec.stage, spec.home, spec.arguments) == ("extract", home, arguments)
    assert spec.imports == imports


def test_an_inspection_has_nowhere_to_write(folder):
    checkpoint = find_checkpoint(folder)
    spec = extract_spec(checkpoint, None, ExtractOptions(), RuntimeOptions(), ())
    assert spec.mounts == (Mount(folder, "/in", True),)
    assert "out" not in extract_job("inspect", Host(), checkpoint, None, ExtractOptions())


def test_stage_2_sees_map_and_model_and_the_deepest_mount_comes_last(folder):
    # The result lies below the folder of the map: found there, it would be read-only.
    load = LoadOptions(
        f"{folder}/net.py:Net",
        {"classes": 3},
        map=folder / "edited.csv",
        tolerance=0.5,
        transfer=TransferOptions(
            rules=(r"(.*)/kernel -> \1.weight",),
            allow_missing=("head.*",),
            allow_unused=("logits.*", "aux.*"),
            adapt=("stem.weight",),
            freeze=("encoder.*",),
            dtype="bfloat16",
        ),
    )
    export, out = folder / ".x" / "export", folder / ".x" / "result"
    spec = load_spec(export, out, load, RuntimeOptions(device="cuda:1"), ())
    assert spec.mounts == (
        Mount(folder, "/map", True),
        Mount(folder, "/model", True),
        Mount(export, "/export", True),
        Mount(out, "/out", False),
    )
    assert spec.device == "cuda:1"
    assert "CUDA_VISIBLE_DEVICES" not in spec.environment
    options = {
        "model": f"{folder}/net.py:Net",
        "model_folder": None,
        "model_args": {"classes": 3},
        "device": "cuda:1",
        "map": str(folder / "edited.csv"),
        "tolerance": 0.5,
        "prove": True,
        "rules": [r"(.*)/kernel -> \1.weight"],
        "allow_missing": ["head.*"],
        "allow_unused": ["logits.*", "aux.*"],
        "adapt": ["stem.weight"],
        "freeze": ["encoder.*"],
        "dtype": "bfloat16",
    }
    checking = check_job(Host(), load, "cuda:1")
    assert checking == {"job": "check", "command": "check", "options": options}
    assert load_job(Host(), export, out, load, "cuda:1") == {
        "job": "load",
        "command": "load",
        "export": str(export),
        "out": str(out),
        "options": options,
    }


def test_on_the_cpu_cards_are_hidden(folder):
    spec = load_spec(folder, folder, LoadOptions("unet"), RuntimeOptions(device="cpu"), ())
    assert spec.environment["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param("unet", None, id="name"),
        pytest.param("package.module:Class", None, id="module"),
        pytest.param("/a/net.py:Net", Path("/a/net.py"), id="file"),
        pytest.param("/a:b/net.py:Net", Path("/a:b/net.py"), id="colon-in-the-path"),
    ],
)
def test_a_model_may_be_a_file(model, expected):
    assert model_file(model) == expected


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a package and a module."""
    folder = tmp_path / "pro ject"
    (folder / "mypkg" / "deep").mkdir(parents=True)
    (folder / "data").mkdir()
    for name in ("mypkg/__init__.py", "mypkg/nets.py", "mypkg/deep/layers.py", "single.py"):
        (folder / name).write_text(name)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("model", "is_here"),
    [
        pytest.param("mypkg.nets:Net", True, id="package"),
        pytest.param("mypkg:Net", True, id="package-itself"),
        pytest.param("single:Net", True, id="module"),
        pytest.param("torchvision.models:resnet18", False, id="installed"),
        # A folder without Python files is no package, whatever its name.
        pytest.param("data.nets:Net", False, id="data"),
        pytest.param("unet", False, id="name"),
        pytest.param("..mypkg:Net", False, id="relative"),
    ],
)
def test_a_package_in_a_folder(project, model, is_here):
    assert package_folder(model, Path.cwd()) == (project if is_here else None)
    assert package_folder(model, None) is None
    assert (code_sha256(model, Path.cwd()) is not None) is is_here


def test_stage_2_sees_the_folder_of_a_package(project):
    load = LoadOptions("mypkg.nets:Net", model_folder=Path.cwd())
    export, out = project / ".x" / "export", project / ".x" / "result"
    spec = load_spec(export, out, load, RuntimeOptions(), ())
    assert spec.mounts == (
        Mount(project, "/model", True),
        Mount(export, "/export", True),
        Mount(out, "/out", False),
    )
    options = check_job(Host(), load, "cpu")["options"]
    assert (options["model"], options["model_folder"]) == ("mypkg.nets:Net", str(project))


def test_a_change_anywhere_in_a_package_is_another_model(project):
    before = code_sha256("mypkg.nets:Net", Path.cwd())
    (project / "single.py").write_text("changed")
    assert code_sha256("mypkg.nets:Net", Path.cwd()) == before
    (project / "mypkg" / "deep" / "layers.py").write_text("changed")
    assert code_sha256("mypkg.nets:Net", Path.cwd()) != before
