"""Lookup tables lie in a checkpoint as keys and values: they are listed, and are no weights."""

from __future__ import annotations

import json

import numpy
import pytest
import tensorflow
from safetensors.numpy import load_file
from tensorflow.python.ops.lookup_ops import MutableHashTable

compat = tensorflow.compat.v1


@pytest.mark.parametrize(
    ("keys", "values", "default"),
    [
        pytest.param(["a", "b"], [3, 4], -1, id="words-to-numbers"),
        pytest.param([5, 6], [0.5, 0.25], 0.0, id="numbers-to-weights"),
        pytest.param([5, 6], ["x", "y"], "", id="numbers-to-words"),
    ],
)
def test_tables_are_listed(tmp_path, out, run_extraction, keys, values, default):
    with compat.Graph().as_default(), compat.Session() as session:
        key_tensor, value_tensor = compat.constant(keys), compat.constant(values)
        if key_tensor.dtype == "int32":
            key_tensor = compat.cast(key_tensor, "int64")
        if value_tensor.dtype == "int32":
            value_tensor = compat.cast(value_tensor, "int64")
        table = MutableHashTable(key_tensor.dtype, value_tensor.dtype, default, name="names")
        compat.layers.dense(compat.placeholder("float32", [None, 5], name="x"), 3, name="d")
        session.run([compat.global_variables_initializer()])
        session.run(table.insert(key_tensor, value_tensor))
        prefix = compat.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    run_extraction(prefix, out)
    graph = json.loads((out / "graph.json").read_text("utf-8"))
    tables = [one for one in graph["skipped"] if one["category"] == "hash_table"]
    assert [(one["name"], one["shape"]) for one in tables] == [
        ("names-keys", [2]),
        ("names-values", [2]),
    ]
    assert tables[0]["reason"] == "the keys of the lookup table names"
    assert sorted(load_file(str(out / "variables.safetensors"))) == ["d/bias", "d/kernel"]
    assert [layer["kind"] for layer in graph["layers"]] == ["dense"]


def test_weights_that_are_called_so_stay(tmp_path, out, run_extraction, save_bundle):
    """Keys and values of attention: no lookup table has keys of float."""
    arrays = {name: numpy.ones((4, 4), "float32") for name in ("head-keys", "head-values")}
    run_extraction(save_bundle(tmp_path / "model.ckpt", arrays), out)
    assert sorted(load_file(str(out / "variables.safetensors"))) == ["head-keys", "head-values"]
