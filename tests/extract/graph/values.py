"""Runs a graph with random variables beside its description, so that the two can be compared."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Sequence, Tuple

import numpy
import tensorflow as tf

from tests.extract.graph.graph_case import describe_meta, saved_variables

_compat = tf.compat.v1


def described_values(
    build: Callable[[], Any], sizes: Sequence[int], name: str = "x", positive: bool = False
) -> Tuple[Mapping[str, Any], Dict[str, Any]]:
    """Build a graph with one placeholder, describe it, and run it on a random input.

    Args:
        build: makes the graph.
        sizes: of the input, the batch included.
        name: of the placeholder.
        positive: draw variables from 0.5 to 1.5, not from a normal distribution.

    Returns:
        graph.json's object, and values: of variables by name, of each layer's tensors by tensor.
    """
    random = numpy.random.RandomState(3)
    with tf.Graph().as_default() as graph:
        build()
        meta = _compat.train.Saver().export_meta_graph().SerializeToString()
        document = describe_meta(meta, saved_variables()).to_json()
        drawn = {
            one.op.name: (
                random.uniform(0.5, 1.5, one.shape) if positive else random.normal(size=one.shape)
            ).astype("float32")
            for one in _compat.global_variables()
        }
        with _compat.Session() as session:
            for one in _compat.global_variables():
                one.load(drawn[one.op.name], session)
            tensors = {
                tensor
                for layer in document["layers"]
                for tensor in (layer["input"], layer["output"])
            }
            feed = random.normal(1.0, 2.0, sizes).astype("float32")
            run = {tensor: graph.get_tensor_by_name(tensor) for tensor in tensors}
            values = session.run(run, {f"{name}:0": feed})
    return document, {**drawn, **values}
