"""Arguments of a user's factory: checked against its signature, recorded, applied again."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch

from stage_load import load_model
from stage_load.errors import ModelArgumentsInvalid
from stage_load.models.registry import find_model
from tests.load.export_maker import ExportMaker
from tests.load.networks import write_model

RANDOM = np.random.default_rng(31)
SOURCE = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, classes, widths=(8, 16), *, name: str = "net"):
        sizes = [3, *widths, classes]
        widths.append(99)
        super().__init__(*(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])))
        self.name = name


def of_any(**options):
    return nn.Linear(options["inputs"], 4)


def by_position(size, /):
    return nn.Linear(size, 4)
"""


def dense_export():
    sizes = (3, 6, 7, 5)
    x = value = RANDOM.normal(size=(2, 3)).astype(np.float32)
    maker = ExportMaker()
    maker.input("x:0", x)
    for index, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        kernel = RANDOM.normal(size=(inputs, outputs)).astype(np.float32)
        bias = RANDOM.normal(size=outputs).astype(np.float32)
        value = value @ kernel + bias
        maker.layer("dense", f"d{index}", {"kernel": kernel, "bias": bias}, output=value)
    maker.output("y:0", value)
    return maker, x, value


def test_arguments_build_the_model_and_build_it_again(load, tmp_path):
    maker, x, y = dense_export()
    model = f"{write_model(tmp_path, SOURCE)}:Net"
    arguments = {"classes": 5, "widths": [6, 7], "name": "of mine"}
    result, out = load(maker.write(tmp_path / "export"), model, model_args=arguments)
    assert result["verdict"] == "proven"
    # The factory changed its list; what it was given is what is recorded.
    config = json.loads((out / "config.json").read_text())
    assert config["model"]["config"] == arguments
    restored = load_model(out, trust_code=True)
    assert restored.name == "of mine"
    np.testing.assert_allclose(restored(torch.from_numpy(x)).detach(), y, rtol=1e-5, atol=1e-5)


def test_without_arguments_none_are_recorded(load, tmp_path, classifier):
    maker, model = classifier
    _, out = load(maker.write(tmp_path / "export"), model)
    assert json.loads((out / "config.json").read_text())["model"]["config"] is None


@pytest.mark.parametrize(
    ("factory", "arguments", "happened"),
    [
        pytest.param(
            "Net", {"clases": 3}, "no argument 'clases', nearest: 'classes'; .*'classes' is miss",
            id="misspelt",
        ),
        pytest.param("Net", {"classes": 3, "depth": 2}, "no argument 'depth'\\.", id="unknown"),
        pytest.param("Net", {}, "its argument 'classes' is missing", id="missing"),
        pytest.param("by_position", {"size": 2}, "'size' has to be passed by pos", id="position"),
    ],
)  # fmt: skip
def test_arguments_that_the_signature_does_not_take(tmp_path, factory, arguments, happened):
    model = find_model(f"{write_model(tmp_path, SOURCE)}:{factory}")
    with pytest.raises(ModelArgumentsInvalid, match=happened) as raised:
        model.check_arguments(arguments)
    if factory == "Net":
        parameters = "Its parameters: classes, widths=(8, 16), name='net'."
        assert raised.value.expected == parameters


def test_keywords_of_any_name_are_left_to_the_factory(tmp_path):
    model = find_model(f"{write_model(tmp_path, SOURCE)}:of_any")
    assert model.restore({"inputs": 7}).build().in_features == 7


def test_a_model_that_configures_itself_takes_none():
    with pytest.raises(ModelArgumentsInvalid, match="'unet' was given the arguments depth"):
        find_model("unet").check_arguments({"depth": 3})
    find_model("unet").check_arguments({})
