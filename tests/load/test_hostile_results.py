"""Result folders of strangers: refused within seconds; no configuration alone runs code."""

from __future__ import annotations

import json
import sys

import pytest

from stage_load import load_model
from stage_load.errors import ResultDamaged, UnknownModel
from tests.load.hostility import GOLDEN, MOST_MORE_BYTES, device, limited_memory, pipe, serve_job


@pytest.fixture(scope="module")
def unet(tmp_path_factory):
    """config.json and model.safetensors of a model of the registry."""
    out = tmp_path_factory.mktemp("unet")
    assert serve_job(GOLDEN / "segmenter", out)["event"] == "done"
    return {name: (out / name).read_bytes() for name in ("config.json", "model.safetensors")}


@pytest.fixture
def result(unet, tmp_path):
    for name, data in unet.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def config(*path, value):
    """Replace one value of config.json."""

    def damage(folder):
        document = json.loads((folder / "config.json").read_text())
        place = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        (folder / "config.json").write_text(json.dumps(document))

    return damage


CONVOLUTION = ("model", "config", "encoder", 0, "block", 0)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(config("transfer", value=3), id="transfer-a-number"),
        pytest.param(config("transfer", "frozen", value=7), id="frozen-a-number"),
        pytest.param(config("transfer", "frozen", value=[["x"]]), id="frozen-a-list-of-lists"),
        pytest.param(config("transfer", "dtype", value={"name": []}), id="dtype-a-list"),
        pytest.param(config("transfer", "dtype", value="float16"), id="dtype-a-text"),
        pytest.param(config("version", value=True), id="version-true"),
        pytest.param(config(*CONVOLUTION, "out_channels", value=10**9), id="channels-a-billion"),
        pytest.param(config(*CONVOLUTION, "out_channels", value=2**62), id="channels-2-to-the-62"),
        pytest.param(config(*CONVOLUTION, "kernel_size", value=[10**5] * 2), id="kernel-of-10-GB"),
        pytest.param(config(*CONVOLUTION, "step", value="__class__"), id="step-a-class"),
        pytest.param(config(*CONVOLUTION, "__init__", value=3), id="step-with-another-setting"),
        pytest.param(config("model", "config", "in_channels", value=10**400), id="input-10-to-400"),
        pytest.param(pipe("config.json"), id="config-pipe"),
        pytest.param(device("config.json"), id="config-device"),
        pytest.param(pipe("model.safetensors"), id="weights-pipe"),
    ],
)
def test_a_result_that_lies(damage, result):
    damage(result)
    with limited_memory(MOST_MORE_BYTES), pytest.raises(ResultDamaged):
        load_model(result)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        pytest.param("os:system", None, id="os-system"),
        pytest.param("os:system", "x.py", id="os-system-with-source"),
        pytest.param("subprocess:Popen", None, id="popen"),
        pytest.param("stage_load.models.registry:importlib.import_module", None, id="walk"),
        pytest.param("unet:os.system", None, id="of-a-known-name"),
        pytest.param("net.py:Net", "net.py", id="own-file"),
        pytest.param("net.py:Net", "../net.py", id="file-above"),
        pytest.param("../../net.py:Net", None, id="name-above"),
        pytest.param("{}/net.py:Net", None, id="absolute-name"),
        pytest.param("unet", "{}/net.py", id="absolute-source"),
        pytest.param("unet", "", id="source-empty"),
        pytest.param(":Net", "net.py", id="no-module"),
        pytest.param("net.py", "net.py", id="file-without-a-class"),
        pytest.param("stage_load", None, id="a-module"),
        pytest.param("__main__", None, id="main"),
        pytest.param("unet\0", None, id="null"),
    ],
)
def test_no_configuration_alone_runs_code(name, source, result, capfd):
    code = "print('ran', flush=True)\n"
    for place in (result / "model_source", result, result.parent):
        place.mkdir(exist_ok=True)
        (place / "net.py").write_text(code)
    filled = [None if text is None else text.format(result) for text in (name, source)]
    config("model", "name", value=filled[0])(result)
    config("model", "source", value=filled[1])(result)
    imported = set(sys.modules)
    with pytest.raises((ResultDamaged, UnknownModel)):
        load_model(result)
    assert capfd.readouterr().out == ""
    assert set(sys.modules) == imported


def test_a_source_leads_nowhere_out_of_the_folder(result, capfd):
    """Also of code that its caller trusts: what is run is the copy that lies in the folder."""
    (result.parent / "net.py").write_text("print('ran', flush=True)\n")
    config("model", value={"name": "net.py:Net", "source": "../../net.py", "config": {}})(result)
    with pytest.raises(UnknownModel, match="no file"):
        load_model(result, trust_code=True)
    assert capfd.readouterr().out == ""
