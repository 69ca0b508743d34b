"""Batch norms and biases that only one side has, against what TensorFlow's formulas give."""

from __future__ import annotations

import numpy as np
import pytest

from stage_load.errors import TensorsDoNotFit
from stage_load.layouts.rule import RuleError
from stage_load.layouts.rule_text import parse_rule
from tests.load.export_maker import ExportMaker
from tests.load.networks import read_rows, write_model

RANDOM = np.random.default_rng(41)
EPSILON = 0.01


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def joined(maker, name, before):
    """Say what the last layer reads, and that its operation returns its output."""
    maker.node(f"{name}/op", before)
    maker.layers[-1] |= {"input": f"{before}:0", "output": f"{name}/op:0"}


def network(*, bias, norm, gamma=True):
    """A dense layer [3 -> 5], perhaps a bias, perhaps a batch norm, then a layer [5 -> 2]."""
    maker = ExportMaker()
    x, kernel, head = normal(6, 3), normal(3, 5), normal(5, 2)
    maker.input("x:0", x)
    maker.node("x")
    arrays = {"kernel": kernel}
    value = x @ kernel
    if bias:
        arrays["bias"] = normal(5)
        value = value + arrays["bias"]
    maker.layer("dense", "first", arrays, output=value)
    joined(maker, "first", "x")
    before = "first/op"
    if norm:
        statistics = {"beta": normal(5), "moving_mean": normal(5)}
        statistics["moving_variance"] = np.abs(normal(5)) + 0.5
        if gamma:
            statistics["gamma"] = normal(5)
        scale = statistics.get("gamma", 1.0) / np.sqrt(statistics["moving_variance"] + EPSILON)
        value = (value - statistics["moving_mean"]) * scale + statistics["beta"]
        value = value.astype(np.float32)
        maker.layer("batch_norm", "norm", statistics, output=value, epsilon=EPSILON, decay=0.9)
        joined(maker, "norm", before)
        before = "norm/op"
    maker.layer("dense", "last", {"kernel": head}, output=value @ head)
    joined(maker, "last", before)
    maker.output("last:0", value @ head)
    return maker


NET = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(LAYERS, nn.Linear(5, 2, bias=False))
"""
BARE, BIASED = "nn.Linear(3, 5, bias=False)", "nn.Linear(3, 5)"
NORM = "nn.BatchNorm1d(5, eps=0.02)"

CASES = [
    pytest.param(
        {"bias": False, "norm": True},
        f"{BIASED}, {NORM}",
        {"0.bias": "constant 0.0"},
        "filled with zeros",
        id="a-bias-that-is-not-needed",
    ),
    pytest.param(
        {"bias": True, "norm": True},
        f"{BARE}, {NORM}",
        {"1.running_mean": 'folded mean {"bias": "first/bias"}'},
        "taken into the batch norm behind it",
        id="a-bias-into-the-batch-norm",
    ),
    pytest.param(
        {"bias": False, "norm": True},
        BIASED,
        {
            "0.weight": 'folded weight IO->OI {"epsilon": 0.01, "gamma": "norm/gamma", '
            '"moving_variance": "norm/moving_variance"}'
        },
        "taken into the layer before it",
        id="a-batch-norm-into-the-layer",
    ),
    pytest.param(
        {"bias": True, "norm": True, "gamma": False},
        BIASED,
        {
            "0.bias": 'folded bias {"beta": "norm/beta", "bias": "first/bias", "epsilon": 0.01, '
            '"gamma": 1.0, "moving_variance": "norm/moving_variance"}'
        },
        "taken into the layer before it",
        id="both-into-the-layer-without-gamma",
    ),
    pytest.param(
        {"bias": True, "norm": False},
        f"{BARE}, {NORM}",
        {"1.weight": "constant 1.00995", "1.bias": "C->C"},
        "made an identity",
        id="a-folded-graph-into-a-model-with-batch-norm",
    ),
    pytest.param(
        {"bias": True, "norm": False},
        f"{BIASED}, {NORM}",
        {"0.bias": "C->C", "1.bias": "constant 0.0"},
        "made an identity",
        id="a-folded-graph-into-a-model-with-both",
    ),
]


@pytest.mark.parametrize(("built", "layers", "rules", "said"), CASES)
def test_the_model_computes_the_same(load, tmp_path, built, layers, rules, said):
    export = network(**built).write(tmp_path / "export")
    model = f"{write_model(tmp_path, NET.replace('LAYERS', layers))}:Net"
    result, out = load(export, model)
    assert result["verdict"] == "proven", result["reason"]
    assert result["parity"]["max_rel"] < 1e-5
    rows = {row["torch_name"]: row for row in read_rows(out)}
    for name, rule in rules.items():
        assert rows[name]["rule"].startswith(rule)
    assert any(said in warning for warning in result["warnings"])
    # What is written can be handed back.
    again, second = load(export, model, map=str(out / "mapping.csv"))
    assert again["verdict"] == "proven"
    assert (second / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()


def test_what_else_reads_the_layer_forbids_folding(load, tmp_path):
    maker = network(bias=False, norm=True)
    maker.node("other", "first/op")
    model = f"{write_model(tmp_path, NET.replace('LAYERS', BIASED))}:Net"
    with pytest.raises(TensorsDoNotFit, match="unexpected in the checkpoint"):
        load(maker.write(tmp_path / "export"), model)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("folded", "is no 'folded PART", id="nothing"),
        pytest.param('folded kernel {"bias": 0}', "PART of weight, bias, mean", id="no-such-part"),
        pytest.param('folded mean {"bias": 0', "is no JSON", id="no-json"),
        pytest.param('folded mean {"beta": 0}', "takes bias, not", id="other-operands"),
        pytest.param('folded mean {"bias": [0]}', "more than names and numbers", id="a-list"),
        pytest.param('folded weight {"epsilon": 0}', "no 'AXES->AXES'", id="no-axes"),
    ],
)
def test_a_text_that_is_no_folding(text, problem):
    with pytest.raises(RuleError, match=problem):
        parse_rule(text)
