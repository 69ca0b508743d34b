"""The proof on modules as people write them: cut, joined, shared, in other orders and axes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.load.export_maker import ExportMaker
from tests.load.networks import read_rows, to_tf, write_model

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


def heads():
    trunk, narrow, wide, other = normal(3, 6), normal(6, 2), normal(6, 5), normal(6, 2)
    x = normal(4, 3)
    h = x @ trunk
    maker = ExportMaker()
    maker.layer("dense", "trunk", {"kernel": trunk}, output=h)
    maker.input("x:0", x)
    maker.node("x")
    maker.node("trunk/op", "x")
    for name, kernel in (("net/narrow", narrow), ("net/wide", wide), ("net/other", other)):
        maker.layer("dense", name, {"kernel": kernel}, output=h @ kernel)
        maker.node(f"{name}/op", "trunk/op")
        maker.output(f"{name}:0", h @ kernel)
    return maker


HEADS = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.other = nn.Linear(6, 2, bias=False)
        self.wide = nn.Linear(6, 5, bias=False)
        self.narrow = nn.Linear(6, 2, bias=False)
        self.trunk = nn.Linear(3, 6, bias=False)

    def forward(self, x):
        h = self.trunk(x)
        RETURN
"""


@pytest.mark.parametrize(
    ("returned", "verdict", "reason"),
    [
        pytest.param(
            "return h, self.narrow(h), self.wide(h), self.other(h)",
            "proven",
            "3 outputs and 4 layers compared",
            id="features-as-well",
        ),
        pytest.param(
            "o = self.other(h); return self.narrow(h), self.wide(h), o",
            "proven",
            "3 outputs and 4 layers compared",
            id="equal-heads-run-in-another-order-and-are-named-alike",
        ),
        pytest.param(
            "self.narrow(h); return self.wide(h), self.other(h)",
            "proven",
            "2 outputs and 4 layers compared; 1 output not compared",
            id="a-head-is-missing",
        ),
        pytest.param(
            "return self.other(h), self.wide(h), self.narrow(h)",
            "failed",
            "number 3 of what the model returns agrees with it: name the outputs",
            id="returned-in-another-order",
        ),
    ],
)
def test_what_a_model_returns(load, tmp_path, returned, verdict, reason):
    result, _, out = run(load, tmp_path, heads(), HEADS.replace("RETURN", returned))
    assert result["verdict"] == verdict
    assert reason in result["reason"]
    if "o = " in returned:
        rows = {row["torch_name"]: row["tf_name"] for row in read_rows(out)}
        assert rows["other.weight"] == "net/other/kernel"


ONE_AFTER_THE_OTHER = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 3, bias=False)
        self.b = nn.Linear(3, 3, bias=False)
        self.c = nn.Linear(3, 3, bias=False)

    def forward(self, x):
        return self.b(self.c(self.a(x)))
"""


def test_of_layers_one_after_the_other_the_order_decides_whatever_their_names(load, tmp_path):
    maker, x = ExportMaker(), normal(5, 3)
    maker.input("x:0", x)
    maker.node("x")
    before = "x"
    for name in ("net/a", "net/b", "net/c"):
        kernel = normal(3, 3)
        x = x @ kernel
        maker.layer("dense", name, {"kernel": kernel}, output=x)
        maker.node(f"{name}/op", before)
        before = f"{name}/op"
    maker.output("y:0", x)
    result, _, out = run(load, tmp_path, maker, ONE_AFTER_THE_OTHER)
    assert (result["verdict"], result["warnings"]) == ("proven", [])
    rows = {row["torch_name"]: row["tf_name"] for row in read_rows(out)}
    assert rows["c.weight"] == "net/b/kernel"
