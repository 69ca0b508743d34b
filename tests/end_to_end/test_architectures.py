"""TensorFlow's own architectures, each into a torch module with other names and another order.

Neither a rule nor a mapping is given. The modules are in tests/architectures/torch_*.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ARCHITECTURES = Path(__file__).resolve().parents[1] / "architectures"
MODELS = {
    "alexnet_v2": "AlexNet",
    "densenet121": "DenseNet",
    "inception_v1": "InceptionV1",
    "inception_v3": "InceptionV3",
    "mobilenet_v2": "MobileNetV2",
    "resnet50": "ResNet50",
    "resnet_v1_50": "ResNetV1",
    "resnet_v2_50": "ResNetV2",
    "vgg_16": "VGG16",
    "xception": "Xception",
}


@pytest.fixture(scope="module")
def checkpoints(
    extract_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Path]]:
    """Folder of each network's checkpoint, all made by one process."""
    root = tmp_path_factory.mktemp("architectures")
    command = [extract_python, "-W", "ignore", ARCHITECTURES / "build.py", root, *MODELS]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    yield lambda name: root / name
    shutil.rmtree(root, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_matched_and_proven(workplace, checkpoints, load_python, name):
    model = f"{ARCHITECTURES / f'torch_{name}.py'}:{MODELS[name]}"
    checkpoint = checkpoints(name)
    done = workplace.run(checkpoint, "--model", model, "--runtime", "local", "--out", "out")
    assert done.returncode == 0, done.stderr
    report = json.loads((workplace.folder / "out" / "report.json").read_bytes())
    assert report["verdict"] == "proven"
    assert report["parity"]["max_rel"] < 1e-4
    assert report["parity"]["compared_layers"] == report["coverage"]["layers"]
    assert report["parity"]["compared_outputs"] >= 1
    assert report["coverage"]["variables_loaded"] == report["coverage"]["variables"]
    shutil.rmtree(workplace.folder)
