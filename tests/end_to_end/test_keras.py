"""Files of Keras, from HDF5 to torch: whole models proven, weights alone into a user's module."""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SAVE = """
import sys
from tests.extract.formats import keras_files
keras_files.save(sys.argv[2], getattr(keras_files, sys.argv[1]), whole=sys.argv[3] == "whole")
"""
OWN_MODULE = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 5, 3, stride=2)
        self.norm = torch.nn.BatchNorm2d(5, eps=1e-3)
        self.last = torch.nn.Conv2d(5, 4, 1)

    def forward(self, x):
        return self.last(self.norm(self.conv(x)))
"""


@pytest.fixture
def save_keras(extract_python: Path, workplace) -> Callable[..., Path]:
    """`save_keras(name, kind)`: a file that Keras of TensorFlow 1.15 wrote."""

    def save(name: str, kind: str) -> Path:
        path = workplace.folder / f"{name}.h5"
        environment = {**os.environ, "PYTHONPATH": os.fspath(REPOSITORY)}
        command = [extract_python, "-W", "ignore", "-c", SAVE, name, path, kind]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        return path

    return save


def test_a_whole_unet_is_converted_and_proven(workplace, save_keras, load_python):
    path = save_keras("unet", "whole")
    done = workplace.run(path, "--model", "unet", "--runtime", "local", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PROVEN  out\n")
    parity = workplace.manifest("out")["load"]["result"]["parity"]
    assert parity["max_rel"] < 1e-4
    assert parity["compared_outputs"] == 1
    with zipfile.ZipFile(workplace.folder / "mail.zip", "w") as archive:
        archive.write(path, "model/unet.h5")
    done = workplace.run("mail.zip", "--model", "unet", "--runtime", "local", "--out", "unpacked")
    assert done.stdout.startswith("PROVEN  unpacked\n"), done.stderr
    ours, theirs = (workplace.folder / name / "model.safetensors" for name in ("out", "unpacked"))
    assert ours.read_bytes() == theirs.read_bytes()


def test_weights_alone_go_into_a_module_of_the_user(workplace, save_keras, load_python):
    path = save_keras("small", "weights")
    (workplace.folder / "net.py").write_text(OWN_MODULE)
    done = workplace.run(path, "--model", "net.py:Net", "--runtime", "local", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("UNPROVEN  out\n")
    result = workplace.manifest("out")["load"]["result"]
    assert "weights alone" in result["reason"]
    rows = (workplace.folder / "out" / "mapping.csv").read_text("utf-8")
    assert "conv2d/kernel" in rows
    assert "conv.weight" in rows
