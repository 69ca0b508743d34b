"""``hub_model.py``, in a folder as the host's side makes it, read by the real huggingface_hub."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import PyTorchModelHubMixin
from safetensors.torch import load_file

import stage_load
from stage_load import load_model
from stage_load.models.unet.network import UNet
from tests.load.export_maker import ExportMaker
from tests.load.hostility import GOLDEN
from tests.load.networks import write_model
from tests.load.test_transfer import network, normal

FACTORY = """
from torch import nn

from parts import linear


def make(width, names=("one",), strictly=False):
    return nn.Sequential(linear(3, width), nn.BatchNorm1d(width))
"""
TIED = """
from torch import nn


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x).relu())
"""


def share(result, folder):
    """What the host's side writes of a result, but for what is for people."""
    folder.mkdir()
    config = json.loads((result / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config["model"]["config"] or {}))
    shutil.copy(result / "config.json", folder / "conversion.json")
    shutil.copy(result / "model.safetensors", folder)
    shutil.copy(Path(stage_load.__file__).with_name("hub_model.py"), folder)
    if (result / "model_source").is_dir():
        shutil.copytree(result / "model_source", folder / "model_source")
    return folder


def hub_class(folder, monkeypatch):
    """Import the folder's own copy, as ``sys.path`` and ``from hub_model import Hub`` do."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    specification = importlib.util.spec_from_file_location("hub_model", folder / "hub_model.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.Hub


@pytest.fixture
def unet(load):
    _, out = load(GOLDEN / "segmenter", "unet")
    return out, (torch.randn(2, load_model(out).config.in_channels, 16, 24),)


@pytest.fixture
def epsilon(load, classifier, tmp_path):
    maker, model = classifier
    _, out = load(maker.write(tmp_path / "export"), model)
    assert json.loads((out / "config.json").read_text())["modules"]["norm"]["eps"] == 1e-3
    return out, (torch.randn(2, 3, 4, 6),)


@pytest.fixture
def function(load, tmp_path):
    (tmp_path / "parts.py").write_text("from torch.nn import Linear as linear\n")
    kernel, bias, x = normal(3, 5), normal(5), normal(4, 3)
    gamma, beta, mean, variance = normal(5), normal(5), normal(5), abs(normal(5)) + 0.5
    y = x @ kernel + bias
    maker = ExportMaker()
    maker.layer("dense", "a", {"kernel": kernel, "bias": bias}, output=y)
    arrays = {"gamma": gamma, "beta": beta, "moving_mean": mean, "moving_variance": variance}
    y = (y - mean) / (variance + 1e-3) ** 0.5 * gamma + beta
    maker.layer("batch_norm", "n", arrays, output=y, epsilon=1e-3)
    maker.input("x:0", x)
    maker.output("y:0", y)
    model = write_model(tmp_path, FACTORY, "my net.py")
    arguments = {"width": 5, "names": ["a", "b"], "strictly": True}
    result, out = load(maker.write(tmp_path / "e"), f"{model}:make", model_args=arguments)
    assert result["verdict"] == "proven"
    return out, (torch.randn(2, 3),)


@pytest.fixture
def half(load, tmp_path):
    _, export, model = network(tmp_path)
    _, out = load(export, model, dtype="bfloat16", freeze=["encoder.*"])
    return out, (torch.randn(1, 3, 7, 8).bfloat16(),)


@pytest.fixture
def tied(load, tmp_path):
    kernel, x = normal(4, 4), normal(3, 4)
    middle = x @ kernel
    maker = ExportMaker()
    maker.layer("dense", "a", {"kernel": kernel}, output=middle)
    maker.layer("dense", "b", {"kernel": "a/kernel"}, output=middle.clip(0) @ kernel)
    maker.input("x:0", x)
    maker.output("y:0", middle.clip(0) @ kernel)
    model = write_model(tmp_path, TIED)
    _, out = load(maker.write(tmp_path / "e"), f"{model}:Tied")
    return out, (torch.randn(2, 4),)


@pytest.fixture(params=["unet", "epsilon", "function", "half"])
def result(request):
    """A result, and inputs for its model."""
    return request.getfixturevalue(request.param)


def state(model):
    return {name: (tensor.dtype, tensor.tolist()) for name, tensor in model.state_dict().items()}


def test_from_pretrained_gives_what_load_model_gives(result, tmp_path, monkeypatch):
    out, inputs = result
    expected = load_model(out, trust_code=True)
    folder = share(out, tmp_path / "shared")
    model = hub_class(folder, monkeypatch).from_pretrained(str(folder), strict=True)
    assert not model.training
    assert state(model) == state(expected)
    assert model.state_dict().keys() == load_file(folder / "model.safetensors").keys()
    with torch.no_grad():
        assert torch.equal(model(*inputs), expected(*inputs))
    trained = {name: one.requires_grad for name, one in expected.named_parameters()}
    assert {name: one.requires_grad for name, one in model.module.named_parameters()} == trained


def test_what_was_trained_on_is_saved_and_read_again(result, tmp_path, monkeypatch):
    out, inputs = result
    folder = share(out, tmp_path / "shared")
    hub = hub_class(folder, monkeypatch)
    model = hub.from_pretrained(str(folder))
    with torch.no_grad():
        next(model.parameters()).mul_(2)
        model.save_pretrained(tmp_path / "trained")
        again = hub.from_pretrained(str(tmp_path / "trained"), strict=True)
        assert torch.equal(again(*inputs), model(*inputs))
        assert not torch.equal(again(*inputs), load_model(out, trust_code=True)(*inputs))


def test_tied_tensors_are_read(tied, tmp_path, monkeypatch):
    out, inputs = tied
    folder = share(out, tmp_path / "shared")
    model = hub_class(folder, monkeypatch).from_pretrained(str(folder))
    with torch.no_grad():
        assert torch.equal(model(*inputs), load_model(out, trust_code=True)(*inputs))


def test_the_mixin_alone_reads_a_unet(unet, tmp_path):
    class Hub(UNet, PyTorchModelHubMixin):
        pass

    out, inputs = unet
    folder = share(out, tmp_path / "shared")
    model = Hub.from_pretrained(str(folder), strict=True)
    with torch.no_grad():
        assert torch.equal(model(*inputs), load_model(out)(*inputs))
        model.save_pretrained(tmp_path / "again")
        again = Hub.from_pretrained(str(tmp_path / "again"), strict=True)
        assert torch.equal(again(*inputs), model(*inputs))


def test_the_mixin_alone_reads_a_users_class_without_values_of_its_own(load, tmp_path, monkeypatch):
    _, export, model = network(tmp_path)
    _, out = load(export, model)
    assert json.loads((out / "config.json").read_text())["modules"] == {}
    folder = share(out, tmp_path / "shared")
    monkeypatch.syspath_prepend(str(folder / "model_source"))
    source = model.rpartition(":")[0]
    module = importlib.import_module(Path(source).stem)
    monkeypatch.delitem(sys.modules, module.__name__)

    class Hub(module.Net, PyTorchModelHubMixin):
        pass

    x = torch.randn(1, 3, 7, 8)
    loaded = Hub.from_pretrained(str(folder), strict=True)
    with torch.no_grad():
        assert torch.equal(loaded(x), load_model(out, trust_code=True)(x))
