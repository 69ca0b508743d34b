"""UNets saved by TensorFlow 1.15, through both runtimes: proven, and equal to the byte."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PROVEN = [
    pytest.param("upconvcat", id="nearest-then-convolution-then-concat"),
    pytest.param("upconvcat_batch_norm_adam", id="the-same-with-batch-norm-and-adam"),
    pytest.param("paper_valid", id="transposed-valid-cropped-dropout"),
    pytest.param("two_levels", id="two-levels"),
    pytest.param("five_levels", id="five-levels"),
    pytest.param("cond_batch_norm", id="batch-norm-under-a-condition"),
]
RESULT_FILES = {
    "config.json",
    "export",
    "manifest.json",
    "mapping.csv",
    "model.safetensors",
    "report.html",
    "report.json",
}
APPLY = """
import sys, torch
from stage_load import load_model
torch.manual_seed(0)
model = load_model(sys.argv[1])
assert isinstance(model, torch.nn.Module) and not model.training
print(sum(parameter.numel() for parameter in model.parameters()))
"""


@pytest.mark.parametrize("name", PROVEN)
def test_a_unet_is_converted_and_proven(workplace, zoo, runtime, name):
    done = workplace.run(zoo(name), "--model", "unet", "--runtime", runtime, "--out", "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PROVEN  out\n")
    assert {path.name for path in (workplace.folder / "out").iterdir()} == RESULT_FILES
    report = json.loads((workplace.folder / "out" / "report.json").read_bytes())
    parity = workplace.manifest("out")["load"]["result"]["parity"]
    assert parity["max_rel"] < 1e-4
    assert parity["compared_layers"] == len(report["parity"]["layers"]) > 0
    assert parity["compared_outputs"] == 1


@pytest.mark.docker
@pytest.mark.parametrize("name", [*PROVEN, pytest.param("bare", id="bare")])
def test_both_runtimes_write_the_same_bytes(workplace, zoo, load_python, name):
    for runtime in ("local", "docker"):
        workplace.run(zoo(name), "--model", "unet", "--runtime", runtime, "--out", runtime)
    for file in ("model.safetensors", "export/variables.safetensors", "export/graph.json"):
        local, docker = (workplace.folder / name / file for name in ("local", "docker"))
        assert local.read_bytes() == docker.read_bytes(), file


def test_without_a_graph_the_result_is_unproven_and_says_so(workplace, zoo, runtime):
    done = workplace.run(zoo("bare"), "--model", "unet", "--runtime", runtime, "--out", "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("UNPROVEN  out\n")
    result = workplace.manifest("out")["load"]["result"]
    assert result["verdict"] == "unproven"
    assert ".meta" in result["reason"]


def test_a_result_loads_without_tensorflow_and_the_orchestrator(workplace, zoo, load_python):
    workplace.run(zoo("two_levels"), "--model", "unet", "--runtime", "local", "--out", "out")
    program = [load_python, "-c", APPLY, workplace.folder / "out"]
    shown = subprocess.check_output(program, cwd=REPOSITORY, text=True)
    assert int(shown) == workplace.manifest("out")["load"]["result"]["parameters"]


@pytest.mark.parametrize(
    ("name", "node"),
    [
        pytest.param("residual_addition", "down0/add", id="residual-addition"),
        pytest.param("skip_after_pooling", "up1/concat", id="skip-taken-after-pooling"),
    ],
)
def test_what_is_no_unet_is_refused_at_its_first_operation(workplace, zoo, load_python, name, node):
    done = workplace.run(zoo(name), "--model", "unet", "--runtime", "local")
    assert done.returncode == 51
    assert node in done.stderr
    assert workplace.names() == []
