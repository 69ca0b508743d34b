"""Outputs that a model returns in another form than the graph: scores, or with axes of size one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.load.export_maker import ExportMaker
from tests.load.networks import write_model

RANDOM = np.random.default_rng(3)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def softmax(scores):
    exponents = np.exp(scores - scores.max(-1, keepdims=True))
    return exponents / exponents.sum(-1, keepdims=True)


def classifier(last):
    """Scores of a dense layer; ``last`` are the nodes after it: (op, what it computes)."""
    kernel, bias, x = normal(5, 4), normal(4), normal(3, 5)
    scores = x @ kernel + bias
    maker = ExportMaker()
    maker.layer("dense", "scores", {"kernel": kernel, "bias": bias}, output=scores)
    maker.input("x:0", x)
    maker.node("x")
    maker.node("scores/out0", "x")
    before, value = "scores/out0", scores
    for number, (op, compute) in enumerate(last):
        name = f"y{number}"
        maker.node(name, before)
        maker.nodes[-1]["op"] = op
        before, value = name, compute(value)
    maker.output(f"{before}:0", value)
    return maker


NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(5, 4)

    def forward(self, x):
        return RETURNED
"""
SOFTMAX = ("Softmax", softmax)
WITH_ONES = ("Reshape", lambda value: value[:, None, None])


def run(load, tmp_path, maker, returned):
    model = f"{write_model(tmp_path, NET.replace('RETURNED', returned))}:Net"
    result, out = load(maker.write(tmp_path / "export"), model)
    return result, json.loads((out / "report.json").read_text())["parity"]


@pytest.mark.parametrize(
    ("last", "steps"),
    [
        pytest.param([SOFTMAX], "Softmax", id="softmax"),
        pytest.param([WITH_ONES, SOFTMAX, WITH_ONES], "Softmax", id="reshaped-before-and-after"),
        pytest.param(
            [SOFTMAX, ("ArgMax", lambda value: value.argmax(-1))],
            "Softmax and ArgMax",
            id="classes",
        ),
        pytest.param([("Sigmoid", lambda v: 1 / (1 + np.exp(-v)))], "Sigmoid", id="sigmoid"),
    ],
)
def test_scores_are_compared_where_the_graph_goes_on(load, tmp_path, last, steps):
    maker = classifier(last)
    [output] = maker.reference_outputs
    result, parity = run(load, tmp_path, maker, "self.fc(x)")
    assert result["verdict"] == "proven"
    assert result["reason"] == "1 output and 1 layer compared; 1 output not compared"
    assert [entry["tensor"] for entry in parity["outputs"]] == ["scores/out0:0"]
    reason = f"the model returns scores/out0:0, before {steps}"
    assert parity["left_out"] == [{"layer": None, "name": output, "reason": reason}]


@pytest.mark.parametrize(
    "returned",
    [
        pytest.param("self.fc(x) * 2", id="other-scores"),
        pytest.param("self.fc(x).softmax(1).softmax(1)", id="softmax-twice"),
        pytest.param("self.fc(x).softmax(0)", id="softmax-over-the-batch"),
    ],
)
def test_something_else_is_neither(load, tmp_path, returned):
    result, parity = run(load, tmp_path, classifier([SOFTMAX]), returned)
    assert result["verdict"] == "failed"
    assert [entry["tensor"] for entry in parity["outputs"]] == ["y0:0"]


@pytest.mark.parametrize(
    ("last", "returned", "verdict"),
    [
        pytest.param([WITH_ONES], "self.fc(x)", "proven", id="without-ones"),
        pytest.param(
            [SOFTMAX], "self.fc(x).softmax(1)[:, :, None, None]", "proven", id="more-ones"
        ),
        # As many axes, so that one of them is a wrong one.
        pytest.param([SOFTMAX], "self.fc(x).softmax(1).T", "failed", id="transposed"),
    ],
)
def test_axes_of_size_one_do_not_count(load, tmp_path, last, returned, verdict):
    result, _ = run(load, tmp_path, classifier(last), returned)
    assert result["verdict"] == verdict
