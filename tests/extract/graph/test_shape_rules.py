"""Shapes by rules are those of TensorFlow's own inference, and tell at least what flattens need."""

from __future__ import annotations

import pytest
import tensorflow

from stage_extract.graph.graphdef import parse_graph
from stage_extract.graph.shapes import StaticShapes

compat = tensorflow.compat.v1
layers = compat.layers


def classifier():
    x = compat.placeholder("float32", [None, 32, 24, 3], name="x")
    net = layers.conv2d(x, 5, (3, 2), strides=2, padding="same", activation=tensorflow.nn.relu)
    net = layers.batch_normalization(net)
    net = layers.max_pooling2d(net, (3, 2), 2, padding="valid")
    net = layers.separable_conv2d(net, 7, 3, depth_multiplier=2)
    net = layers.dense(layers.flatten(net), 11, activation=tensorflow.nn.leaky_relu)
    tensorflow.nn.softmax(layers.dense(net, 4), name="out")


def sized_input():
    x = compat.placeholder("float32", [2, 17, 9, 3], name="x")
    net = compat.pad(layers.conv2d(x, 5, 3), [[0, 0], [1, 2], [3, 0], [0, 0]])
    net = compat.concat([net, compat.nn.avg_pool(net, 2, 1, "SAME")], -1)
    net = compat.transpose(compat.image.resize_bilinear(net, [14, 6]), [0, 3, 1, 2])
    net = compat.expand_dims(compat.reduce_mean(net, [2], keepdims=True), 1)
    compat.reshape(compat.squeeze(net, [1, 3]), [2, -1], name="out")


def dilated():
    x = compat.placeholder("float32", [2, 17, 9, 3], name="x")
    layers.flatten(layers.conv2d(x, 5, 3, dilation_rate=2), name="out")


def upsampling():
    x = compat.placeholder("float32", [4, 8, 6, 3], name="x")
    net = layers.conv2d_transpose(x, 5, 3, strides=2, padding="same")
    layers.conv2d(net + compat.constant([[1.0]]), 2, 1, name="out")


def volumes():
    x = compat.placeholder("float32", [None, 8, 10, 6, 3], name="x")
    net = layers.max_pooling3d(layers.conv3d(x, 5, (3, 2, 1), padding="same"), 2, 2)
    compat.reduce_mean(net, [1, 2, 3], name="out")


def channels_first():
    x = compat.placeholder("float32", [None, 3, 20, 14], name="x")
    net = layers.conv2d(x, 5, 3, strides=(2, 1), data_format="channels_first")
    layers.average_pooling2d(net, 2, 2, data_format="channels_first")


def attention():
    x = compat.placeholder("float32", [3, 7, 5], name="x")
    compat.matmul(x, x, transpose_b=True, name="out")


@pytest.mark.parametrize(
    "build", [classifier, sized_input, dilated, upsampling, volumes, channels_first, attention]
)
def test_rules_agree_with_tensorflow(build):
    graph = compat.Graph()
    with graph.as_default():
        build()
    plain = compat.GraphDef()
    plain.CopyFrom(graph.as_graph_def(add_shapes=False))
    nodes = parse_graph(plain)
    shapes = StaticShapes(nodes)
    with compat.Graph().as_default() as imported:
        compat.import_graph_def(plain, name="")
    compared = 0
    for operation in imported.get_operations():
        if not operation.outputs or operation.outputs[0].shape.rank in (None, 0):
            continue
        found = shapes.of(f"{operation.name}:0")
        if found is None:
            continue
        expected = operation.outputs[0].shape.as_list()
        assert len(found) == len(expected), operation.name
        for mine, theirs in zip(found, expected):
            assert mine is None or theirs is None or mine == theirs, operation.name
        compared += 1
        # Space that became samples is not followed.
        if build is not dilated:
            told = [one is None for one in expected]
            assert [one is None for one in found] == told, operation.name
    # What a flatten may read, wherever it comes from.
    images = [
        one.name
        for one in imported.get_operations()
        if one.outputs and one.outputs[0].shape.rank in (4, 5) and "Init" not in one.name
    ]
    assert [name for name in images if shapes.of(f"{name}:0") is None] == []
    assert compared >= 2
