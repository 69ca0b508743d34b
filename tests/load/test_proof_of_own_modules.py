"""The proof on modules as people write them: cropped, joined, shared, without effect."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.load.export_maker import ExportMaker
from tests.load.networks import to_tf, write_model

RANDOM = np.random.default_rng(11)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def run(load, tmp_path, maker, body, **options):
    source = "import torch\nfrom torch import nn\nfrom torch.nn import functional\n\n\n" + body
    model = f"{write_model(tmp_path, source)}:Net"
    result, out = load(maker.write(tmp_path / "export"), model, **options)
    return result, json.loads((out / "report.json").read_text()), out


def transposed_same():
    """A transposed convolution, SAME, stride 2, kernel 3: torch computes a row and column more."""
    kernel, bias, x = normal(3, 3, 4, 2), normal(4), normal(2, 5, 6, 2)
    weight = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
    image = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    whole = functional.conv_transpose2d(image, weight, torch.from_numpy(bias), stride=2)
    maker = ExportMaker()
    arrays = {"kernel": kernel, "bias": bias}
    maker.layer("conv2d_transpose", "up", arrays, output=to_tf(whole[:, :, :10, :12]))
    maker.input("x:0", x)
    maker.output("y:0", to_tf(whole[:, :, :10, :12].relu()))
    return maker


CROPPED = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(2, 4, 3, stride=2)

    def forward(self, x):
        return functional.relu(self.up(x)[CUT])
"""
SHAPES = "shape [2, 11, 13, 4] in torch, [2, 10, 12, 4] in TensorFlow"


def test_a_module_that_is_cropped_afterwards_is_proven_by_the_output(load, tmp_path):
    body = CROPPED.replace("CUT", ":, :, :10, :12")
    result, report, _ = run(load, tmp_path, transposed_same(), body)
    assert result["verdict"] == "proven"
    assert result["reason"] == "1 output and 0 layers compared; 1 layer not compared"
    assert report["parity"]["left_out"] == [{"layer": 0, "name": "up", "reason": SHAPES}]


def test_cropped_on_the_wrong_side_it_is_the_first_that_differs(load, tmp_path):
    body = CROPPED.replace("CUT", ":, :, 1:, 1:")
    result, _, _ = run(load, tmp_path, transposed_same(), body)
    assert result["verdict"] == "failed"
    assert result["reason"] == f"layer 0 (up, module up) is the first that differs: {SHAPES}"


THREE = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(2, 4, 3, stride=2)
        self.second = nn.Conv2d(4, 3, 1, bias=False)
        self.third = nn.Conv2d(3, 3, 1, bias=False)

    def forward(self, x):
        return self.third(self.second(self.up(x)[:, :, :10, :12]) + ADDED)
"""


@pytest.mark.parametrize(
    ("added", "verdict", "reason"),
    [
        pytest.param("0", "proven", "1 output and 2 layers compared; 1 layer", id="right"),
        pytest.param("1", "failed", "layer 2 (third, module third) is the first", id="wrong-later"),
    ],
)
def test_a_crop_does_not_hide_a_later_difference(load, tmp_path, added, verdict, reason):
    maker = transposed_same()
    up = maker.layer_outputs[0]
    kernels = normal(1, 1, 4, 3), normal(1, 1, 3, 3)
    second = up @ kernels[0][0, 0]
    third = second @ kernels[1][0, 0]
    maker.layer("conv2d", "second", {"kernel": kernels[0]}, output=second)
    maker.layer("conv2d", "third", {"kernel": kernels[1]}, output=third)
    maker.reference_outputs["y:0"] = third
    result, _, _ = run(load, tmp_path, maker, THREE.replace("ADDED", added))
    assert result["verdict"] == verdict
    assert result["reason"].startswith(reason)


def siamese():
    kernel, bias = normal(3, 4), normal(4)
    left, right = normal(5, 3), normal(5, 3)
    a, b = left @ kernel + bias, right @ kernel + bias
    maker = ExportMaker()
    maker.layer("dense", "tower", {"kernel": kernel, "bias": bias}, output=a)
    maker.layer("dense", "tower_1", {"kernel": "tower/kernel", "bias": "tower/bias"}, output=b)
    maker.input("left:0", left)
    maker.input("right:0", right)
    maker.output("y:0", a - 2 * b)
    return maker


TOWER = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.tower = nn.Linear(3, 4)

    def forward(self, left, right):
        RUN
        return a - 2 * b
"""


@pytest.mark.parametrize(
    ("steps", "verdict", "reason"),
    [
        pytest.param(
            "b = self.tower(right); a = self.tower(left)",
            "proven",
            "1 output and 2 layers compared",
            id="the-second-tower-first",
        ),
        pytest.param(
            "a, b = self.tower(torch.cat([left, right])).chunk(2)",
            "proven",
            "1 output and 0 layers compared; 2 layers not compared",
            id="both-towers-in-one-batch",
        ),
        pytest.param(
            "a = self.tower(left); b = self.tower(left)",
            "failed",
            "layer 1 (tower_1, module tower) is the first that differs",
            id="one-tower-twice",
        ),
    ],
)
def test_the_calls_of_a_shared_module(load, tmp_path, steps, verdict, reason):
    result, _, _ = run(load, tmp_path, siamese(), TOWER.replace("RUN", steps))
    assert result["verdict"] == verdict
    assert result["reason"].startswith(reason)


def dead(last):
    """The second layer sees nothing but zeros, so that its output is its bias."""
    first, second, bias = normal(3, 4), normal(4, 4), normal(4)
    x = normal(5, 3)
    a = x @ first - np.float32(100)
    b = np.tile(bias, (5, 1))
    maker = ExportMaker()
    maker.layer("dense", "a", {"kernel": first, "bias": np.full(4, -100, np.float32)}, output=a)
    maker.layer("dense", "b", {"kernel": second, "bias": bias}, output=b)
    maker.input("x:0", x)
    maker.output("y:0", last(a, b))
    return maker


DEAD = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 4)
        self.b = nn.Linear(4, 4)

    def forward(self, x):
        a = self.a(x)
        b = self.b(functional.relu(a))
        return RESULT
"""


@pytest.mark.parametrize(
    ("maker", "returned", "verdict", "reason"),
    [
        pytest.param(
            dead(lambda a, b: b),
            "b",
            "unproven",
            "1 output and 2 layers compared, and the outputs are constant: other weights could "
            "give the same",
            id="an-output-that-ignores-its-input",
        ),
        pytest.param(
            dead(lambda a, b: a + b),
            "a + b",
            "proven",
            "1 output and 2 layers compared, 1 of them constant",
            id="a-layer-that-ignores-its-input",
        ),
    ],
)
def test_what_does_not_depend_on_the_input_proves_nothing(
    load, tmp_path, maker, returned, verdict, reason
):
    result, _, _ = run(load, tmp_path, maker, DEAD.replace("RESULT", returned))
    assert (result["verdict"], result["reason"]) == (verdict, reason)
