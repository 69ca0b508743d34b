"""The proof on models whose heads and layers run, or are returned, in another order."""

from __future__ import annotations

import numpy as np
import pytest

from tests.load.export_maker import ExportMaker
from tests.load.networks import read_rows, write_model

RANDOM = np.random.default_rng(23)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def run(load, tmp_path, maker, body):
    model = f"{write_model(tmp_path, 'from torch import nn' + body)}:Net"
    return load(maker.write(tmp_path / "export"), model)


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
    result, out = run(load, tmp_path, heads(), HEADS.replace("RETURN", returned))
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
    result, out = run(load, tmp_path, maker, ONE_AFTER_THE_OTHER)
    assert (result["verdict"], result["warnings"]) == ("proven", [])
    rows = {row["torch_name"]: row["tf_name"] for row in read_rows(out)}
    assert rows["c.weight"] == "net/b/kernel"
