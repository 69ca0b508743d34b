"""Builds recurrent networks, describes them, and fetches what the description names."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, NamedTuple

import numpy
import tensorflow as tf

from tests.extract.graph.graph_case import describe_meta, saved_variables

v1 = tf.compat.v1
# Names of tensors inside a loop depend on the wrapper; the tests that need them look themselves.
_STEPS = ("step_input", "step_output")


class Built(NamedTuple):
    """What a wrapper was given and what it returned: one tensor for each recurrent layer.

    Attributes:
        source: the sequence [N, T, features].
        outputs: what each layer's `output` must be equal to.
    """

    source: Any
    outputs: Any


def sequence(time: Any = 7, features: int = 5) -> Any:
    """Give a sequence of unknown batch size."""
    return v1.placeholder(tf.float32, [None, time, features], name="x")


def check(build: Callable[[], Built]) -> Mapping[str, Any]:
    """Build a network with a dense layer on top, describe it, and compare the layers' outputs.

    Returns:
        graph.json's object.
    """
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        v1.set_random_seed(3)
        built = build()
        expected = built.outputs if isinstance(built.outputs, list) else [built.outputs]
        top = tf.concat([tf.reduce_mean(one, 1) for one in expected], 1)
        v1.layers.dense(top, 2, name="logits")
        meta = v1.train.Saver().export_meta_graph()
        document = describe_meta(meta.SerializeToString(), saved_variables()).to_json()
        assert [one["tensor"] for one in document["outputs"]] == ["logits/BiasAdd:0"]
        layers = [one for one in document["layers"] if one["kind"] in ("lstm", "gru")]
        found = [one["output"] for one in layers]
        _compare(session, built.source, dict(zip(found, expected)))
        assert len(found) == len(expected)
        _all_told(document)
    return document


def _compare(session: Any, source: Any, pairs: Mapping[str, Any]) -> None:
    session.run(v1.global_variables_initializer())
    # Biases start as zeros, with which a wrong one would make no difference.
    for seed, variable in enumerate(v1.trainable_variables()):
        random = numpy.random.RandomState(seed).uniform(-1, 1, variable.shape.as_list())
        variable.load(random.astype(numpy.float32), session)
    shape = [2 if size is None else size for size in source.shape.as_list()]
    values = numpy.random.RandomState(9).uniform(-1, 1, shape)
    for name, tensor in pairs.items():
        got, wanted = session.run([name, tensor], {source: values})
        assert wanted.any()
        numpy.testing.assert_array_equal(got, wanted)


def _all_told(document: Mapping[str, Any]) -> None:
    """Every variable of a cell has a role in its layer alone."""
    for layer in document["layers"]:
        for role, name in layer["variables"].items():
            entry = next(one for one in document["variables"] if one["name"] == name)
            assert (entry["role"], entry["op_kind"]) == (role, layer["kind"])
            assert layer["index"] in entry["layers"]


def attributes(layer: Mapping[str, Any]) -> Dict[str, Any]:
    """Give the attributes of a recurrent layer without the names inside its loop."""
    return {key: value for key, value in layer["attributes"].items() if key not in _STEPS}


def axes(document: Mapping[str, Any]) -> List[str]:
    """Give the axes of the variables of recurrent layers, in their order."""
    found = [one for one in document["variables"] if one["op_kind"] in ("lstm", "gru")]
    return [one["source_axes"] for one in sorted(found, key=lambda one: one["order"])]
