"""Tensors that no known family explains: the model says what goes where, or equal names do."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch

from stage_load.errors import LayoutUnknown
from tests.load.export_maker import ExportMaker
from tests.load.networks import read_rows, write_model

RAW_SOURCE = """
import torch
from torch import nn


class Raw(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(torch.empty(4, 3))
        self.second = nn.Parameter(torch.empty(2, 3))
        self.register_buffer("offsets", torch.arange(3.0))
"""


def raw_export():
    maker = ExportMaker()
    maker.layer("other", "b", {"w": np.arange(6, dtype=np.float32).reshape(2, 3)})
    maker.layer("other", "a", {"w": np.arange(12, dtype=np.float32).reshape(4, 3)})
    return maker


def test_variables_without_a_layout_rule_are_all_listed(load, tmp_path):
    model = f"{write_model(tmp_path, RAW_SOURCE)}:Raw"
    with pytest.raises(LayoutUnknown) as error:
        load(raw_export().write(tmp_path / "export"), model)
    lines = error.value.happened.splitlines()
    assert lines[0] == (
        "The checkpoint does not fit the model: 2 without a layout rule, "
        "2 missing in the checkpoint."
    )
    assert lines[2].startswith("  a/w [4, 3]: the axes that this operation gives")
    assert lines[3].startswith("  b/w [2, 3]: ")
    assert "--map" in error.value.remedy


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(
            {"a/w": ("first", "as is"), "b/w": ("second", "as is")},
            {"first": "as is", "second": "as is"},
            id="as-is",
        ),
        pytest.param(
            {"b/w": ("first", "IO->OI"), "a/w": ("second", "IO->OI")},
            {"first": "IO->OI", "second": "IO->OI"},
            id="permuted",
        ),
    ],
)
def test_a_model_says_itself_what_goes_where(load, tmp_path, names, expected):
    source = RAW_SOURCE + f"        self.tf1_names = {names!r}\n"
    if "IO->OI" in expected.values():
        source = source.replace("empty(4, 3)", "empty(3, 2)").replace("empty(2, 3)", "empty(3, 4)")
    maker = raw_export()
    result, out = load(maker.write(tmp_path / "export"), f"{write_model(tmp_path, source)}:Raw")
    rows = {row["torch_name"]: row for row in read_rows(out)}
    assert {name: rows[name]["rule"] for name in expected} == expected
    assert {rows[name]["how"] for name in expected} == {"model"}
    tensors = safetensors.torch.load_file(out / "model.safetensors")
    for tf_name, (torch_name, rule) in names.items():
        array = maker.arrays[tf_name]
        wanted = array if rule == "as is" else array.T
        np.testing.assert_array_equal(tensors[torch_name].numpy(), wanted)
    # A buffer that only the constructor knows is kept, and said.
    assert tensors["offsets"].tolist() == [0, 1, 2]
    assert rows["offsets"]["rule"] == "kept"
    assert result["warnings"] == [
        "1 buffer without a variable, kept as the model's constructor made it, first 'offsets'."
    ]


FLAT_SOURCE = """
import torch
from torch import nn


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        for index in range(2000):
            self.register_parameter(f"block/{index}", nn.Parameter(torch.empty(2, 3)))
"""


def test_many_variables_that_no_operation_reads_are_matched_by_equal_names(load, tmp_path):
    maker = ExportMaker()
    for index in range(2000):
        maker.variable(f"block/{index}", np.full((2, 3), index, np.float32))
    maker.variable("beside", np.zeros(4, np.float32))
    model = f"{write_model(tmp_path, FLAT_SOURCE)}:Flat"
    result, out = load(maker.write(tmp_path / "export"), model)
    assert (result["verdict"], result["tensors"], result["parameters"]) == ("unproven", 2000, 12000)
    # One module: in which order it runs is no question, so there is nothing to warn of.
    assert result["warnings"] == []
    tensors = safetensors.torch.load_file(out / "model.safetensors")
    assert all(bool((tensors[f"block/{i}"] == i).all()) for i in range(2000))
    assert [r["tf_name"] for r in read_rows(out) if r["how"] != "name"] == ["beside"]
