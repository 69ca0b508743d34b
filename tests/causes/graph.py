"""One graph with every operation that torch modules often compute in another way; TensorFlow 1.15.

Run by the legacy interpreter: `python graph.py FOLDER`. Heights are even where a stride halves
them, widths odd, so that SAME pads one of them unevenly and the other evenly.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import tensorflow as tf


def network(x):
    """[2, 24, 17, 3] -> [2, 7]"""
    layers = tf.layers
    x = layers.conv2d(x, 5, 3, 2, "same", name="strided")
    x = tf.nn.relu(layers.batch_normalization(x, epsilon=1e-3, name="norm"))
    x = tf.nn.max_pool(x, 3, 2, "SAME")
    x = layers.conv2d(x, 4, 1, use_bias=False, name="point")
    x = tf.nn.avg_pool(x, 3, 2, "SAME")
    x = layers.conv2d(x, 6, 2, padding="same", name="even")
    x = tf.image.resize_bilinear(x, (7, 8))
    x = layers.separable_conv2d(x, 3, 3, padding="same", name="separable")
    x = tf.image.resize_nearest_neighbor(x, (10, 9), align_corners=True)
    x = layers.conv2d(x, 4, 3, padding="same", dilation_rate=2, name="dilated")
    x = tf.nn.leaky_relu(x)
    x = layers.conv2d_transpose(x, 3, 3, 2, "same", name="up")
    x = tf.concat([x, tf.nn.relu(x)], 3)
    x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    x = layers.conv2d(x, 2, 3, 2, "valid", name="padded")
    return layers.dense(tf.layers.flatten(tf.nn.relu(x)), 7, name="scores")


def main():
    """Fill every variable at random, and save."""
    random = np.random.default_rng(1)
    with tf.Session() as session:
        network(tf.placeholder(tf.float32, (2, 24, 17, 3), "images"))
        values = {}
        for variable in tf.global_variables():
            drawn = random.uniform(0.5, 1.5, variable.shape.as_list())
            if not variable.op.name.endswith(("gamma", "moving_variance")):
                drawn = random.standard_normal(variable.shape.as_list()) / 2
            values[variable.initializer.inputs[1]] = drawn.astype(np.float32)
        session.run(tf.global_variables_initializer(), values)
        tf.train.Saver().save(session, os.path.join(sys.argv[1], "model.ckpt"))


if __name__ == "__main__":
    main()
