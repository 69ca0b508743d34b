"""Parameters that stand alone in a module, read by operations of no known kind."""

from __future__ import annotations

import numpy as np
import pytest

from stage_load.errors import TensorsDoNotFit
from tests.load.export_maker import ExportMaker
from tests.load.networks import read_rows, write_model

RANDOM = np.random.default_rng(17)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def dense_between(first, second):
    """x * first + second, then a dense layer, as TensorFlow names what it reads."""
    kernel, x = normal(3, 4), normal(5, 3)
    hidden = x * first + second
    maker = ExportMaker()
    maker.layer("other", "mul", {"operand_1": first}, output=x * first)
    maker.layer("other", "add", {"operand_1": second}, output=hidden)
    maker.layer("dense", "out", {"kernel": kernel}, output=hidden @ kernel)
    for name, new in (("mul/operand_1", "scale"), ("add/operand_1", "net/shift")):
        maker.arrays[new] = maker.arrays.pop(name)
        maker.variables[new] = {**maker.variables.pop(name), "name": new}
    maker.layers[0]["variables"] = {"operand_1": "scale"}
    maker.layers[1]["variables"] = {"operand_1": "net/shift"}
    maker.input("x:0", x)
    maker.output("y:0", hidden @ kernel)
    return maker


SOURCE = """
import torch
from torch import nn


class Shift(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.amount = nn.Parameter(torch.zeros(shape))

    def forward(self, x):
        return (x + self.amount).clone()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(FIRST))
        self.move = Shift(SECOND)
        self.out = nn.Linear(3, 4, bias=False)

    def forward(self, x):
        return self.out(self.move(x * self.scale))
"""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param((), (), id="numbers"),
        pytest.param((3,), (3,), id="vectors"),
        pytest.param((), (3,), id="a-number-and-a-vector"),
    ],
)
def test_parameters_of_raw_modules(load, tmp_path, first, second):
    maker = dense_between(normal(*first) + np.float32(3), normal(*second) - np.float32(1))
    source = SOURCE.replace("FIRST", str(first)).replace("SECOND", str(second))
    result, out = load(maker.write(tmp_path / "export"), f"{write_model(tmp_path, source)}:Net")
    # What a module does beside an operation of no known kind is not known: not compared.
    assert result["verdict"] == "proven"
    assert result["reason"] == "1 output and 1 layer compared; 2 layers not compared"
    rows = {row["torch_name"]: (row["tf_name"], row["how"]) for row in read_rows(out)}
    assert rows["scale"] == ("scale", "name")
    assert rows["move.amount"] == ("net/shift", "graph")


def test_two_of_one_shape_in_one_module_are_not_guessed(load, tmp_path):
    maker = ExportMaker()
    arrays = {"operand_0": normal(3), "operand_1": normal(3)}
    maker.layer("other", "mul", arrays)
    source = SOURCE.replace("FIRST", "()").replace("SECOND", "3").replace("Linear(3, 4", "ReLU(")
    source = (
        source.split("class Net")[0].replace(
            "        self.amount",
            "        self.other = nn.Parameter(torch.zeros(shape))\n        self.amount",
        )
        + "def Net():\n    return Shift(3)\n"
    )
    with pytest.raises(TensorsDoNotFit, match="2 missing in the checkpoint, 2 unexpected"):
        load(maker.write(tmp_path / "export"), f"{write_model(tmp_path, source)}:Net")
