"""Sizes that a graph leaves open are chosen so that the network takes them."""

from __future__ import annotations

import numpy
import pytest
import tensorflow

compat = tensorflow.compat.v1


def kernel(name, *sizes):
    return compat.get_variable(name, sizes, initializer=compat.random_normal_initializer())


def conv(x, name, channels, size=3, stride=1, padding="SAME"):
    weights = kernel(f"{name}/kernel", size, size, int(x.shape[-1]), channels)
    return compat.nn.relu(compat.nn.conv2d(x, weights, strides=stride, padding=padding))


def pool(x):
    return compat.nn.max_pool2d(x, 2, 2, "VALID")


def image(channels=3, height=None, width=None, batch=None):
    return compat.placeholder("float32", [batch, height, width, channels], name="x")


def fully_convolutional():
    compat.identity(conv(image(), "only", 4), name="out")


def strided_by_eight():
    x = image()
    for level in range(3):
        x = conv(x, f"level_{level}", 4, stride=2)
    compat.identity(x, name="out")


def unet_of_depth_four():
    x = image(1)
    skips = []
    for level in range(4):
        x = conv(x, f"down_{level}", 2)
        skips.append(x)
        x = pool(x)
    for level, skip in reversed(list(enumerate(skips))):
        sizes = 2 * compat.shape(x)[1:3]
        x = compat.concat([compat.image.resize_nearest_neighbor(x, sizes), skip], 3)
        x.set_shape([None, None, None, 4])
        x = conv(x, f"up_{level}", 2)
    compat.identity(x, name="out")


def unet_of_2015():
    """VALID convolutions: of the smallest sizes only 92, 108, 124 … keep every pooling even."""
    x = image(1)
    sizes = compat.shape(x)
    x = compat.reshape(x, compat.stack([-1, sizes[1], sizes[2], 1]))
    x.set_shape([None, None, None, 1])
    skips = []
    for level in range(3):
        x = conv(conv(x, f"a_{level}", 2, padding="VALID"), f"b_{level}", 2, padding="VALID")
        skips.append(x)
        x = pool(x)
    x = conv(conv(x, "a_bottom", 2, padding="VALID"), "b_bottom", 2, padding="VALID")
    for level, skip in reversed(list(enumerate(skips))):
        weights = kernel(f"up_{level}", 2, 2, 2, 2)
        shape = compat.shape(x)
        target = compat.stack([shape[0], 2 * shape[1], 2 * shape[2], 2])
        x = compat.nn.conv2d_transpose(x, weights, target, strides=2, padding="VALID")
        cut = (compat.shape(skip) - compat.shape(x)) // 2
        skip = compat.slice(
            skip, [0, cut[1], cut[2], 0], [-1, compat.shape(x)[1], compat.shape(x)[2], 2]
        )
        x = compat.concat([skip, x], 3)
        x.set_shape([None, None, None, 4])
        x = conv(conv(x, f"c_{level}", 2, padding="VALID"), f"d_{level}", 2, padding="VALID")
    compat.identity(x, name="out")


def baked_batch():
    x = image(2, 8, 6)
    weights = kernel("weights", 3, 3, 5, 2)
    grown = compat.nn.conv2d_transpose(x, weights, [7, 16, 12, 5], strides=2)
    compat.identity(grown, name="out")


def flattened_by_constant():
    """[-1, 300] keeps the batch only if 3 channels of 10 x 10 pixels come out of the pooling."""
    x = pool(conv(image(), "first", 3))
    flat = compat.reshape(x, [-1, 300])
    compat.matmul(flat, kernel("dense", 300, 4), name="out")


def global_pooling_of_seven():
    x = image()
    for level in range(5):
        x = conv(x, f"level_{level}", 3, stride=2)
    pooled = compat.nn.avg_pool2d(x, 7, 1, "VALID")
    compat.matmul(compat.squeeze(pooled, [1, 2]), kernel("dense", 3, 4), name="out")


def unknown_rank():
    x = compat.placeholder("float32", None, name="x")
    compat.nn.conv2d(x, kernel("weights", 3, 3, 5, 4), padding="SAME", name="out")


def unknown_rank_dense():
    x = compat.placeholder("float32", None, name="x")
    compat.matmul(x, kernel("weights", 13, 4), name="out")


def scalar_formula():
    compat.multiply(compat.placeholder("float32", None, name="x"), kernel("weight"), name="out")


def unknown_channels():
    x = compat.placeholder("float32", [None, 20, 30, None], name="x")
    compat.nn.conv2d(x, kernel("weights", 3, 3, 5, 4), padding="SAME", name="out")


def channels_first_image():
    x = compat.placeholder("float32", [None, 3, None, None], name="x")
    moved = compat.transpose(x, [0, 2, 3, 1])
    compat.identity(conv(moved, "first", 4, stride=2), name="out")


def image_without_batch():
    x = compat.placeholder("float32", [None, None, 3], name="x")
    compat.identity(conv(compat.expand_dims(x, 0), "first", 4), name="out")


def sequence():
    x = compat.placeholder("float32", [None, None, 5], name="x")
    cell = compat.nn.rnn_cell.GRUCell(4)
    compat.identity(compat.nn.dynamic_rnn(cell, x, dtype="float32")[0], name="out")


def image_behind_flat_input():
    x = compat.placeholder("float32", [None, None], name="x")
    seen = compat.reshape(x, [-1, 14, 10, 2])
    compat.identity(conv(seen, "first", 4), name="out")


def baked_batch_in_a_reshape():
    x = compat.placeholder("float32", [None, 6], name="x")
    compat.multiply(compat.reshape(x, [5, 6]), kernel("weight", 6), name="out")


def image_without_a_window():
    x = compat.placeholder("float32", [None, None, None, None], name="x")
    compat.multiply(compat.image.resize_bilinear(x, [9, 7]), kernel("weight", 1), name="out")


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        pytest.param(fully_convolutional, (2, 16, 17, 3), id="height-and-width-differ"),
        pytest.param(strided_by_eight, (2, 16, 24, 3), id="multiples-of-the-stride"),
        pytest.param(unet_of_depth_four, (2, 32, 48, 1), id="unet-keeps-two-pixels-at-the-bottom"),
        pytest.param(unet_of_2015, (2, 92, 100, 1), id="valid-unet"),
        pytest.param(baked_batch, (7, 8, 6, 2), id="batch-in-a-transposed-convolution"),
        pytest.param(flattened_by_constant, (2, 20, 20, 3), id="reshape-keeps-the-batch"),
        pytest.param(global_pooling_of_seven, (2, 224, 224, 3), id="only-the-usual-size-fits"),
        pytest.param(unknown_rank, (2, 16, 17, 5), id="rank-from-the-convolution"),
        pytest.param(unknown_rank_dense, (2, 13), id="rank-from-the-matrix"),
        pytest.param(scalar_formula, (2,), id="a-vector-when-nothing-is-said"),
        pytest.param(unknown_channels, (2, 20, 30, 5), id="channels-from-the-kernel"),
        pytest.param(channels_first_image, (2, 3, 16, 18), id="axes-through-a-transposition"),
        pytest.param(image_without_batch, (16, 17, 3), id="axes-through-a-new-axis"),
        pytest.param(image_without_a_window, (2, 16, 17, 3), id="image-by-rank"),
        pytest.param(sequence, (2, 12, 5), id="sequence-length"),
        pytest.param(image_behind_flat_input, (2, 280), id="features-from-a-reshape"),
        pytest.param(baked_batch_in_a_reshape, (5, 6), id="batch-in-a-reshape"),
    ],
)
def test_open_sizes(save_graph, run_reference, build, shape):
    result, tensors = run_reference(save_graph(build), ["x:0"], ["out:0"])
    assert result.reason is None
    assert tensors["x:0"].shape == shape
    assert tensors["out:0"].shape[0] in (shape[0], 1)


def test_several_images_get_one_size_and_different_values(save_graph, run_reference):
    def build():
        left = compat.placeholder("float32", [None, None, None, 3], name="left")
        right = compat.placeholder("float32", [None, None, None, 3], name="right")
        weights = kernel("weights", 3, 3, 3, 4)
        both = [compat.nn.conv2d(x, weights, padding="SAME") for x in (left, right)]
        compat.subtract(*both, name="out")

    result, tensors = run_reference(save_graph(build), ["left:0", "right:0"], ["out:0"])
    assert [feed.how for feed in result.feeds] == ["normal(0, 1), seed 0", "normal(0, 1), seed 1"]
    assert tensors["left:0"].shape == tensors["right:0"].shape == (2, 16, 17, 3)
    assert not numpy.array_equal(tensors["left:0"], tensors["right:0"])


def test_a_batch_that_another_input_states_is_taken(save_graph, run_reference):
    def build():
        x = compat.placeholder("float32", [None, 6], name="x")
        state = compat.placeholder("float32", [3, 6], name="state")
        compat.add(x * kernel("weight", 6), state, name="out")

    _, tensors = run_reference(save_graph(build), ["x:0", "state:0"], ["out:0"])
    assert tensors["x:0"].shape == (3, 6)
