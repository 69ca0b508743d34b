"""A graph that no TensorFlow could run is described as far as it goes."""

from __future__ import annotations

from typing import Any, Callable

import pytest
import tensorflow as tf

from tests.extract.graph.graph_case import describe_meta, saved_variables
from tests.extract.graph.recurrent.case import lengths, sequence

v1 = tf.compat.v1
cells = v1.nn.rnn_cell


def with_lengths() -> Any:
    cell = cells.LSTMCell(3, use_peepholes=True, num_proj=2, state_is_tuple=False)
    return v1.nn.dynamic_rnn(cell, sequence(), lengths(), dtype=tf.float32)[0]


def unrolled() -> Any:
    steps = tf.unstack(sequence(2), axis=1)
    return tf.stack(v1.nn.static_rnn(cells.GRUCell(3), steps, dtype=tf.float32)[0], 1)


def keras() -> Any:
    return tf.keras.layers.GRU(3, return_sequences=True, go_backwards=True)(sequence())


@pytest.mark.parametrize("build", [with_lengths, unrolled, keras])
def test_a_node_of_any_op_may_lack_its_last_operand(build: Callable[[], Any]) -> None:
    with tf.Graph().as_default():
        tf.nn.relu(build(), name="out")
        meta = v1.train.Saver().export_meta_graph()
        variables = saved_variables()
    # In a loop the last node of an op is one of the body more often than the first.
    last = {node.op: node for node in meta.graph_def.node if not node.name.startswith("save")}
    kinds = set()
    for node in last.values():
        data = [one for one in node.input if not one.startswith("^")]
        if data:
            before = list(node.input)
            node.input.remove(data[-1])
            document = describe_meta(meta.SerializeToString(), variables).to_json()
            kinds.add(tuple(sorted({one["kind"] for one in document["layers"]})))
            del node.input[:]
            node.input.extend(before)
    # With some operands gone it is no cell any more; without others it still is one.
    assert any("other" in found or "dense" in found for found in kinds)
    assert any(found in kinds for found in (("gru",), ("lstm",)))
