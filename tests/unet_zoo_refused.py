"""Networks that look like UNets and are not: `--model unet` must refuse, naming the first op."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from unet_zoo_family import Network


def _convolution(net: Any, count: int, name: str) -> Any:
    return tf.layers.conv2d(net, count, 3, padding="same", activation=tf.nn.relu, name=name)


def _image() -> Any:
    return tf.placeholder(tf.float32, [None, 24, 32, 3], name="x")


def residual_addition() -> Network:
    """A shortcut added around the block's convolutions."""
    image = _image()
    with tf.variable_scope("down0"):
        shortcut = tf.layers.conv2d(image, 6, 1, name="shortcut")
        skip = tf.add(_convolution(_convolution(image, 5, "a"), 6, "b"), shortcut, name="add")
    net = _convolution(tf.layers.max_pooling2d(skip, 2, 2), 9, "bottom")
    net = tf.layers.conv2d_transpose(net, 7, 2, 2, name="up")
    net = _convolution(tf.concat([skip, net], 3), 8, "merge")
    return Network(image, tf.layers.conv2d(net, 2, 1, name="logits"))


def skip_after_pooling() -> Network:
    """The skip is the pooled map of the level above, so a level has no skip of its own."""
    image = _image()
    first = tf.layers.max_pooling2d(_convolution(image, 5, "down0"), 2, 2)
    second = tf.layers.max_pooling2d(_convolution(first, 8, "down1"), 2, 2)
    net = _convolution(second, 11, "bottom")
    with tf.variable_scope("up1"):
        net = tf.layers.conv2d_transpose(net, 7, 2, 2, name="up")
        net = _convolution(tf.concat([first, net], 3, name="concat"), 9, "merge")
    with tf.variable_scope("up0"):
        net = tf.layers.conv2d_transpose(net, 6, 2, 2, name="up")
        net = _convolution(tf.concat([image, net], 3, name="concat"), 4, "merge")
    return Network(image, tf.layers.conv2d(net, 2, 1, name="logits"))


def additive_skip() -> Network:
    """Skips that are added, not concatenated (LinkNet)."""
    image = _image()
    first = _convolution(image, 5, "down0")
    second = _convolution(tf.layers.max_pooling2d(first, 2, 2), 8, "down1")
    net = _convolution(tf.layers.max_pooling2d(second, 2, 2), 11, "bottom")
    for level, skip in ((1, second), (0, first)):
        with tf.variable_scope(f"up{level}"):
            count = int(skip.shape[-1])
            net = tf.add(tf.layers.conv2d_transpose(net, count, 2, 2, name="up"), skip, name="add")
            net = _convolution(net, count + 1, "merge")
    return Network(image, tf.layers.conv2d(net, 2, 1, name="logits"))


def plain_autoencoder() -> Network:
    """No skips at all."""
    image = _image()
    net = tf.layers.max_pooling2d(_convolution(image, 5, "down0"), 2, 2)
    net = tf.layers.max_pooling2d(_convolution(net, 8, "down1"), 2, 2)
    net = _convolution(net, 11, "bottom")
    for level, size in ((1, (12, 16)), (0, (24, 32))):
        with tf.variable_scope(f"up{level}"):
            net = _convolution(tf.image.resize_nearest_neighbor(net, size), 7 - level, "conv")
    return Network(image, tf.layers.conv2d(net, 2, 1, name="logits"))
