"""Rules by hand: from variables to tensors by regular expressions, and what is wrong with them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.torch

from stage_load.errors import RuleInvalid, TensorsDoNotFit
from stage_load.jobs import parse_job
from stage_load.name_rules import parse_name_rules
from tests.load.export_maker import ExportMaker
from tests.load.networks import read_rows, write_model

RANDOM = np.random.default_rng(5)

# Two branches of equal shape, summed: neither order nor shape tells them apart, and no name does.
BRANCHES = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.paths = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def forward(self, x):
        return sum(path(x) for path in self.paths)
"""


def branches(tmp_path):
    """Return an export of three dense branches without a reference, and the model."""
    maker = ExportMaker()
    for number in range(3):
        arrays = {
            "kernel": RANDOM.normal(size=(4, 4)).astype(np.float32),
            "bias": RANDOM.normal(size=4).astype(np.float32),
        }
        maker.layer("dense", f"tower{number}/fc", arrays, transpose_b=False)
    return maker, f"{write_model(tmp_path, BRANCHES)}:Net"


def test_the_rules_place_what_they_name_and_matching_does_the_rest(load, tmp_path):
    maker, model = branches(tmp_path)
    rules = [r"tower(?:2)/fc/kernel -> paths.0.weight", r"tower(0)/fc/(\w*)as -> paths.1.\2as"]
    _, out = load(maker.write(tmp_path / "export"), model, rules=[*rules, TOWER_1])
    tensors = safetensors.torch.load_file(out / "model.safetensors")
    np.testing.assert_array_equal(tensors["paths.0.weight"], maker.arrays["tower2/fc/kernel"].T)
    np.testing.assert_array_equal(tensors["paths.0.bias"], maker.arrays["tower2/fc/bias"])
    np.testing.assert_array_equal(tensors["paths.1.weight"], maker.arrays["tower0/fc/kernel"].T)
    np.testing.assert_array_equal(tensors["paths.1.bias"], maker.arrays["tower0/fc/bias"])
    np.testing.assert_array_equal(tensors["paths.2.weight"], maker.arrays["tower1/fc/kernel"].T)
    how = {row["torch_name"]: row["how"] for row in read_rows(out)}
    assert [name for name, by in how.items() if by == "rule"] == [
        "paths.0.weight",
        "paths.1.bias",
        "paths.2.weight",
    ]


TOWER_1 = r"(?P<what>tower)1/fc/kernel -> paths.2.weight [IO->OI]"


def test_a_layout_of_a_rule_is_obeyed(load, tmp_path):
    maker, model = branches(tmp_path)
    rules = [r"tower(\d)/fc/kernel -> paths.\1.weight [AB->AB]"]
    _, out = load(maker.write(tmp_path / "export"), model, rules=rules)
    tensors = safetensors.torch.load_file(out / "model.safetensors")
    for number in range(3):
        kernel = maker.arrays[f"tower{number}/fc/kernel"]
        np.testing.assert_array_equal(tensors[f"paths.{number}.weight"], kernel)


def test_a_rule_may_leave_variables_out(classifier, load, tmp_path):
    maker, model = classifier
    maker.layer("dense", "aux/logits", {"kernel": np.ones((3, 2), np.float32)}, transpose_b=False)
    export = maker.write(tmp_path / "export")
    with pytest.raises(TensorsDoNotFit, match="aux/logits/kernel"):
        load(export, model)
    result, out = load(export, model, rules=["aux/.* -> skip"])
    assert result["verdict"] == "proven"
    assert read_rows(out)[-1] | {"tf_shape": ""} == {
        "tf_name": "aux/logits/kernel",
        "torch_name": "",
        "rule": "skip",
        "tf_shape": "",
        "torch_shape": "",
        "how": "rule",
        "confidence": "",
    }
    assert json.loads((out / "report.json").read_text())["skipped"] == [
        {"name": "aux/logits/kernel", "reason": "left out by the rule"}
    ]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        pytest.param(
            [r"first/kernels -> first.weight"],
            "'first/kernels -> first.weight' matches no variable; nearest: 'first/",
            id="matches-nothing",
        ),
        pytest.param(
            [r"(first)/kernel -> \1.weights"],
            "'first/kernel' -> no tensor 'first.weights' in the model; nearest: 'first.weight'",
            id="no-such-tensor",
        ),
        pytest.param(
            ["first/(.*) -> first.weight", "first/kernel -> skip"],
            "'first/kernel' is matched by 'first/(.*) -> first.weight' and by "
            "'first/kernel -> skip'",
            id="one-variable-twice",
        ),
        pytest.param(
            ["norm/(gamma|beta) -> norm.weight"],
            "'norm.weight' would be filled by 'norm/beta' and by 'norm/gamma'",
            id="one-tensor-twice",
        ),
    ],
)
def test_rules_that_do_not_fit_are_told(classifier, load, tmp_path, rules, message):
    maker, model = classifier
    with pytest.raises(RuleInvalid) as error:
        load(maker.write(tmp_path / "export"), model, rules=rules)
    assert message in error.value.happened


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a/kernel", "has no '->'", id="no-arrow"),
        pytest.param("a/kernel -> ", "has no '->'", id="no-name"),
        pytest.param("a(/kernel -> b", "unterminated subpattern at position 1", id="bad-regex"),
        pytest.param(r"(a) -> b.\2", "invalid group reference 2 at position 3", id="no-group"),
        pytest.param(r"(a) -> b.\g<x>", "unknown group name 'x'", id="no-named-group"),
        pytest.param("a -> b [HWIO]", "'HWIO' is no rule", id="bad-layout"),
        pytest.param("a -> b [constant 1]", "is no layout for a variable", id="constant"),
        pytest.param("a -> skip [IO->OI]", "is no layout for a variable", id="skip-and-layout"),
    ],
)
def test_what_is_no_rule(text, message):
    with pytest.raises(RuleInvalid) as error:
        parse_name_rules(["x -> y", text])
    assert message in error.value.happened
    assert error.value.happened.count("\n") == 1


def test_the_map_comes_before_the_rules_and_the_rules_before_the_model(load, tmp_path):
    maker, _ = branches(tmp_path)
    told = "        self.tf1_names = {f'tower{i}/fc/kernel': f'paths.{i}.weight' for i in range(3)}"
    source = BRANCHES.replace("\n\n    def forward", f"\n{told}\n\n    def forward")
    model = f"{write_model(tmp_path, source)}:Net"
    map_file = tmp_path / "map.csv"
    map_file.write_text("tf_name,torch_name\ntower0/fc/kernel,paths.1.weight\n")
    rules = [r"tower0/fc/kernel -> paths.2.weight", r"tower1/fc/kernel -> paths.0.weight"]
    export = maker.write(tmp_path / "export")
    _, out = load(export, model, map=str(map_file), rules=rules)
    placed = {row["tf_name"]: (row["torch_name"], row["how"]) for row in read_rows(out)}
    assert placed["tower0/fc/kernel"] == ("paths.1.weight", "map")
    assert placed["tower1/fc/kernel"] == ("paths.0.weight", "rule")
    assert placed["tower2/fc/kernel"] == ("paths.2.weight", "model")


def test_a_job_with_rules_that_are_no_texts_is_refused():
    options = {"model": "unet", "rules": "a -> b"}
    job = {"job": "1", "command": "check", "options": options}
    with pytest.raises(Exception, match="a list of texts"):
        parse_job(job)
