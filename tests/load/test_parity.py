"""The proof on models where something is peculiar: two inputs, two outputs, calls, devices."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from tests.load.export_maker import ExportMaker
from tests.load.networks import CLASSIFIER_SOURCE, write_model

RANDOM = np.random.default_rng(5)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def run(load, tmp_path, maker, source, **options):
    model = f"{write_model(tmp_path, source)}:Net"
    result, out = load(maker.write(tmp_path / "export"), model, **options)
    return result, json.loads((out / "report.json").read_text())


SIAMESE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.tower = nn.Linear(3, 4)
        self.join = nn.Linear(8, 2)

    def forward(self, left, right):
        left, right = self.tower(left), self.tower(right)
        return {"join": self.join(torch.cat([left, right], 1)), "both": (left, right)}
"""


def siamese():
    kernel, bias, join, join_bias = normal(3, 4), normal(4), normal(8, 2), normal(2)
    left, right = normal(5, 3), normal(5, 3)
    a, b = left @ kernel + bias, right @ kernel + bias
    y = np.concatenate([a, b], 1) @ join + join_bias
    maker = ExportMaker()
    maker.layer("dense", "tower", {"kernel": kernel, "bias": bias}, output=a)
    shared = {"kernel": "tower/kernel", "bias": "tower/bias"}
    maker.layer("dense", "tower_1", shared, output=b)
    maker.layer("dense", "join", {"kernel": join, "bias": join_bias}, output=y)
    maker.input("left:0", left)
    maker.input("right:0", right)
    maker.output("join:0", y)
    maker.output("a:0", a)
    maker.output("b:0", b)
    return maker


def test_a_module_called_twice_is_compared_twice(load, tmp_path):
    result, report = run(load, tmp_path, siamese(), SIAMESE)
    assert (result["verdict"], result["reason"]) == ("proven", "3 outputs and 3 layers compared")
    assert [(e["name"], e["module"], e["call"]) for e in report["parity"]["layers"]] == [
        ("tower", "tower", 0),
        ("tower_1", "tower", 1),
        ("join", "join", 0),
    ]


def test_the_second_call_alone_may_differ(load, tmp_path):
    maker = siamese()
    maker.layer_outputs[1] = maker.layer_outputs[1] + np.float32(1)
    result, _ = run(load, tmp_path, maker, SIAMESE)
    assert result["parity"]["first_differing_layer"]["name"] == "tower_1"


def test_a_call_that_torch_does_not_make_is_listed(load, tmp_path):
    source = SIAMESE.replace("self.tower(left), self.tower(right)", "(t := self.tower(left)), t")
    result, report = run(load, tmp_path, siamese(), source)
    assert report["parity"]["left_out"] == [
        {
            "layer": 1,
            "name": "tower_1",
            "reason": "the module 'tower' ran 1 time, call 2 is not there",
        }
    ]
    assert result["verdict"] == "failed"


@pytest.mark.parametrize(
    ("attribute", "compared", "left_out"),
    [
        pytest.param("", ["join:0"], ["a:0", "b:0"], id="in-order"),
        pytest.param(
            '        self.tf1_outputs = ("b:0",)\n',
            ["b:0"],
            ["join:0", "a:0"],
            id="as-the-model-says",
        ),
    ],
)
def test_a_model_that_returns_fewer_tensors(load, tmp_path, attribute, compared, left_out):
    source = SIAMESE.replace('{"join": self.join', "self.join").replace(
        ', "both": (left, right)}', ""
    )
    if attribute:
        source = source.replace("return self.join(torch.cat([left, right], 1))", "return right")
    source = source.replace("        self.join = nn", attribute + "        self.join = nn")
    source = source.replace("\n    def forward", "\n        self.unused = None\n\n    def forward")
    maker = siamese()
    if attribute:
        # The model does not run its last layer, so that its place comes from its definition.
        del maker.layer_outputs[2]
    result, report = run(load, tmp_path, maker, source)
    assert result["verdict"] == "proven"
    assert [entry["tensor"] for entry in report["parity"]["outputs"]] == compared
    names = [entry["name"] for entry in report["parity"]["left_out"] if entry["layer"] is None]
    assert names == left_out


def test_a_model_that_fails_on_the_input_is_no_proof(load, tmp_path):
    source = SIAMESE.replace(
        "def forward(self, left, right):",
        "def forward(self, left):\n        right = left\n        raise IndexError('no such row')",
    )
    result, report = run(load, tmp_path, siamese(), source)
    assert result["verdict"] == "failed"
    assert result["reason"].startswith("the model fails on TensorFlow's inputs: TypeError")
    assert report["parity"]["compared_layers"] == 0
    assert result["warnings"][0].startswith("The model was not run to find the order")


def test_a_model_that_returns_no_tensor_is_unproven(load, tmp_path):
    source = SIAMESE.replace('return {"join": self.join', 'x = {"join": self.join')
    result, _ = run(load, tmp_path, siamese(), source)
    assert result["verdict"] == "unproven"
    assert result["reason"] == "no output of the model could be compared with TensorFlow's"


SMALL = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 4)

    def forward(self, x):
        return RESULT
"""
NO_NUMBER = "compared with TensorFlow's: TensorFlow computed no finite number there"
ONE_VALUE = "the outputs are constant: other weights could give the same"


def small(output, layer=None, rows=2):
    maker = ExportMaker()
    kernel = np.arange(12, dtype=np.float32).reshape(3, 4)
    maker.layer("dense", "a", {"kernel": kernel, "bias": normal(4)}, output=layer)
    maker.input("x:0", np.ones((rows, 3), np.float32))
    maker.output("y:0", output)
    return maker


@pytest.mark.parametrize(
    ("maker", "source", "reason"),
    [
        pytest.param(
            small(np.full((2, 4), np.nan, np.float32)), "self.a(x) * torch.nan", NO_NUMBER, id="nan"
        ),
        pytest.param(
            small(np.full((2, 4), np.inf, np.float32)),
            "torch.full((2, 4), torch.inf)",
            NO_NUMBER,
            id="infinity",
        ),
        pytest.param(
            small(np.zeros((0, 4), np.float32), rows=0), "self.a(x)", NO_NUMBER, id="empty"
        ),
        pytest.param(small(np.zeros((2, 4), np.float32)), "self.a(x) * 0", ONE_VALUE, id="zeros"),
        pytest.param(small(np.zeros(1, np.float32)), "x[0, :1] * 0", ONE_VALUE, id="one-zero"),
        pytest.param(
            small(np.ones((2, 4), np.float32)), "torch.ones(2, 4)", ONE_VALUE, id="constant"
        ),
        pytest.param(
            small(np.zeros((2, 4), np.int64)), "self.a(x).long() * 0", ONE_VALUE, id="one-class"
        ),
        pytest.param(
            small(np.zeros((2, 4), np.float32), np.zeros((2, 4), np.float32)),
            "self.a(x * 0).mul(0)",
            "the first that differs",
            id="a-layer-is-not-zero",
        ),
    ],
)
def test_agreement_that_says_nothing_is_no_proof(load, tmp_path, maker, source, reason):
    result, _ = run(load, tmp_path, maker, SMALL.replace("RESULT", source))
    assert result["verdict"] == ("failed" if "differs" in reason else "unproven")
    assert reason in result["reason"]


def test_an_input_that_is_handed_on_is_no_output(load, tmp_path):
    maker = small(np.ones((2, 3), np.float32))
    maker.feeds["y:0"] = maker.feeds.pop("x:0")
    maker.inputs[0]["tensor"] = "y:0"
    result, report = run(load, tmp_path, maker, SMALL.replace("RESULT", "x"))
    assert result["verdict"] == "unproven"
    assert report["parity"]["left_out"][-1]["reason"] == "it is an input, handed on as it is"


def test_outputs_that_were_not_compared_are_counted(load, tmp_path):
    source = SIAMESE.replace(', "both": (left, right)}', "}")
    result, _ = run(load, tmp_path, siamese(), source)
    assert result["reason"] == "1 output and 3 layers compared; 2 outputs not compared"


def test_an_activation_in_place_does_not_spoil_the_comparison(load, tmp_path, classifier):
    """``relu_`` overwrites what the convolution returned, right after it returned it."""
    assert "relu_(self.first" in CLASSIFIER_SOURCE
    maker, model = classifier
    assert maker.layer_outputs[0].min() < 0
    result, _ = load(maker.write(tmp_path / "export"), model)
    assert result["verdict"] == "proven"


TABLE = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(7, 3)

    def forward(self, ids):
        return self.table(ids).argmax(-1)
"""


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_whole_numbers_in_and_out(load, tmp_path, dtype):
    table, ids = normal(7, 3), np.array([[0, 6, 2, 2]], dtype)
    maker = ExportMaker()
    maker.layer("embedding", "table", {"embedding": table}, output=table[ids])
    maker.input("ids:0", ids)
    maker.output("class:0", table[ids].argmax(-1))
    result, report = run(load, tmp_path, maker, TABLE)
    assert result["verdict"] == "proven"
    assert report["parity"]["outputs"][0]["reason"] == "whole numbers, compared exactly"


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_precisions_keep_every_bit(load, tmp_path, dtype):
    kernel = RANDOM.normal(size=(3, 4)).astype(dtype)
    bias = RANDOM.normal(size=4).astype(dtype)
    x = RANDOM.normal(size=(2, 3)).astype(dtype)
    maker = ExportMaker()
    y = x @ kernel + bias
    maker.layer("dense", "a", {"kernel": kernel, "bias": bias}, output=y)
    maker.input("x:0", x)
    maker.output("y:0", y)
    source = "from torch import nn\n\n\ndef Net():\n    return nn.Sequential(nn.Linear(3, 4))\n"
    result, _ = run(load, tmp_path, maker, source, tolerance=1e-2 if dtype == "float16" else 1e-12)
    assert result["verdict"] == "proven"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; none is here")
def test_cuda_proves_and_writes_the_same_bytes(load, tmp_path, classifier):
    maker, model = classifier
    export = maker.write(tmp_path / "export")
    on_cpu, first = load(export, model, device="cpu")
    on_cuda, second = load(export, model, device="cuda")
    assert (on_cpu["verdict"], on_cuda["verdict"]) == ("proven", "proven")
    assert on_cuda["device"].startswith("cuda:0")
    name = "model.safetensors"
    assert (first / name).read_bytes() == (second / name).read_bytes()
