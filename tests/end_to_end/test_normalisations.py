"""Small networks of every normalisation, each into a torch module with torch's own defaults.

Neither a rule nor a mapping is given. The networks are in tests/normalisations.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

NETWORKS = Path(__file__).resolve().parents[1] / "normalisations"
MODELS = {
    "layer_norms": "LayerNorms",
    "attention": "Attention",
    "image_norms": "ImageNorms",
    "images_channels_first": "ImagesChannelsFirst",
    "rectifiers": "Rectifiers",
    "batch_norms": "BatchNorms",
    "tied": "Tied",
    "folded": "Folded",
}
# Batch renorm's own statistics change nothing but the training; the others are folded.
UNREAD = {"batch_norms": 3, "folded": 7}


@pytest.fixture(scope="module")
def checkpoints(extract_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of all checkpoints, made by one process."""
    root = tmp_path_factory.mktemp("normalisations")
    command = [extract_python, "-W", "ignore", NETWORKS / "build.py", root]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_matched_and_proven(workplace, checkpoints, load_python, name):
    model = f"{NETWORKS / 'torch_networks.py'}:{MODELS[name]}"
    done = workplace.run(checkpoints / name, "--model", model, "--runtime", "local", "--out", "out")
    assert done.returncode == 0, done.stderr
    report = json.loads((workplace.folder / "out" / "report.json").read_bytes())
    coverage, parity = report["coverage"], report["parity"]
    assert report["verdict"] == "proven"
    assert parity["max_rel"] < 1e-4
    assert parity["compared_layers"] == coverage["layers"]
    assert coverage["variables_loaded"] == coverage["variables"] - UNREAD.get(name, 0)
    shutil.rmtree(workplace.folder)
