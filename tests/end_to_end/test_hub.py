"""A checkpoint, converted, archived and shared: the real huggingface_hub computes the same."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.environments import Recipe, make_environment, recipe_for
from orchestration.settings import RuntimeOptions
from tests.end_to_end.conftest import Workplace
from tests.end_to_end.test_transfer import REPOSITORY, TENSORFLOW

READER = REPOSITORY / "tests" / "end_to_end" / "hub_reader.py"
# Its batch norm has torch's epsilon; TensorFlow's is 1e-3.
MODEL = """
from torch import nn


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8), nn.Conv2d(8, width, 3), nn.ReLU()
        )
        self.head = nn.Linear(width, 9)

    def forward(self, x):
        return self.head(self.encoder(x).mean((2, 3)))
"""


@pytest.fixture(scope="session")
def hub_python() -> Path:
    """CPython 3.11 with torch and huggingface_hub: the environment of stage 2's own tests."""
    lock = REPOSITORY / "tests" / "requirements-load.txt"
    recipe = Recipe("load", lock, recipe_for("load", "cpu").extra_index)
    return make_environment(recipe, RuntimeOptions(), os.environ, lambda line: None)


@pytest.fixture
def read(hub_python: Path, tmp_path: Path) -> Callable[..., str]:
    """Run hub_reader.py, outside of the repository; with its packages only where that is said."""

    def run(*arguments: str | Path, with_program: bool = False) -> str:
        more = {"PYTHONPATH": os.fspath(REPOSITORY)} if with_program else {}
        command = [hub_python, READER, *arguments]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", **more}
        told = subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return told.stdout

    return run


def test_what_is_shared_computes_what_the_archive_computes(
    workplace: Workplace, extract_python: Path, load_python: Path, read: Callable[..., str]
) -> None:
    folder = workplace.folder
    (folder / "ckpt").mkdir()
    command = [extract_python, "-W", "ignore", "-c", TENSORFLOW, folder / "ckpt" / "model"]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "net.py").write_text(MODEL)
    model = ("--model", "net.py:Net", "--model-arg", "width=6")
    for arguments in (
        ("ckpt", *model, "--runtime", "local", "--out", "out"),
        ("archive", "out", "--bag", "x.bag", "--license", "CC-BY-4.0", "--without-program"),
        ("export", "x.bag", "--to", "huggingface", "--out", "shared"),
    ):
        done = workplace.run(*arguments)
        assert done.returncode == 0, done.stderr
    size = json.dumps([2, 3, 12, 10])
    read("load", folder / "x.bag", size, folder / "expected", with_program=True)
    read("hub", folder / "shared", size, folder / "found")
    assert (folder / "found").read_bytes() == (folder / "expected").read_bytes()
    card = json.loads(read("card", folder / "shared"))
    assert card["data"] == {
        "license": "cc-by-4.0",
        "library_name": "pytorch",
        "tags": [
            "model_hub_mixin",
            "pytorch_model_hub_mixin",
            "tensorflow-1",
            "tf1-to-torch",
            "proven",
        ],
    }
    manifest = workplace.manifest("out")
    worst = manifest["verdict"]["worst"]
    assert f"| {worst['max_rel']:.2g} |" in card["text"]
    for entry in manifest["inputs"][0]["files"]:
        assert entry["sha256"] in card["text"]
    assert os.fspath(folder) not in card["text"]
