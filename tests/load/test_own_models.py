"""Models of users: how they take their inputs, what their code raises, what cannot be loaded."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from stage_load.errors import FactoryFailed
from tests.load.export_maker import ExportMaker
from tests.load.networks import CLASSIFIER_SOURCE, write_model

RANDOM = np.random.default_rng(13)
HEADER = "import torch\nfrom torch import nn\nfrom torch.nn import functional\n\n\n"


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def table(dtype):
    values, ids = normal(7, 3), np.array([[0, 6, 2, 2]], dtype)
    maker = ExportMaker()
    maker.layer("embedding", "table", {"embedding": values}, output=values[ids])
    maker.input("ids:0", ids)
    maker.output("y:0", values[ids].sum(1))
    return maker


ONE_HOT = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(7, 3)

    def forward(self, ids):
        return (functional.one_hot(ids, 7).float() @ self.table.weight).sum(1)
"""


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_whole_numbers_go_in_as_torch_takes_indices(load, tmp_path, dtype):
    """``one_hot`` and ``gather`` refuse int32, which is what TensorFlow 1 feeds."""
    model = f"{write_model(tmp_path, HEADER + ONE_HOT)}:Net"
    result, _ = load(table(dtype).write(tmp_path / "export"), model)
    assert result["verdict"] == "proven"


CHANNELS_LAST = """

class Net(Classifier):
    def forward(self, x):
        return super().forward(x.permute(0, 3, 1, 2))
"""


def test_a_model_that_takes_channels_last(load, tmp_path, classifier):
    maker, _ = classifier
    model = f"{write_model(tmp_path, CLASSIFIER_SOURCE + CHANNELS_LAST)}:Net"
    result, out = load(maker.write(tmp_path / "export"), model)
    epsilon = "eps 1e-05 of 1 module set to 0.001, as the graph has it, first 'norm'."
    assert (result["verdict"], result["warnings"]) == ("proven", [epsilon])
    config = json.loads((out / "config.json").read_text())
    assert [entry["torch_axes"] for entry in config["inputs"]] == ["NHWC"]


RAISES = """
class Odd(Exception):
    pass


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(7, 3)

    def forward(self, ids):
        RAISE
"""


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        pytest.param("raise Odd('of its own')", "Odd: of its own", id="exception-of-its-own"),
        pytest.param(
            "import no_such_package", "ModuleNotFoundError: No module named", id="late-import"
        ),
        pytest.param("raise SystemExit(3)", "SystemExit: 3", id="exit"),
    ],
)
def test_whatever_a_model_raises_is_its_own_failure(load, tmp_path, statement, message):
    model = f"{write_model(tmp_path, HEADER + RAISES.replace('RAISE', statement))}:Net"
    result, _ = load(table(np.int64).write(tmp_path / "export"), model)
    assert result["verdict"] == "failed"
    assert result["reason"].startswith(f"the model fails on TensorFlow's inputs: {message}")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            "def Net():\n    return nn.Sequential(nn.LazyLinear(3))\n",
            "tensor '0.weight' without a shape",
            id="lazy",
        ),
        pytest.param(
            "def Net():\n    return nn.Linear(2, 3, device='meta')\n",
            "tensor 'weight' on the device 'meta'",
            id="meta",
        ),
        pytest.param(
            "def Net():\n    return torch.jit.script(nn.Linear(2, 3))\n",
            "is a torch.jit.ScriptModule",
            id="script",
        ),
        pytest.param(
            "def Net():\n    raise SystemExit('no data')\n",
            "raised SystemExit: no data",
            id="a-factory-that-ends-the-process",
        ),
        pytest.param(
            "import argparse\n\nparser = argparse.ArgumentParser()\n"
            "parser.add_argument('data')\nparser.parse_args([])\n",
            "raised SystemExit: 2",
            id="a-script-that-reads-its-arguments",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_models_that_cannot_be_loaded(load, tmp_path, body, message):
    model = f"{write_model(tmp_path, HEADER + body)}:Net"
    with pytest.raises(FactoryFailed, match=message):
        load(table(np.int64).write(tmp_path / "export"), model)


FUSED = """
class Net(nn.Linear):
    def __init__(self):
        super().__init__(3, 4)

    def forward(self, x):
        return super().forward(x).relu()
"""


def test_a_module_that_does_more_than_its_layer_is_said(load, tmp_path):
    kernel, bias, x = normal(3, 4), normal(4), normal(5, 3)
    maker = ExportMaker()
    maker.layer("dense", "a", {"kernel": kernel, "bias": bias}, output=x @ kernel + bias)
    maker.input("x:0", x)
    maker.output("y:0", np.maximum(x @ kernel + bias, 0))
    result, _ = load(
        maker.write(tmp_path / "export"), f"{write_model(tmp_path, HEADER + FUSED)}:Net"
    )
    assert result["verdict"] == "failed"
    assert result["reason"].endswith("so its module may do more than the layer (an activation)")


def test_half_precision_says_why_it_differs(load, tmp_path):
    kernel, x = normal(64, 4).astype(np.float16), normal(5, 64).astype(np.float16)
    maker = ExportMaker()
    y = (torch.from_numpy(x).double() @ torch.from_numpy(kernel).double()).half().numpy()
    y[0, 0] = np.nextafter(y[0, 0], np.float16(100))
    maker.layer("dense", "a", {"kernel": kernel}, output=y)
    maker.input("x:0", x)
    maker.output("y:0", y)
    source = HEADER + "def Net():\n    return nn.Linear(64, 4, bias=False)\n"
    result, _ = load(
        maker.write(tmp_path / "export"), f"{write_model(tmp_path, source)}:Net", tolerance=1e-6
    )
    assert result["verdict"] == "failed"
    assert "float16 rounds to steps of 0.000977, --tolerance may be larger" in result["reason"]


COMPILED = """
def Net():
    return torch.compile(nn.Sequential(nn.Linear(3, 4)))
"""
PATCHED = """
def Net():
    model = nn.Sequential(nn.Linear(3, 4))
    plain = model[0].forward
    model[0].forward = lambda x: plain(x.flatten(1))
    return model
"""


@pytest.mark.parametrize(
    "body", [pytest.param(COMPILED, id="compiled"), pytest.param(PATCHED, id="own-forward-set")]
)
def test_modules_that_are_wrapped_run_as_they_are_written(load, tmp_path, body):
    kernel, bias, x = normal(3, 4), normal(4), normal(5, 3, 1)
    if body is COMPILED:
        x = x[:, :, 0]
    y = x.reshape(5, 3) @ kernel + bias
    maker = ExportMaker()
    maker.layer("dense", "a", {"kernel": kernel, "bias": bias}, output=y)
    maker.input("x:0", x)
    maker.output("y:0", y)
    model = f"{write_model(tmp_path, HEADER + body)}:Net"
    result, _ = load(maker.write(tmp_path / "export"), model)
    assert (result["verdict"], result["warnings"]) == ("proven", [])
    assert result["reason"] == "1 output and 1 layer compared"
