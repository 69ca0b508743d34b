"""An edited mapping.csv given back: followed, completed, and checked as strictly."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import safetensors.torch

from stage_load.errors import MappingInvalid, TensorsDoNotFit
from tests.load.networks import read_rows


def test_the_mapping_is_accepted_back_and_gives_the_same_file(classifier, load, tmp_path):
    maker, model = classifier
    export = maker.write(tmp_path / "export")
    _, first = load(export, model)
    result, second = load(export, model, map=str(first / "mapping.csv"))
    assert result["verdict"] == "proven"
    assert {row["how"] for row in read_rows(second)} == {"map"}
    name = "model.safetensors"
    assert (first / name).read_bytes() == (second / name).read_bytes()


def edited(path, change):
    """Write the mapping again with rows changed by ``change(rows)``."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows = change(rows)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def swap_variables(rows):
    by_name = {row["torch_name"]: row for row in rows}
    a, b = by_name["norm.weight"], by_name["norm.bias"]
    a["tf_name"], b["tf_name"] = b["tf_name"], a["tf_name"]
    return rows


def test_an_edited_mapping_is_followed(classifier, load, tmp_path):
    maker, model = classifier
    export = maker.write(tmp_path / "export")
    _, first = load(export, model)
    result, second = load(export, model, map=edited(first / "mapping.csv", swap_variables))
    assert result["verdict"] == "failed"
    assert result["parity"]["first_differing_layer"]["name"] == "norm"
    tensors = safetensors.torch.load_file(second / "model.safetensors")
    np.testing.assert_array_equal(tensors["norm.weight"], maker.arrays["norm/beta"])


def keep_only(*names):
    return lambda rows: [row for row in rows if row["torch_name"] in names]


def test_a_mapping_may_name_a_few_tensors_only(classifier, load, tmp_path):
    maker, model = classifier
    export = maker.write(tmp_path / "export")
    _, first = load(export, model)
    map_file = edited(first / "mapping.csv", keep_only("up.weight"))
    result, second = load(export, model, map=map_file)
    assert result["verdict"] == "proven"
    assert {row["torch_name"]: row["how"] for row in read_rows(second)}["up.weight"] == "map"
    assert sum(row["how"] == "graph" for row in read_rows(second)) == 12


def test_a_mapping_is_checked_as_strictly(classifier, load, tmp_path):
    maker, model = classifier
    export = maker.write(tmp_path / "export")
    _, first = load(export, model)

    def wrong_rule(rows):
        for row in rows:
            if row["torch_name"] == "dense.weight":
                row["rule"] = "as is"
        return rows

    with pytest.raises(
        TensorsDoNotFit, match=r"dense\.weight \[7, 60\] from logits/kernel \[60, 7\]"
    ):
        load(export, model, map=edited(first / "mapping.csv", wrong_rule))

    def drop_variable(rows):
        row = next(row for row in rows if row["torch_name"] == "first.bias")
        row.update(torch_name="", rule="skip", torch_shape="")
        return rows

    _, again = load(export, model)
    with pytest.raises(TensorsDoNotFit, match=r"first\.bias"):
        load(export, model, map=edited(again / "mapping.csv", drop_variable))

    def stale_shape(rows):
        rows[0]["tf_shape"] = "9x9"
        return rows

    _, third = load(export, model)
    with pytest.raises(MappingInvalid, match="the line says"):
        load(export, model, map=edited(third / "mapping.csv", stale_shape))
