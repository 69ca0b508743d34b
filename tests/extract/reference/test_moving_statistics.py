"""Graphs saved with is_training=True in Python: the reference is that of their inference graph."""

from __future__ import annotations

from typing import Any, Callable, Tuple

import numpy
import pytest
import tensorflow
from tensorflow.contrib import layers as contrib

from stage_extract.graph.describe import describe
from stage_extract.graph.meta_file import MetaFile
from stage_extract.jobs import ExtractOptions
from stage_extract.reference.filling import RestoringFiller
from stage_extract.reference.record import record
from tests.extract.reference.conftest import read_safetensors

compat = tensorflow.compat.v1


def images() -> Any:
    return compat.placeholder("float32", [None, 9, 8, 3], name="x")


def tf_layers(training: bool) -> Any:
    """The updates wait in a collection; the training step asks for them."""
    hidden = compat.layers.conv2d(images(), 4, 3)
    hidden = compat.layers.batch_normalization(hidden, momentum=0.6, training=training)
    return compat.layers.conv2d(tensorflow.nn.relu(hidden), 2, 1, name="last")


def spelled_out(training: bool) -> Any:
    """A batch norm of rows has no op of its own."""
    hidden = compat.layers.dense(compat.placeholder("float32", [None, 7], name="x"), 5)
    hidden = compat.layers.batch_normalization(hidden, momentum=0.6, training=training)
    return compat.layers.dense(tensorflow.nn.relu(hidden), 3, name="last")


def in_place(training: bool) -> Any:
    """contrib's updates_collections=None: what follows waits for the update."""
    settings = {"is_training": training, "updates_collections": None, "decay": 0.6}
    hidden = contrib.conv2d(
        images(), 4, 3, normalizer_fn=contrib.batch_norm, normalizer_params=settings
    )
    return contrib.conv2d(hidden, 2, 1, activation_fn=None, scope="last")


def by_hand(training: bool) -> Any:
    """A tutorial's own batch norm, with assignments of v * decay + batch * (1 - decay)."""
    hidden = compat.layers.dense(compat.placeholder("float32", [None, 7], name="x"), 5)
    mean = compat.get_variable("mean", [5], trainable=False)
    variance = compat.get_variable("var", [5], initializer=compat.ones_initializer())
    beta = compat.get_variable("beta", [5])
    if not training:
        normal = tensorflow.nn.batch_normalization(hidden, mean, variance, beta, None, 1e-3)
    else:
        batch_mean, batch_variance = compat.nn.moments(hidden, [0])
        updates = [
            compat.assign(mean, mean * 0.6 + batch_mean * 0.4),
            compat.assign(variance, variance * 0.6 + batch_variance * 0.4),
        ]
        with tensorflow.control_dependencies(updates):
            normal = tensorflow.nn.batch_normalization(
                hidden, batch_mean, batch_variance, beta, None, 1e-3
            )
    return compat.layers.dense(normal, 3, name="last")


def trained(build: Callable[[bool], Any], prefix: str) -> Tuple[str, Tuple[Any, ...]]:
    """Train for two steps and save; gives the output's name and the input's shape."""
    with compat.Graph().as_default() as graph, compat.Session() as session:
        compat.set_random_seed(5)
        output = build(True)
        loss = tensorflow.reduce_mean(tensorflow.square(output - 1.0))
        with tensorflow.control_dependencies(compat.get_collection("update_ops")):
            step = compat.train.GradientDescentOptimizer(0.1).minimize(loss)
        session.run(compat.global_variables_initializer())
        shape = (6, *graph.get_tensor_by_name("x:0").shape.as_list()[1:])
        for seed in (1, 2):
            drawn = numpy.random.RandomState(seed).normal(2.0, 3.0, shape)
            session.run(step, {"x:0": drawn})
        compat.train.Saver().save(session, prefix)
        return output.name, shape


@pytest.mark.parametrize("build", [tf_layers, spelled_out, in_place, by_hand])
def test_reference_is_that_of_the_inference_graph(build: Any, tmp_path: Any) -> None:
    prefix = str(tmp_path / "model.ckpt")
    output, _ = trained(build, prefix)
    meta_path, options = prefix + ".meta", ExtractOptions()
    description = describe(MetaFile(meta_path), RestoringFiller(prefix).variables(), options)
    document = description.to_json()
    assert [one["tensor"] for one in document["outputs"]] == [output]
    norms = [layer for layer in document["layers"] if layer["kind"] == "batch_norm"]
    assert [layer["attributes"]["is_training"] for layer in norms] == [False]
    path = tmp_path / "reference.safetensors"
    result = record(MetaFile(meta_path), RestoringFiller(prefix), description, options, str(path))
    assert (result.state, result.reason) == ("recorded", None)
    tensors = read_safetensors(path)
    with compat.Graph().as_default(), compat.Session() as session:
        expected = build(False)
        compat.train.Saver().restore(session, prefix)
        computed = session.run(expected, {"x:0": tensors["x:0"]})
        normal = session.run(_normalised(norms[0]["output"]), {"x:0": tensors["x:0"]})
    numpy.testing.assert_allclose(tensors[output], computed, rtol=1e-4, atol=1e-5)
    numpy.testing.assert_allclose(tensors[norms[0]["output"]], normal, rtol=1e-4, atol=1e-5)


def _normalised(tensor: str) -> Any:
    return compat.get_default_graph().get_tensor_by_name(tensor)
