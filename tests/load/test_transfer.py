"""Transfer learning: new heads, other channels and classes, half precision, frozen parameters."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.nn import functional

from stage_load import load_model
from stage_load.errors import DtypeTooNarrow, PatternInvalid, ResultDamaged, TensorsDoNotFit
from tests.load.export_maker import ExportMaker
from tests.load.networks import read_rows, to_tf, write_model

RANDOM = np.random.default_rng(8)

SOURCE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 2))
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x):
        return self.head(self.encoder(x).mean((2, 3)))
"""


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def network(tmp_path, *, channels=3, classes=6, with_head=True):
    """Return an export of a network with 3 channels and 6 classes, and another model for it."""
    kernels = normal(3, 3, 3, 4), normal(2, 2, 4, 5)
    biases, x = (normal(4), normal(5)), normal(2, 7, 8, 3)
    image = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    maker = ExportMaker()
    for number in range(2):
        weight = torch.from_numpy(kernels[number].transpose(3, 2, 0, 1).copy())
        image = functional.conv2d(image, weight, torch.from_numpy(biases[number]))
        arrays = {"kernel": kernels[number], "bias": biases[number]}
        name = f"conv{number}"
        maker.layer("conv2d", name, arrays, output=to_tf(image), data_format="NHWC")
        image = image.relu() if number == 0 else image
    y = image.mean((2, 3)).numpy()
    if with_head:
        kernel, bias = normal(5, 6), normal(6)
        y = y @ kernel + bias
        arrays = {"kernel": kernel, "bias": bias}
        maker.layer("dense", "logits", arrays, output=y, transpose_b=False)
    maker.input("x:0", x, [None, 7, 8, 3])
    maker.output("y:0", y)
    source = SOURCE.replace("CHANNELS", str(channels)).replace("CLASSES", str(classes))
    model = f"{write_model(tmp_path, source)}:Net"
    return maker, maker.write(tmp_path / "export"), model


def documents(out):
    return [json.loads((out / name).read_text()) for name in ("config.json", "report.json")]


def test_a_missing_head_keeps_its_first_values_and_the_rest_is_proven(load, tmp_path):
    maker, export, model = network(tmp_path, classes=2, with_head=False)
    with pytest.raises(TensorsDoNotFit, match=r"head\.weight \[2, 5\]"):
        load(export, model)
    result, out = load(export, model, allow_missing=["head.*"])
    assert (result["verdict"], result["reason"]) == (
        "proven",
        "2 layers compared, and no output: it depends on head.weight, which is left as initialised",
    )
    config, report = documents(out)
    for document in (config, report):
        assert document["transfer"]["allow_missing"] == ["head.*"]
        assert document["transfer"]["initialised"] == {
            "seed": 0,
            "tensors": ["head.weight", "head.bias"],
        }
    rows = {row["torch_name"]: row for row in read_rows(out)}
    assert (rows["head.weight"]["rule"], rows["head.weight"]["how"]) == ("kept", "allowed")
    tensors = safetensors.torch.load_file(out / "model.safetensors")
    torch.manual_seed(0)
    names: dict = {}
    exec(SOURCE.replace("CHANNELS", "3").replace("CLASSES", "2"), names)
    fresh = names["Net"]().state_dict()
    assert torch.equal(tensors["head.weight"], fresh["head.weight"])
    assert torch.equal(tensors["head.bias"], fresh["head.bias"])
    expected = maker.arrays["conv1/kernel"].transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(tensors["encoder.2.weight"], expected)
    assert any("2 tensors left as the constructor makes it" in text for text in result["warnings"])


def test_a_wrong_layer_before_a_new_head_still_fails(load, tmp_path):
    maker, export, model = network(tmp_path, classes=2, with_head=False)
    maker.arrays["conv0/kernel"] = maker.arrays["conv0/kernel"][::-1].copy()
    maker.write(export)
    result, _ = load(export, model, allow_missing=["head.*"])
    assert result["verdict"] == "failed"
    assert result["reason"].startswith("layer 0 (conv0, module encoder.0) is the first")


def test_what_was_not_compared_proves_nothing(load, tmp_path):
    maker, export, model = network(tmp_path, classes=2, with_head=False)
    del maker.layer_outputs[1]
    maker.write(export)
    result, _ = load(export, model, allow_missing=["head.*"])
    assert result["verdict"] == "unproven"
    assert result["reason"].endswith("left as initialised; 1 layer not compared")


def test_a_head_of_other_classes_needs_both_permissions(load, tmp_path):
    _, export, model = network(tmp_path, classes=2)
    for options in ({}, {"allow_missing": ["head.*"]}, {"allow_unused": ["logits/.*"]}):
        with pytest.raises(TensorsDoNotFit, match=r"head\.weight|logits/kernel"):
            load(export, model, **options)
    allowed = {"allow_missing": ["head.*"], "allow_unused": ["logits/.*"]}
    result, out = load(export, model, **allowed)
    assert result["verdict"] == "proven"
    left = {row["tf_name"]: row["how"] for row in read_rows(out) if not row["torch_name"]}
    assert left == {"logits/bias": "allowed", "logits/kernel": "allowed"}
    assert documents(out)[1]["skipped"] == [
        {"name": f"logits/{role}", "reason": "left out, as --allow-unused has it"}
        for role in ("bias", "kernel")
    ]


def test_adapt_leaves_a_head_of_other_classes_as_initialised(load, tmp_path):
    _, export, model = network(tmp_path, classes=2)
    result, out = load(export, model, adapt=[r"head\.weight"])
    assert result["verdict"] == "proven"
    assert "depends on head.weight" in result["reason"]
    config, _ = documents(out)
    assert config["transfer"]["initialised"]["tensors"] == ["head.weight", "head.bias"]
    assert config["transfer"]["left_out"] == ["logits/bias", "logits/kernel"]


CHANNELS = [
    pytest.param(1, lambda k: k.sum(1, keepdims=True), id="three-to-one"),
    pytest.param(2, lambda k: np.repeat(k.mean(1, keepdims=True), 2, 1) * 1.5, id="three-to-two"),
    pytest.param(
        5,
        lambda k: k[:, [0, 1, 2, 0, 1]] * np.array([0.5, 0.5, 1, 0.5, 0.5])[:, None, None],
        id="three-to-five",
    ),
]


@pytest.mark.parametrize(("channels", "expected"), CHANNELS)
def test_adapt_fits_input_channels_and_proves_the_rest(load, tmp_path, channels, expected):
    maker, export, model = network(tmp_path, channels=channels)
    with pytest.raises(TensorsDoNotFit, match="Misshapen"):
        load(export, model)
    result, out = load(export, model, adapt=[r"encoder\.0\.weight"])
    assert result["verdict"] == "proven"
    assert result["reason"].startswith("1 output and 3 layers compared")
    assert "encoder.0.weight" in result["reason"]
    rule = f"HWIO->OIHW adapt I 3->{channels}"
    assert documents(out)[0]["transfer"]["adapted"] == {"encoder.0.weight": rule}
    rows = {row["torch_name"]: row for row in read_rows(out)}
    assert (rows["encoder.0.weight"]["rule"], rows["encoder.0.weight"]["how"]) == (rule, "adapted")
    kernel = maker.arrays["conv0/kernel"].transpose(3, 2, 0, 1)
    loaded = load_model(out, trust_code=True)
    weight = loaded.encoder[0].weight.detach().numpy()
    np.testing.assert_allclose(weight, expected(kernel), rtol=1e-6)
    # An input whose channels are equal gives what TensorFlow's kernel gives for such a one.
    gray = torch.randn(1, 1, 7, 8)
    first = functional.conv2d(gray.repeat(1, 3, 1, 1), torch.from_numpy(kernel.copy()))
    again = functional.conv2d(gray.repeat(1, channels, 1, 1), torch.from_numpy(weight))
    torch.testing.assert_close(first, again, rtol=1e-4, atol=1e-4)
    assert loaded(torch.randn(1, channels, 7, 8)).shape == (1, 6)


def test_other_differences_are_not_adapted(load, tmp_path):
    _, export, model = network(tmp_path)
    path = tmp_path / "net.py"
    path.write_text(path.read_text().replace("nn.Conv2d(3, 4, 3)", "nn.Conv2d(3, 4, 5)"))
    with pytest.raises(TensorsDoNotFit, match=r"encoder\.0\.weight"):
        load(export, model, adapt=["encoder.*"])


ROUND_TRIPS = [
    pytest.param({}, {}, id="plain"),
    pytest.param({"classes": 2}, {"adapt": ["head.*"]}, id="classes"),
    pytest.param({"channels": 1}, {"adapt": ["encoder.*"]}, id="channels"),
    pytest.param(
        {"classes": 2, "with_head": False}, {"allow_missing": ["head.*"]}, id="missing-head"
    ),
]


@pytest.mark.parametrize(("shape", "options"), ROUND_TRIPS)
def test_the_mapping_alone_gives_the_same_result(load, tmp_path, shape, options):
    maker, _, model = network(tmp_path, **shape)
    maker.variable("ema/logits", normal(3))
    export = maker.write(tmp_path / "export")
    first, one = load(export, model, **options)
    second, two = load(export, model, map=str(one / "mapping.csv"))
    assert (first["verdict"], first["reason"]) == (second["verdict"], second["reason"])
    name = "model.safetensors"
    assert (one / name).read_bytes() == (two / name).read_bytes()
    rows, again = read_rows(one), read_rows(two)
    assert {row["tf_name"] for row in rows} - {""} == {*maker.arrays}
    assert [(r["tf_name"], r["torch_name"], r["rule"]) for r in rows] == [
        (r["tf_name"], r["torch_name"], r["rule"]) for r in again
    ]
    assert documents(one)[1]["skipped"][0] == documents(two)[1]["skipped"][0]


@pytest.mark.parametrize(("dtype", "step"), [("float16", 2**-11), ("bfloat16", 2**-8)])
def test_weights_are_stored_in_half_precision_after_the_proof(load, tmp_path, dtype, step):
    maker, export, model = network(tmp_path)
    result, out = load(export, model, dtype=dtype)
    assert result["verdict"] == "proven"
    assert result["parity"]["max_rel"] < 1e-6
    found = documents(out)[0]["transfer"]["dtype"]
    changes = {}
    wanted = getattr(torch, dtype)
    loaded = load_model(out, trust_code=True)
    for (name, tensor), key in zip(
        loaded.state_dict().items(),
        (
            "conv0/kernel",
            "conv0/bias",
            "conv1/kernel",
            "conv1/bias",
            "logits/kernel",
            "logits/bias",
        ),
        strict=True,
    ):
        assert tensor.dtype == wanted
        exact = torch.from_numpy(maker.arrays[key])
        changes[name] = float((exact - exact.to(wanted).float()).abs().max())
    assert found["name"] == dtype
    assert found["max_abs_rounding"] == max(changes.values())
    assert changes[found["tensor"]] == found["max_abs_rounding"]
    assert found["again"]["agrees"] is True
    assert 0 < found["again"]["max_rel"] < found["again"]["tolerance"] == 32 * step
    assert loaded(torch.randn(1, 3, 7, 8).to(wanted)).dtype == wanted


def test_weights_beyond_a_dtype_are_refused(load, tmp_path):
    maker, export, model = network(tmp_path)
    maker.arrays["conv1/bias"][2] = 1e6
    maker.write(export)
    with pytest.raises(DtypeTooNarrow, match=r"encoder\.2\.bias"):
        load(export, model, dtype="float16")
    _, out = load(export, model, dtype="bfloat16", prove=False)
    loaded = load_model(out, trust_code=True)
    assert loaded.encoder[2].bias[2] == torch.tensor(1e6).bfloat16()


def test_frozen_parameters_are_not_trained(load, tmp_path):
    _, export, model = network(tmp_path)
    _, out = load(export, model, freeze=["encoder.*"])
    config, _ = documents(out)
    names = [f"encoder.{i}.{name}" for i in (0, 2) for name in ("weight", "bias")]
    assert config["transfer"]["frozen"] == names
    loaded = load_model(out, trust_code=True)
    grads = {name: parameter.requires_grad for name, parameter in loaded.named_parameters()}
    assert [name for name, trained in grads.items() if not trained] == names
    config["transfer"]["frozen"] = ["nosuch"]
    (out / "config.json").write_text(json.dumps(config))
    with pytest.raises(ResultDamaged, match="freezes 'nosuch'"):
        load_model(out, trust_code=True)


@pytest.mark.parametrize("option", ["allow_missing", "allow_unused", "adapt", "freeze"])
@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        pytest.param("nosuch.*", "matches no", id="matches-nothing"),
        pytest.param("head(", "is no regular expression: .* at position 4", id="no-regex"),
    ],
)
def test_a_wrong_pattern_is_told(load, tmp_path, option, pattern, message):
    _, export, model = network(tmp_path)
    flag = re.escape("--" + option.replace("_", "-"))
    with pytest.raises(PatternInvalid, match=f"{flag} '{re.escape(pattern)}' {message}"):
        load(export, model, **{option: [pattern]})


def test_a_permission_that_was_not_needed_is_said(load, tmp_path):
    _, export, model = network(tmp_path)
    result, _ = load(export, model, allow_missing=["head.*"], allow_unused=["conv0.*"])
    assert result["verdict"] == "proven"
    assert "--allow-missing 'head.*' was not needed." in result["warnings"]
    assert "--allow-unused 'conv0.*' was not needed." in result["warnings"]
