"""Names of models, the user's own models, and devices."""

from __future__ import annotations

import sys

import pytest
import torch

from stage_load import devices
from stage_load.devices import choose_device
from stage_load.errors import DeviceUnavailable, FactoryFailed, UnknownModel
from stage_load.models.registry import MODELS, find_model
from tests.load.networks import write_model

NET = """
from torch import nn


class Net(nn.Linear):
    def __init__(self):
        super().__init__(2, 3)
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("unett", "nearest: unet", id="nearly"),
        pytest.param("UNet", "nearest: unet", id="capitals"),
        pytest.param("resnet", "nearest: unet", id="far"),
        pytest.param("", "There is no model ''", id="empty"),
        pytest.param("absent.py:Net", r"no file 'absent\.py'", id="no-file"),
        pytest.param(
            "no_such_package.models:Net", "no module 'no_such_package.models'", id="module"
        ),
        pytest.param("torch.nn:Linar", "has no 'Linar'; nearest: ", id="nearly-in-module"),
        pytest.param("torch:float32", "cannot be called", id="no-callable"),
    ],
)
def test_unknown_model(name, message):
    with pytest.raises(UnknownModel, match=message):
        find_model(name)


def test_every_registered_model_is_there():
    for name in MODELS:
        model = find_model(name)
        assert callable(model.prepare)


def build(name):
    return find_model(name).restore(None).build()


def test_a_file_with_neighbours(tmp_path):
    write_model(tmp_path / "own models", "WIDTH = 5\n", "sizes_beside.py")
    source = "from torch import nn\nfrom sizes_beside import WIDTH\n"
    source += "def make():\n    return nn.Linear(2, WIDTH)\n"
    path = write_model(tmp_path / "own models", source, "größe, net.py")
    assert build(f"{path}:make").out_features == 5
    # Another job's file may have another neighbour of that name.
    assert "sizes_beside" not in sys.modules
    assert str(path.parent) not in sys.path
    assert not list(path.parent.glob("__pycache__"))


def test_the_same_file_changed_between_two_jobs(tmp_path):
    path = write_model(tmp_path, NET)
    assert build(f"{path}:Net").out_features == 3
    path.write_text(NET.replace("2, 3", "2, 7"))
    assert build(f"{path}:Net").out_features == 7


def test_a_module_of_the_environment():
    assert isinstance(build("torch.nn:Identity"), torch.nn.Identity)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("import no_such_thing\n", "ModuleNotFoundError", id="import"),
        pytest.param("def broken(:\n", "SyntaxError", id="syntax"),
        pytest.param("raise OSError('boom')\n", "OSError: boom", id="raises"),
    ],
)
def test_a_file_that_cannot_be_imported(source, message, tmp_path):
    path = write_model(tmp_path, source)
    with pytest.raises(FactoryFailed, match=message):
        find_model(f"{path}:Net")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            "raise ZeroDivisionError('boom')", "raised ZeroDivisionError: boom", id="raises"
        ),
        pytest.param("return 7", "returned a int", id="no-module"),
    ],
)
def test_a_factory_that_fails(body, message, tmp_path):
    path = write_model(tmp_path, f"def make():\n    {body}\n")
    with pytest.raises(FactoryFailed, match=message):
        build(f"{path}:make")


def cuda(monkeypatch, count):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(
    ("wanted", "count", "expected"),
    [
        pytest.param("cpu", 0, "cpu", id="cpu"),
        pytest.param("cpu", 2, "cpu", id="cpu-although-there-is-cuda"),
        pytest.param("auto", 2, "cuda:0", id="auto-cuda"),
        pytest.param("cuda", 1, "cuda:0", id="cuda"),
        pytest.param("cuda:1", 2, "cuda:1", id="second"),
    ],
)
def test_device(wanted, count, expected, monkeypatch):
    cuda(monkeypatch, count)
    choice = choose_device(wanted)
    assert str(choice.device) == expected
    assert choice.note is None


def test_auto_falls_back_to_the_cpu_and_says_so(monkeypatch):
    cuda(monkeypatch, 0)
    choice = choose_device("auto")
    assert str(choice.device) == "cpu"
    assert choice.note.startswith("no CUDA device (")
    assert choice.note.endswith("ran on the CPU")


@pytest.mark.parametrize(
    ("wanted", "count", "message"),
    [
        pytest.param("cuda", 0, "'cuda' is not there: t", id="no-cuda"),
        pytest.param("cuda:1", 1, "1 CUDA device was found", id="no-second"),
        pytest.param("gpu", 1, "'gpu' is not known", id="unknown"),
        pytest.param("cuda:x", 1, "'cuda:x' is not known", id="no-number"),
    ],
)
def test_a_device_asked_for_by_name_is_never_replaced(wanted, count, message, monkeypatch):
    cuda(monkeypatch, count)
    with pytest.raises(DeviceUnavailable, match=message):
        choose_device(wanted)


def test_what_the_ready_event_says(monkeypatch):
    cuda(monkeypatch, 0)
    assert devices.describe_device() == {"cuda": False, "name": "cpu", "count": 0}
