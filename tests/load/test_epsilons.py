"""An epsilon that is set on a module is said."""

from __future__ import annotations

import json

import pytest
from torch import nn

from stage_load.epsilons import changed_epsilons, own_epsilons


@pytest.fixture
def model():
    return nn.ModuleDict(
        {
            "a": nn.BatchNorm2d(2, eps=1e-5),
            "b": nn.BatchNorm2d(3, eps=1e-3),
            "c": nn.BatchNorm1d(4, eps=1e-5),
            "d": nn.BatchNorm2d(5, eps=1e-6),
            "e": nn.Conv2d(6, 7, 1),
        }
    )


def test_each_change_is_said_once_with_its_first_module(model):
    settings = {path: {"eps": 1e-3, "momentum": 0.01} for path in "abcde"}
    assert changed_epsilons(own_epsilons(model), settings) == (
        "eps 1e-06 of 1 module set to 0.001, as the graph has it, first 'd'.",
        "eps 1e-05 of 2 modules set to 0.001, as the graph has it, first 'a'.",
    )


def test_nothing_is_said_where_nothing_changes(model):
    assert (
        changed_epsilons(own_epsilons(model), {"b": {"eps": 1e-3}, "a": {"momentum": 0.01}}) == ()
    )


def test_it_is_a_warning_of_the_conversion(load, tmp_path, classifier):
    maker, name = classifier
    result, out = load(maker.write(tmp_path / "export"), name)
    warning = "eps 1e-05 of 1 module set to 0.001, as the graph has it, first 'norm'."
    assert result["verdict"] == "proven"
    assert warning in result["warnings"]
    assert warning in json.loads((out / "report.json").read_text())["warnings"]
