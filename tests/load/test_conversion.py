"""Whole jobs on exports made by hand: what is loaded, proven, written."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.torch
import torch

from stage_load import load_model
from stage_load.errors import TensorsDoNotFit
from tests.load.networks import CLASSIFIER_SOURCE, read_rows, write_model

EPSILON = "eps 1e-05 of 1 module set to 0.001, as the graph has it, first 'norm'."


def test_everything_is_loaded_and_proven(classifier, load, tmp_path):
    maker, model = classifier
    result, out = load(maker.write(tmp_path / "export"), model)
    assert (result["verdict"], result["reason"]) == ("proven", "1 output and 6 layers compared")
    assert result["parity"]["max_rel"] < 1e-6
    assert sorted(path.name for path in out.iterdir()) == [
        "config.json",
        "mapping.csv",
        "model.safetensors",
        "model_source",
        "report.html",
        "report.json",
    ]
    assert [
        (row["tf_name"], row["torch_name"], row["rule"], row["how"]) for row in read_rows(out)
    ] == [
        ("logits/kernel", "dense.weight", "(HWC)O->O(CHW) H=3 W=4 C=5", "graph"),
        ("logits/bias", "dense.bias", "C->C", "graph"),
        ("norm/gamma", "norm.weight", "C->C", "graph"),
        ("norm/beta", "norm.bias", "C->C", "graph"),
        ("norm/moving_mean", "norm.running_mean", "C->C", "graph"),
        ("norm/moving_variance", "norm.running_var", "C->C", "graph"),
        ("", "norm.num_batches_tracked", "constant 0.0", "constant"),
        ("up/kernel", "up.weight", "HWOI->IOHW", "graph"),
        ("first/kernel", "first.weight", "HWIO->OIHW", "graph"),
        ("first/bias", "first.bias", "C->C", "graph"),
        ("separable/depthwise/kernel", "depthwise.weight", "HWCM->(CM)1HW", "graph"),
        ("separable/depthwise/bias", "depthwise.bias", "C->C", "graph"),
        ("separable/point/kernel", "point.weight", "HWIO->OIHW", "graph"),
        ("separable/point/bias", "point.bias", "C->C", "graph"),
    ]


def test_the_result_loads_again_by_itself(classifier, load, tmp_path):
    maker, model = classifier
    _, out = load(maker.write(tmp_path / "export"), model)
    moved = out.rename(tmp_path / "moved away")
    module = load_model(moved, trust_code=True)
    assert not module.training
    assert (module.norm.eps, module.norm.momentum) == (1e-3, 0.01)
    # Outside the state dict, so only the constructor can give it its values.
    assert module.scale.tolist() == [1, 2, 3, 4, 5]
    x = torch.from_numpy(maker.feeds["x:0"]).permute(0, 3, 1, 2)
    with torch.no_grad():
        y = module(x).numpy()
    np.testing.assert_allclose(y, maker.reference_outputs["y:0"], rtol=1e-5, atol=1e-5)
    config = json.loads((moved / "config.json").read_text())
    assert config["modules"] == {"norm": {"eps": 1e-3, "momentum": 0.01}}
    assert config["inputs"] == [
        {"tensor": "x:0", "dtype": "float32", "tf_shape": [None, 4, 6, 3], "torch_axes": "NCHW"}
    ]


def test_the_file_is_what_the_library_reads_and_equal_each_time(classifier, load, tmp_path):
    maker, model = classifier
    export = maker.write(tmp_path / "export")
    outs = [load(export, model, prove=prove)[1] for prove in (True, False)]
    first, second = ((out / "model.safetensors").read_bytes() for out in outs)
    assert first == second
    tensors = safetensors.torch.load(first)
    module = load_model(outs[0], trust_code=True)
    assert tensors.keys() == module.state_dict().keys()
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensors[name], tensor), name
    with safetensors.safe_open(outs[0] / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_a_wrong_weight_fails_and_names_the_first_layer(classifier, load, tmp_path):
    maker, model = classifier
    kernel = maker.arrays["up/kernel"]
    # Swapped in TensorFlow's layout: an equal shape, another function.
    maker.arrays["up/kernel"] = np.ascontiguousarray(kernel[::-1])
    result, out = load(maker.write(tmp_path / "export"), model)
    assert result["verdict"] == "failed"
    assert result["parity"]["first_differing_layer"] == {
        "layer": 3,
        "name": "up",
        "tensor": "up/out3:0",
        "module": "up",
    }
    assert "layer 3 (up, module up) is the first that differs" in result["reason"]
    report = json.loads((out / "report.json").read_text())
    verdicts = [layer["verdict"] for layer in report["parity"]["layers"]]
    assert verdicts == ["agrees", "agrees", "agrees", "differs", "differs", "differs"]
    worst = report["parity"]["layers"][3]
    expected = maker.layer_outputs[3][tuple(worst["worst_index"])]
    assert worst["expected"] == pytest.approx(float(expected), rel=1e-6)
    assert abs(worst["expected"] - worst["actual"]) == pytest.approx(worst["max_abs"], rel=1e-6)
    assert (out / "model.safetensors").exists()
    assert json.loads((out / "config.json").read_text())["verdict"] == "failed"


def test_tolerance_decides(classifier, load, tmp_path):
    maker, model = classifier
    maker.reference_outputs["y:0"] = maker.reference_outputs["y:0"] * np.float32(1.001)
    export = maker.write(tmp_path / "export")
    strict, _ = load(export, model)
    assert (strict["verdict"], strict["parity"]["first_differing_layer"]) == ("failed", None)
    assert strict["reason"].startswith(
        "output y:0 differs: largest difference 0.000999 of the scale"
    )
    assert load(export, model, tolerance=2e-3)[0]["verdict"] == "proven"


def test_nan_in_a_weight_is_converted_and_reported(classifier, load, tmp_path):
    maker, model = classifier
    poisoned = maker.arrays["logits/kernel"].copy()
    poisoned[4, 2] = np.nan
    poisoned[5, 2] = np.inf
    maker.arrays["logits/kernel"] = poisoned
    for values in (maker.reference_outputs["y:0"], maker.layer_outputs[5]):
        values[:, 2] = np.nan
    result, out = load(maker.write(tmp_path / "export"), model)
    assert result["verdict"] == "proven"
    assert result["non_finite_weights"] == [
        {"tf_name": "logits/kernel", "torch_name": "dense.weight", "count": 2}
    ]
    assert result["warnings"] == [
        EPSILON,
        "2 elements of 'dense.weight' are NaN or infinite in the checkpoint.",
    ]
    weight = safetensors.torch.load_file(out / "model.safetensors")["dense.weight"]
    assert int(torch.isnan(weight).sum()) == 1
    assert int(torch.isinf(weight).sum()) == 1


def test_nan_in_a_weight_that_spreads_differently_proves_nothing(classifier, load, tmp_path):
    maker, model = classifier
    poisoned = maker.arrays["logits/kernel"].copy()
    poisoned[4, 2] = np.nan
    # As if TensorFlow had dropped the NaN on the way: its numbers stay finite.
    maker.arrays["logits/kernel"] = poisoned
    result, out = load(maker.write(tmp_path / "export"), model)
    assert result["verdict"] == "unproven"
    assert "spreads differently in torch" in result["reason"]
    assert result["parity"]["not_compared"] >= 2
    assert (out / "model.safetensors").is_file()


def test_nan_in_a_weight_does_not_excuse_other_differences(classifier, load, tmp_path):
    maker, model = classifier
    poisoned = maker.arrays["logits/kernel"].copy()
    poisoned[4, 2] = np.nan
    maker.arrays["logits/kernel"] = poisoned
    maker.layer_outputs[1] = maker.layer_outputs[1] * np.float32(1.01)
    result, _ = load(maker.write(tmp_path / "export"), model)
    assert result["verdict"] == "failed"
    assert result["parity"]["first_differing_layer"]["name"] == "separable/depthwise"


def test_nan_in_one_of_them_only_fails(classifier, load, tmp_path):
    maker, model = classifier
    maker.layer_outputs[1][0, 1, 0, 2] = np.nan
    result, _ = load(maker.write(tmp_path / "export"), model)
    assert result["verdict"] == "failed"
    assert result["parity"]["first_differing_layer"]["name"] == "separable/depthwise"
    assert "NaN or infinity at different places" in result["reason"]


def test_without_a_proof_it_is_unproven(classifier, load, tmp_path):
    maker, model = classifier
    result, out = load(maker.write(tmp_path / "export"), model, prove=False)
    assert (result["verdict"], result["reason"]) == ("unproven", "the proof was switched off")
    assert json.loads((out / "config.json").read_text())["verdict"] == "unproven"


def test_without_a_reference_it_is_unproven(classifier, load, tmp_path):
    maker, model = classifier
    maker.reference_outputs.clear()
    result, _ = load(maker.write(tmp_path / "export"), model)
    assert (result["verdict"], result["reason"]) == ("unproven", "switched off")
    # The input's own shape was enough to find the order in which the modules run.
    assert result["warnings"] == [EPSILON]


def test_layers_that_were_not_recorded_are_listed(classifier, load, tmp_path):
    maker, model = classifier
    del maker.layer_outputs[1], maker.layer_outputs[4]
    result, out = load(maker.write(tmp_path / "export"), model)
    assert result["reason"] == "1 output and 4 layers compared; 2 layers not compared"
    assert json.loads((out / "report.json").read_text())["parity"]["left_out"] == [
        {"layer": 1, "name": "separable/depthwise", "reason": "not recorded here"},
        {"layer": 4, "name": "norm", "reason": "not recorded here"},
    ]


def test_everything_that_does_not_fit_is_listed_at_once(classifier, load, tmp_path):
    maker, _ = classifier
    source = CLASSIFIER_SOURCE.replace("nn.Linear(5 * 3 * 4, 7)", "nn.Linear(5 * 3 * 4, 8)")
    source = source.replace(
        "super().__init__()", "super().__init__(); self.extra = nn.Embedding(5, 3)"
    ).replace("nn.Conv2d(12, 6, 1)", "nn.Conv2d(12, 6, 1, bias=False)")
    model = f"{write_model(tmp_path, source)}:Classifier"
    with pytest.raises(TensorsDoNotFit) as error:
        load(maker.write(tmp_path / "export"), model)
    assert error.value.happened.splitlines() == [
        "The checkpoint does not fit the model: 1 missing in the checkpoint, "
        "1 unexpected in the checkpoint, 2 misshapen.",
        "Missing in the checkpoint:",
        "  extra.weight [5, 3]; nothing on the other side is like it",
        "Unexpected in the checkpoint:",
        "  separable/point/bias [6]; nothing on the other side is like it",
        "Misshapen:",
        "  dense.bias [8] from logits/bias [7], which C->C makes [7]",
        "  dense.weight [8, 60] from logits/kernel [60, 7], which "
        "(HWC)O->O(CHW) H=3 W=4 C=5 makes [7, 60]",
    ]


def test_only_proposals_are_left_when_it_does_not_fit(classifier, load, tmp_path):
    maker, _ = classifier
    model = f"{write_model(tmp_path, CLASSIFIER_SOURCE.replace('Linear(5', 'Linear(6'))}:Classifier"
    with pytest.raises(TensorsDoNotFit):
        load(maker.write(tmp_path / "export"), model)
    assert [path.name for path in (tmp_path / "out0").iterdir()] == ["mapping.csv"]


def test_unread_variables_stay_out_and_are_listed(classifier, load, tmp_path):
    maker, model = classifier
    maker.variable("ema/first/kernel", np.ones((2, 3, 3, 6), np.float32))
    maker.skipped.append(
        {
            "name": "global_step",
            "dtype": "int64",
            "shape": [],
            "category": "step_counter",
            "reason": "step counter",
        }
    )
    result, out = load(maker.write(tmp_path / "export"), model)
    assert result["verdict"] == "proven"
    assert json.loads((out / "report.json").read_text())["skipped"] == [
        {"name": "ema/first/kernel", "reason": "not read by the inference graph"},
        {"name": "global_step", "reason": "step counter"},
    ]
