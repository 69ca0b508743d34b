"""Small networks of convolutions, saved by TensorFlow 1.15 with weights drawn from a seed.

python tests/convolutions/build.py FOLDER NAME ...
"""

import os
import sys

import numpy
import tensorflow as tf
from tensorflow.contrib import slim

v1 = tf.compat.v1
layers = v1.layers
keras = tf.keras.layers


def placeholder(*shape):
    return v1.placeholder(tf.float32, [None, *shape], name="x")


def sequence_classifier():
    """Causal, dilated, separable, pooled and flattened: [N, 24, 3] to 5 scores."""
    data = placeholder(24, 3)
    hidden = keras.Conv1D(6, 3, padding="causal", dilation_rate=2, activation="relu")(data)
    hidden = tf.contrib.layers.conv1d(hidden, 7, 4, scope="contrib")
    hidden = layers.batch_normalization(hidden)
    hidden = layers.separable_conv1d(hidden, 8, 3, depth_multiplier=2, activation=tf.nn.relu)
    hidden = layers.max_pooling1d(hidden, 2, 2)
    layers.dense(layers.flatten(hidden), 5, name="scores")


def sequence_to_sequence():
    """One kernel read twice, a partitioned one, and a transposed: [N, T, 3] to [N, 2 T, 4]."""
    data = placeholder(None, 3)
    shared = v1.get_variable("shared", [5, 3, 3])
    hidden = tf.nn.relu(tf.nn.conv1d(data, shared, stride=1, padding="SAME"))
    hidden = tf.nn.relu(tf.nn.conv1d(hidden, shared, stride=1, padding="SAME"))
    cut = v1.get_variable("cut", [3, 3, 6], partitioner=v1.fixed_size_partitioner(2, 2))
    hidden = tf.nn.relu(tf.nn.conv1d(hidden, cut, stride=1, padding="VALID"))
    sizes = tf.shape(hidden)
    kernel = v1.get_variable("up", [2, 4, 6])
    tf.nn.conv1d_transpose(hidden, kernel, tf.stack([sizes[0], 2 * sizes[1], 4]), 2, name="y")


def volumes():
    """Strided, normalised, dilated, then up again: a mask [N, D, H, W, 2] and 5 scores."""
    data = placeholder(8, 10, 12, 3)
    hidden = layers.conv3d(data, 4, (2, 4, 2), 2, activation=tf.nn.relu)
    hidden = layers.batch_normalization(hidden)
    hidden = layers.conv3d(hidden, 6, 3, padding="same", dilation_rate=(1, 2, 2), use_bias=False)
    layers.conv3d_transpose(hidden, 2, (3, 2, 4), 2, name="mask")
    layers.dense(layers.flatten(hidden), 5, name="scores")


def separable():
    """tf.layers, Keras and slim with batch norm, each one depthwise and one pointwise layer."""
    hidden = placeholder(13, 15, 3)
    hidden = layers.separable_conv2d(hidden, 6, (3, 4), depth_multiplier=2, activation=tf.nn.relu)
    hidden = keras.SeparableConv2D(7, 3, dilation_rate=2)(hidden)
    hidden = keras.DepthwiseConv2D(2)(hidden)
    hidden = slim.separable_conv2d(
        hidden,
        5,
        [3, 3],
        1,
        padding="VALID",
        normalizer_fn=slim.batch_norm,
        normalizer_params={"is_training": False, "scale": True},
    )


def shared_kernel():
    """A grouped convolution as in AlexNet: one kernel, cut along its outputs."""
    hidden = layers.conv2d(placeholder(9, 11, 3), 6, 3, activation=tf.nn.relu)
    kernels = tf.split(v1.get_variable("kernel", [3, 2, 3, 8]), 2, axis=3)
    halves = tf.split(hidden, 2, axis=3)
    parts = [tf.nn.conv2d(halves[n], kernels[n], [1, 1, 1, 1], "VALID") for n in (0, 1)]
    tf.nn.bias_add(tf.concat(parts, 3), v1.get_variable("bias", [8]), name="y")


def own_kernels():
    """A grouped convolution as in many ResNeXt: slices, a layer for each, joined again."""
    hidden = layers.conv2d(placeholder(9, 11, 3), 6, 3, activation=tf.nn.relu)
    parts = [hidden[:, :, :, begin : begin + 2] for begin in (0, 2, 4)]
    joined = tf.concat([layers.conv2d(part, 4, (3, 2)) for part in parts], 3)
    layers.conv2d(tf.nn.relu(joined), 5, 1, name="y")


def channels_first():
    """NCHW from the image on: strides, dilations, pools, batch norm, up again: a mask, 5 scores."""
    first = {"data_format": "channels_first"}
    data = placeholder(3, 14, 17)
    hidden = layers.conv2d(data, 4, (3, 2), (1, 2), "same", activation=tf.nn.relu, **first)
    hidden = layers.batch_normalization(hidden, axis=1)
    hidden = layers.conv2d(hidden, 6, 3, padding="same", dilation_rate=(1, 2), **first)
    hidden = layers.max_pooling2d(hidden, (2, 3), (2, 1), "same", **first)
    hidden = layers.separable_conv2d(hidden, 7, (2, 3), depth_multiplier=2, **first)
    sizes = tf.shape(hidden)
    grown = tf.stack([sizes[0], 2, sizes[2] + 1, 3 * sizes[3]])
    kernel = v1.get_variable("mask/kernel", [2, 3, 2, 7])
    mask = tf.nn.conv2d_transpose(hidden, kernel, grown, [1, 1, 1, 3], "VALID", "NCHW")
    tf.nn.bias_add(mask, v1.get_variable("mask/bias", [2]), "NCHW", name="mask/BiasAdd")
    hidden = layers.average_pooling2d(hidden, 2, 2, **first)
    layers.dense(layers.flatten(hidden), 5, name="scores")


def save(build, folder):
    """Build a network, draw its variables, and save it."""
    draw = numpy.random.RandomState(3)
    with tf.Graph().as_default(), v1.Session() as session:
        build()
        for variable in v1.global_variables():
            shape = variable.shape.as_list()
            is_variance = "variance" in variable.op.name
            drawn = draw.uniform(0.5, 2, shape) if is_variance else draw.normal(0, 0.4, shape)
            variable.load(drawn.astype(numpy.float32), session)
        v1.train.Saver().save(session, os.path.join(folder, "model.ckpt"))


if __name__ == "__main__":
    for name in sys.argv[2:]:
        path = os.path.join(sys.argv[1], name)
        os.makedirs(path)
        save(globals()[name], path)
