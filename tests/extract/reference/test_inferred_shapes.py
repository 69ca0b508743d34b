"""A graph that was saved without shapes gets those that TensorFlow would have written."""

from __future__ import annotations

import tensorflow
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

from stage_extract.graph.graphdef import to_meta_graph
from stage_extract.reference.inferred_shapes import with_shapes

compat = tensorflow.compat.v1


def saved(add_shapes, device=""):
    graph = compat.Graph()
    with graph.as_default(), compat.device(device):
        x = compat.placeholder("float32", [None, 8, 6, 2], name="x")
        hidden = compat.layers.conv2d(x, 5, 3, strides=2, name="conv")
        compat.layers.dense(compat.reshape(hidden, [-1, 30]), 7, name="dense")
    meta = MetaGraphDef()
    meta.graph_def.CopyFrom(graph.as_graph_def(add_shapes=add_shapes))
    return to_meta_graph(meta)


def shapes(meta):
    return {node.name: [node.shape_attribute(output) for output in range(4)] for node in meta.graph}


def test_the_shapes_are_those_that_a_saver_writes():
    expected = shapes(saved(add_shapes=True))
    assert expected["dense/BiasAdd"][0] == (None, 7)
    assert expected["conv/BiasAdd"][0] == (None, 3, 2, 5)
    assert shapes(with_shapes(saved(add_shapes=False))) == expected


def test_the_device_of_the_training_is_no_obstacle():
    meta = with_shapes(saved(add_shapes=False, device="/job:worker/device:GPU:3"))
    assert meta.graph.get("dense/BiasAdd").shape_attribute(0) == (None, 7)


def test_a_graph_that_has_shapes_is_left_alone():
    meta = saved(add_shapes=True)
    assert with_shapes(meta) is meta


def test_without_the_library_of_a_custom_op_there_are_no_shapes():
    plain = saved(add_shapes=False)
    plain.proto.graph_def.node.add(name="custom", op="NobodysOp")
    meta = to_meta_graph(plain.proto)
    assert with_shapes(meta) is meta
    assert not any(node.has_shapes() for node in meta.graph)
