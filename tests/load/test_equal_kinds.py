"""A fully connected layer written as a convolution on one side, and as a product on the other."""

from __future__ import annotations

import numpy as np
import pytest

from stage_load.errors import TensorsDoNotFit
from tests.load.export_maker import ExportMaker
from tests.load.networks import read_rows, write_model

RANDOM = np.random.default_rng(47)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


IMAGE = normal(2, 3, 4, 5)  # [N, H, W, C]


def as_convolutions(maker):
    """A VALID convolution over the whole map, then one of size 1 x 1."""
    kernel, bias, point = normal(3, 4, 5, 6), normal(6), normal(1, 1, 6, 7)
    hidden = np.einsum("nhwi,hwio->no", IMAGE, kernel)[:, None, None] + bias
    result = np.einsum("nhwi,io->nhwo", hidden, point[0, 0])
    maker.layer("conv2d", "fc6", {"kernel": kernel, "bias": bias}, output=hidden)
    maker.layer("conv2d", "fc7", {"kernel": point}, output=result)
    maker.node("fc6/op", "x")
    maker.node("fc7/op", "fc6/op")
    for layer, size in zip(maker.layers, (6, 7), strict=True):
        layer["output"] = layer["op_output"]
        next(n for n in maker.nodes if n["name"] == layer["op"])["shapes"] = [[2, 1, 1, size]]
    return result[:, 0, 0]


def as_products(maker):
    """A flatten and a product, then a product."""
    kernel, bias, point = normal(60, 6), normal(6), normal(6, 7)
    hidden = IMAGE.reshape(2, 60) @ kernel + bias
    flatten = {"shape": [2, 3, 4, 5], "data_format": "NHWC"}
    maker.layer("dense", "fc6", {"kernel": kernel, "bias": bias}, output=hidden, flatten=flatten)
    maker.layer("dense", "fc7", {"kernel": point}, output=hidden @ point)
    maker.node("fc6/op", "x")
    maker.node("fc7/op", "fc6/op")
    return hidden @ point


LINEAR = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(60, 6), nn.Linear(6, 7, bias=False))
"""
CONVOLUTION = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(5, 6, (3, 4)), nn.Conv2d(6, 7, 1, bias=False), nn.Flatten())
"""


@pytest.mark.parametrize(
    ("build", "source", "rules"),
    [
        pytest.param(
            as_convolutions, LINEAR, ["HWIO->O(IHW)", "HWIO->O(IHW)"], id="convolution-as-linear"
        ),
        pytest.param(
            as_products,
            CONVOLUTION,
            ["(HWC)O->OCHW H=3 W=4 C=5", "IO->OI11"],
            id="product-as-convolution",
        ),
    ],
)
def test_the_kernel_goes_where_the_same_is_computed(load, tmp_path, build, source, rules):
    maker = ExportMaker()
    maker.input("x:0", IMAGE)
    maker.node("x")
    maker.output("y:0", build(maker))
    export = maker.write(tmp_path / "export")
    model = f"{write_model(tmp_path, source)}:Net"
    result, out = load(export, model)
    assert result["verdict"] == "proven", result["reason"]
    rows = [row for row in read_rows(out) if row["torch_name"].endswith("weight")]
    assert [row["rule"] for row in rows] == rules
    assert any("of another kind that computes the same" in text for text in result["warnings"])
    again, _ = load(export, model, map=str(out / "mapping.csv"))
    assert again["verdict"] == "proven"


def test_a_kernel_that_covers_a_part_of_the_map_is_no_product(load, tmp_path):
    maker = ExportMaker()
    maker.input("x:0", IMAGE)
    maker.node("x")
    kernel = normal(2, 3, 5, 7)
    maker.layer("conv2d", "conv", {"kernel": kernel}, output=normal(2, 2, 2, 7))
    maker.node("conv/op", "x")
    maker.output("y:0", normal(2, 7))
    source = LINEAR.replace("nn.Linear(60, 6), nn.Linear(6, 7", "nn.Linear(30, 7")
    with pytest.raises(TensorsDoNotFit, match="conv/kernel"):
        load(maker.write(tmp_path / "export"), f"{write_model(tmp_path, source)}:Net")
