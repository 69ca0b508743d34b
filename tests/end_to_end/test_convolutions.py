"""Convolutions over one and three axes, separable and grouped ones: TensorFlow's into torch's.

Neither a rule nor a mapping is given. The networks are in tests/convolutions/.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

NETWORKS = Path(__file__).resolve().parents[1] / "convolutions"
NAMES = (
    "channels_first",
    "own_kernels",
    "separable",
    "sequence_classifier",
    "sequence_to_sequence",
    "shared_kernel",
    "volumes",
)


@pytest.fixture(scope="module")
def checkpoints(
    extract_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Path]]:
    """Folder of each network's checkpoint, all made by one process."""
    root = tmp_path_factory.mktemp("convolutions")
    command = [extract_python, "-W", "ignore", NETWORKS / "build.py", root, *NAMES]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    yield lambda name: root / name
    shutil.rmtree(root, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "module", "axes", "not_compared"),
    [
        pytest.param("sequence_classifier", "SequenceClassifier", ["NCW", None], 0, id="conv1d"),
        pytest.param(
            "sequence_to_sequence", "SequenceToSequence", ["NCW", "NCW"], 0, id="conv1d-transpose"
        ),
        pytest.param("sequence_to_sequence", "Rows", ["NWC", None], 0, id="conv1d-channels-last"),
        pytest.param("volumes", "Volumes", ["NCDHW", "NCDHW", None], 0, id="conv3d"),
        pytest.param(
            "channels_first", "ChannelsFirst", ["NCHW", "NCHW", None], 0, id="channels-first"
        ),
        pytest.param("separable", "Separable", ["NCHW", "NCHW"], 0, id="separable"),
        pytest.param("shared_kernel", "SharedKernel", ["NCHW", "NCHW"], 0, id="grouped-one-kernel"),
        # The result of a module is that of no single layer.
        pytest.param(
            "shared_kernel", "SharedKernelApart", ["NCHW", "NCHW"], 1, id="grouped-one-kernel-apart"
        ),
        pytest.param(
            "own_kernels", "OwnKernelsGrouped", ["NCHW", "NCHW"], 3, id="grouped-own-kernels"
        ),
        pytest.param("own_kernels", "OwnKernelsApart", ["NCHW", "NCHW"], 0, id="branches-apart"),
    ],
)
def test_matched_and_proven(workplace, checkpoints, load_python, name, module, axes, not_compared):
    model = f"{NETWORKS / 'torch_networks.py'}:{module}"
    done = workplace.run(checkpoints(name), "--model", model, "--runtime", "local", "--out", "out")
    assert done.returncode == 0, done.stderr
    report = json.loads((workplace.folder / "out" / "report.json").read_bytes())
    assert report["verdict"] == "proven"
    assert report["parity"]["max_rel"] < 1e-4
    compared = report["coverage"]["layers"] - not_compared
    assert report["parity"]["compared_layers"] == compared
    assert report["coverage"]["variables_loaded"] == report["coverage"]["variables"]
    config = json.loads((workplace.folder / "out" / "config.json").read_bytes())
    found = [end["torch_axes"] for end in (*config["inputs"], *config["outputs"])]
    assert found == axes
