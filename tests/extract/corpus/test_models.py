"""What the strangers' SavedModels, session bundles and frozen graphs show beyond their values."""

from __future__ import annotations

import numpy
import pytest

REGRESSION = "onnx__tensorflow-onnx/regression"


def test_one_model_in_three_formats_has_the_same_variables(exported, read_safetensors):
    paths = ("checkpoint", "saved_model", "graphdef")
    first, *others = (
        read_safetensors(exported(REGRESSION, path).out / "variables.safetensors") for path in paths
    )
    for other in others:
        assert set(other) == set(first) == {"W", "b"}
        assert all(other[name].tobytes() == first[name].tobytes() for name in first)


@pytest.mark.parametrize("given", ["", "export.meta", "export-00000-of-00001"])
def test_a_session_bundle(exported, read_safetensors, given):
    export = exported("tensorflow__serving/session_bundle_half_plus_two", given)
    assert export.graph["source"]["checkpoint_format"] == "session bundle"
    variables = read_safetensors(export.out / "variables.safetensors")
    assert variables == {"a": numpy.float32(0.5), "b": numpy.float32(2)}
    assert [one["tensor"] for one in export.graph["inputs"]] == ["x:0"]
    assert [one["tensor"] for one in export.graph["outputs"]] == ["y:0"]
    reference = read_safetensors(export.out / "reference.safetensors")
    numpy.testing.assert_array_equal(reference["y:0"], reference["x:0"] / 2 + 2)


def test_layers_of_a_frozen_graph(exported):
    graph = exported("ARM-software__ML-KWS-for-MCU/DS_CNN_M", "DS_CNN_M.pb").graph
    kinds = [layer["kind"] for layer in graph["layers"]]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "conv2d": 5,
        "depthwise_conv2d": 4,
        "batch_norm": 9,
        "dense": 1,
    }
    # TensorFlow wrote constants of ones where these batch norms have no gamma.
    norms = [layer for layer in graph["layers"] if layer["kind"] == "batch_norm"]
    assert all(layer["constants"] == {"gamma": {"value": 1.0}} for layer in norms)
