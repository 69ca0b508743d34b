"""A network ported with one mistake: the proof fails, and names the layer and the cause.

The graph is TensorFlow's (tests/causes/graph.py); without a mistake the same module is proven, so
that each of stage_load.modules computes what TensorFlow does.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

CAUSES = Path(__file__).resolve().parents[1] / "causes"
PARITY_FAILED = 53
SAME = "TensorFlow's SAME padding with stride"
BOTH_SIDES = "on both sides of height and width"

# mistake -> (module that differs first, cause, remedy)
TOLD = {
    "strided": (
        "strided",
        f"{SAME} 2x2 pads 0 above, 1 below, 1 left, 1 right on 24x17, the module 1 and 1 "
        f"{BOTH_SIDES}",
        "Use stage_load.modules.SamePadConv2d(3, 5, 3, 2, ...)",
    ),
    "padded_before": (
        "strided",
        f"{SAME} 2x2 pads 0 above, 1 below, 1 left, 1 right on 24x17, the module is given 26x19, "
        "padded before it",
        "Use stage_load.modules.SamePadConv2d(3, 5, 3, 2, ...)",
    ),
    "even": ("even", f"{SAME} 1x1 pads 0 above, 1 below, 0 left, 1 right on 3x3", "SamePadConv2d"),
    "each": (
        "each",
        f"{SAME} 1x1 pads 1 above, 1 below, 1 left, 1 right on 7x8, the module 0 and 0 "
        f"{BOTH_SIDES}",
        "SamePadConv2d",
    ),
    "dilation": (
        "dilated",
        "the graph's convolution has dilation (2, 2), the module (1, 1)",
        "Give the module the graph's numbers",
    ),
    "up": (
        "up",
        "SAME padding of a transposed convolution with stride 2x2 takes another part",
        "Use stage_load.modules.SamePadConvTranspose2d",
    ),
    "padded": (
        "padded",
        "the graph pads 1 above, 1 below, 1 left, 1 right on 20x18, the module as SAME does",
        "Use padding=(1, 1)",
    ),
    "epsilon": (
        "norm",
        "the graph's epsilon is 0.001, the module computes with 0.01",
        "Compute with self.eps, which is set from the graph",
    ),
    "statistics": (
        "norm",
        "the graph normalises with the moving averages, the module with the batch's own",
        "Take running_mean and running_var in eval mode",
    ),
    "activation_inside": (
        "dilated",
        "the module returns the layer's result after its activation (LeakyRelu)",
        "Compute the activation outside",
    ),
    "max_pool": (
        "point",
        "MaxPool of 3x3 with stride 2x2 pads as SAME (MaxPool); the module pads 1 and 1 on both "
        "sides, ceil_mode=False",
        "Use stage_load.modules.SamePadMaxPool2d",
    ),
    "max_pool_ceil": (
        "point",
        "MaxPool of 3x3 with stride 2x2 pads as SAME (MaxPool); the module pads 0 and 0 on both "
        "sides, ceil_mode=True",
        "Use stage_load.modules.SamePadMaxPool2d",
    ),
    "average_pool": (
        "even",
        "AvgPool of 3x3 with stride 2x2 pads as SAME (AvgPool); the module pads 1 and 1 on both "
        "sides, ceil_mode=False, count_include_pad=True",
        "SamePadAvgPool2d",
    ),
    "bilinear": (
        "each",
        "ResizeBilinear has align_corners=False, half_pixel_centers=False (ResizeBilinear); the "
        "module resizes bilinear with align_corners=False, half_pixel_centers=True",
        "Use stage_load.modules.TF1Resize",
    ),
    "bilinear_corners": (
        "each",
        "the module resizes bilinear with align_corners=True, half_pixel_centers=False",
        "Use stage_load.modules.TF1Resize",
    ),
    "nearest": (
        "dilated",
        "ResizeNearestNeighbor has align_corners=True, half_pixel_centers=False "
        "(ResizeNearestNeighbor); the module resizes nearest with align_corners=False",
        "Use stage_load.modules.TF1Resize",
    ),
    "bgr": ("strided", "given images:0 with its channels reversed (BGR for RGB)", "Leave that out"),
    "scaled": ("strided", "the module is given images:0 * 0.0078431 + -1", "Leave that out"),
    "no_activation": ("up", "the graph computes LeakyRelu (LeakyRelu); the module does not", ""),
    "slope": ("up", "the module takes torch's LeakyReLU of 0.01", ""),
    "dropout": (
        "up",
        "two runs of the model on one input differ at up: dropout or noise is on",
        "Use nn.Dropout",
    ),
    "joined": (
        "padded",
        "the graph's concat joins in another order; the module joins them in the order 2, 1",
        "Join the tensors in the graph's order",
    ),
    "flatten": (
        "scores",
        "the module flattens [10, 9, 2] in the order H, W, C, its weight's columns are in the "
        "order C, H, W",
        "Flatten [N, C, H, W] as it is, without a permute",
    ),
}


@pytest.fixture(scope="module")
def right(extract_python, shared_workplace):
    """The result of the module without a mistake."""
    folder = shared_workplace.folder
    (folder / "checkpoint").mkdir()
    subprocess.run(
        [extract_python, "-W", "ignore", CAUSES / "graph.py", folder / "checkpoint"],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
        capture_output=True,
    )
    arguments = (
        "--model",
        f"{CAUSES / 'torch_net.py'}:right",
        "--runtime",
        "local",
        "--out",
        "out",
    )
    done = shared_workplace.run("checkpoint", *arguments)
    assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.fixture(scope="module")
def told(right, shared_workplace, load_many):
    """The last event of every job, by its mistake."""
    models = {name: f"{CAUSES / 'torch_net.py'}:{name}" for name in TOLD}
    return load_many(right / "export", models, shared_workplace.folder / "jobs")


def test_without_a_mistake_it_is_proven(right):
    report = json.loads((right / "report.json").read_bytes())
    assert report["reason"] == "1 output and 10 layers compared"
    assert report["parity"]["max_rel"] < 1e-5
    assert report["parity"]["causes"] == []


@pytest.mark.parametrize("mistake", TOLD)
def test_a_mistake_is_told_by_its_layer_and_cause(told, mistake):
    module, cause, remedy = TOLD[mistake]
    result = told[mistake]["result"]
    assert result["verdict"] == "failed"
    assert result["parity"]["first_differing_layer"]["module"] == module
    [found] = result["causes"]
    assert cause in found
    assert remedy in found
    assert not found.startswith("perhaps")


def test_the_command_line_and_the_report_tell_the_cause(right, shared_workplace):
    model = f"{CAUSES / 'torch_net.py'}:strided"
    done = shared_workplace.run(
        "load", right / "export", "--model", model, "--runtime", "local", "--out", "wrong"
    )
    assert done.returncode == PARITY_FAILED
    assert "stage_load.modules.SamePadConv2d(3, 5, 3, 2, ...)" in " ".join(done.stdout.split())
    report = json.loads((shared_workplace.folder / "wrong" / "report.json").read_bytes())
    assert "cause: TensorFlow's SAME padding" in report["reason"]
    [cause] = report["parity"]["causes"]
    assert (cause["kind"], cause["where"], cause["is_certain"]) == ("padding", "strided", True)
