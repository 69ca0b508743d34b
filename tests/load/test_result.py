"""Result folders: loaded again, refused when damaged; what the report counts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stage_load import load_model
from stage_load.errors import DeviceUnavailable, ResultDamaged, UnknownModel
from tests.load.networks import write_model

ROOT = Path(__file__).parents[2]


@pytest.fixture
def result(classifier, load, tmp_path):
    maker, model = classifier
    _, out = load(maker.write(tmp_path / "export"), model)
    return out


def change(path, function):
    document = json.loads(path.read_text())
    function(document)
    path.write_text(json.dumps(document))


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        pytest.param(
            lambda f: (f / "config.json").unlink(), ResultDamaged, "There is no ", id="no-config"
        ),
        pytest.param(
            lambda f: (f / "config.json").write_text("{"),
            ResultDamaged,
            "cannot be read",
            id="cut-config",
        ),
        pytest.param(
            lambda f: change(f / "config.json", lambda d: d.update(format="x")),
            ResultDamaged,
            "no configuration",
            id="format",
        ),
        pytest.param(
            lambda f: change(f / "config.json", lambda d: d.update(version=9)),
            ResultDamaged,
            "version 9",
            id="version",
        ),
        pytest.param(
            lambda f: change(
                f / "config.json", lambda d: d["model"].update(name="nosuch", source=None)
            ),
            UnknownModel,
            "no model 'nosuch'",
            id="model",
        ),
        pytest.param(
            lambda f: (f / "model.safetensors").unlink(),
            ResultDamaged,
            "No such file",
            id="no-weights",
        ),
        pytest.param(cut, ResultDamaged, "the tensors end", id="cut-weights"),
        pytest.param(
            lambda f: write_model(
                f / "model_source",
                "from torch import nn\n\n\ndef Classifier():\n    return nn.Linear(2, 3)\n",
            ),
            ResultDamaged,
            "has a tensor 'bias'",
            id="other-model",
        ),
    ],
)
def test_a_damaged_folder(damage, error, message, result):
    damage(result)
    with pytest.raises(error, match=message):
        load_model(result, trust_code=True)


def test_shapes_are_checked(result):
    path = result / "model_source" / "net.py"
    path.write_text(path.read_text().replace("nn.Linear(5 * 3 * 4, 7)", "nn.Linear(5 * 3 * 4, 8)"))
    with pytest.raises(ResultDamaged, match=r"'dense\.\w+' is \[7"):
        load_model(result, trust_code=True)


def test_a_users_code_runs_only_when_it_is_trusted(result):
    with pytest.raises(ResultDamaged, match="owner's own Python code") as error:
        load_model(result)
    assert "trust_code=True" in error.value.expected
    assert str(result / "model_source") in error.value.remedy


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_what_is_no_result_is_told_so(name, tmp_path):
    with pytest.raises(ResultDamaged, match=r"There is no .*config\.json") as error:
        load_model(tmp_path / name)
    assert "orchestrate.py load" in error.value.remedy


@pytest.mark.parametrize("name", ["Classifier", "unet"])
def test_a_name_without_a_colon_does_not_make_code_trusted(name, result):
    write_model(result / "model_source", "raise SystemExit('ran')\n")
    change(result / "config.json", lambda d: d["model"].update(name=name))
    with pytest.raises(ResultDamaged, match="owner's own Python code"):
        load_model(result)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"model": None}, id="model-null"),
        pytest.param({"model": []}, id="model-a-list"),
        pytest.param({"model": {}}, id="model-without-name"),
        pytest.param({"model": {"name": 3}}, id="name-a-number"),
        pytest.param({"model": {"name": "unet", "source": 3}}, id="source-a-number"),
        pytest.param({"model": {"name": "unet", "config": [1]}}, id="config-a-list"),
        pytest.param({"model": {"name": "unet", "config": {}}}, id="config-empty"),
        pytest.param({"modules": None}, id="modules-null"),
        pytest.param({"modules": {"norm": {"forward": 1.0}}}, id="modules-set-a-method"),
        pytest.param({"modules": {"norm": {"eps": "1"}}}, id="modules-set-a-text"),
        pytest.param({"modules": {"nosuch": {"eps": 1.0}}}, id="modules-of-another-model"),
    ],
)
def test_a_configuration_of_wrong_types(values, result):
    change(result / "config.json", lambda d: d.update(values))
    with pytest.raises(ResultDamaged):
        load_model(result, trust_code=True)


def test_a_configuration_that_is_nested_without_end(result):
    (result / "config.json").write_text("[" * 200_000)
    with pytest.raises(ResultDamaged, match="cannot be read"):
        load_model(result)


def test_no_code_from_outside_the_folder_is_run(result, tmp_path):
    outside = write_model(tmp_path / "elsewhere", "raise SystemExit('ran')\n", "evil.py")
    change(
        result / "config.json",
        lambda d: d["model"].update(source=f"../../elsewhere/{outside.name}"),
    )
    with pytest.raises(UnknownModel, match=r"model_source/evil\.py"):
        load_model(result, trust_code=True)


def test_a_device_that_is_not_there(result):
    with pytest.raises(DeviceUnavailable):
        load_model(result, device="cuda:99", trust_code=True)


def test_fine_tuning_can_start_at_once(result):
    module = load_model(result, trust_code=True).train()
    before = module.norm.running_mean.clone()
    loss = module(torch.ones(2, 3, 4, 6)).square().sum()
    loss.backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    # momentum = 1 - decay
    assert not torch.equal(module.norm.running_mean, before)
    assert module.norm.momentum == 0.01


def test_neither_tensorflow_nor_the_host_side_is_imported(result):
    code = (
        "import sys\n"
        "import stage_load\n"
        "assert 'torch' not in sys.modules\n"
        "from stage_load import load_model\n"
        f"load_model({str(result)!r}, trust_code=True)\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "unwanted = {'tensorflow', 'orchestration', 'stage_extract', 'fastjsonschema', 'jinja2'}\n"
        "print(sorted(names & unwanted))\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert process.stdout.strip() == "[]"


def test_the_report_adds_up(result):
    report = json.loads((result / "report.json").read_text())
    assert report["coverage"] == {
        "by": {"constant": 1, "graph": 13},
        "layers": 6,
        "layers_placed": 6,
        "parameters": 809,
        "torch_tensors": 14,
        "variables": 13,
        "variables_loaded": 13,
    }
    assert report["batch_norm"] == {"norm": {"eps": 0.001, "momentum": 0.01}}
    assert report["parity"]["compared_layers"] == len(report["parity"]["layers"]) == 6
