"""Writes layouts.npz: what TensorFlow 1.15 computes with one operation of each kind.

Run it with CPython 3.7 and TensorFlow 1.15.5 from this folder. The file is committed, so that the
tests need neither.
"""

import os

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import tensorflow as tf

RANDOM = np.random.RandomState(7)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def dense(x, kernel):
    return tf.matmul(x, kernel)


def dense_after_flatten(x, kernel):
    return tf.matmul(tf.reshape(x, [-1, int(np.prod(x.shape[1:]))]), kernel)


def depthwise_conv1d(x, kernel):
    image, filters = tf.expand_dims(x, 1), tf.expand_dims(kernel, 0)
    return tf.squeeze(tf.nn.depthwise_conv2d(image, filters, [1, 1, 1, 1], "VALID"), [1])


def fused_batch_norm(epsilon):
    def operation(x, gamma, beta, moving_mean, moving_variance):
        return tf.nn.fused_batch_norm(
            x, gamma, beta, moving_mean, moving_variance, epsilon=epsilon, is_training=False
        )[0]

    return operation


def batch_norm_arrays(channels, variance):
    return {
        "x": normal(2, 3, 4, channels),
        "gamma": normal(channels),
        "beta": normal(channels),
        "moving_mean": normal(channels),
        "moving_variance": (np.abs(normal(channels)) + np.float32(0.5)) * np.float32(variance),
    }


# Name, arrays, operation. Sizes are all different, but for the cases where a wrong transpose would
# keep the shape.
CASES = (
    (
        "conv2d",
        {"x": normal(2, 7, 9, 3), "kernel": normal(4, 2, 3, 5)},
        lambda x, kernel: tf.nn.conv2d(x, kernel, strides=[1, 1, 1, 1], padding="VALID"),
    ),
    (
        "conv2d_square",
        {"x": normal(1, 7, 9, 4), "kernel": normal(3, 3, 4, 4)},
        lambda x, kernel: tf.nn.conv2d(x, kernel, strides=[1, 1, 1, 1], padding="VALID"),
    ),
    (
        "depthwise_conv2d",
        {"x": normal(1, 7, 9, 3), "kernel": normal(4, 2, 3, 5)},
        lambda x, kernel: tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "VALID"),
    ),
    (
        "depthwise_conv2d_square",
        {"x": normal(1, 7, 9, 4), "kernel": normal(3, 3, 4, 4)},
        lambda x, kernel: tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "VALID"),
    ),
    (
        "conv2d_transpose",
        {"x": normal(1, 5, 6, 3), "kernel": normal(4, 2, 7, 3)},
        lambda x, kernel: tf.nn.conv2d_transpose(
            x, kernel, output_shape=[1, 12, 12, 7], strides=[1, 2, 2, 1], padding="VALID"
        ),
    ),
    (
        "conv2d_transpose_square",
        {"x": normal(1, 5, 6, 4), "kernel": normal(2, 2, 4, 4)},
        lambda x, kernel: tf.nn.conv2d_transpose(
            x, kernel, output_shape=[1, 10, 12, 4], strides=[1, 2, 2, 1], padding="VALID"
        ),
    ),
    ("dense", {"x": normal(2, 5), "kernel": normal(5, 7)}, dense),
    ("dense_square", {"x": normal(2, 6), "kernel": normal(6, 6)}, dense),
    (
        "dense_transpose_b",
        {"x": normal(2, 5), "kernel": normal(7, 5)},
        lambda x, kernel: tf.matmul(x, kernel, transpose_b=True),
    ),
    (
        "dense_after_flatten",
        {"x": normal(2, 3, 4, 5), "kernel": normal(60, 7)},
        dense_after_flatten,
    ),
    ("bias_add", {"x": normal(2, 3, 4, 5), "bias": normal(5)}, lambda x, bias: x + bias),
    ("batch_norm", batch_norm_arrays(5, 1.0), fused_batch_norm(1e-3)),
    # The variance is as small as epsilon, so the limit of 1.001e-5 shows.
    ("batch_norm_clamped", batch_norm_arrays(5, 1e-5), fused_batch_norm(1e-7)),
    (
        "embedding",
        {"x": np.array([[3, 0, 10], [7, 7, 1]], np.int32), "embedding": normal(11, 5)},
        lambda x, embedding: tf.nn.embedding_lookup(embedding, x),
    ),
    # New cases stand at the end: what is drawn for the others stays the same.
    (
        "conv1d",
        {"x": normal(2, 9, 3), "kernel": normal(4, 3, 5)},
        lambda x, kernel: tf.nn.conv1d(x, kernel, stride=1, padding="VALID"),
    ),
    (
        "conv1d_square",
        {"x": normal(2, 9, 4), "kernel": normal(4, 4, 4)},
        lambda x, kernel: tf.nn.conv1d(x, kernel, stride=1, padding="VALID"),
    ),
    (
        "conv1d_transpose",
        {"x": normal(2, 6, 3), "kernel": normal(4, 5, 3)},
        lambda x, kernel: tf.nn.conv1d_transpose(x, kernel, [2, 14, 5], 2, "VALID"),
    ),
    (
        "conv1d_transpose_square",
        {"x": normal(2, 6, 4), "kernel": normal(4, 4, 4)},
        lambda x, kernel: tf.nn.conv1d_transpose(x, kernel, [2, 14, 4], 2, "VALID"),
    ),
    ("depthwise_conv1d", {"x": normal(2, 9, 3), "kernel": normal(4, 3, 2)}, depthwise_conv1d),
    (
        "depthwise_conv1d_square",
        {"x": normal(2, 9, 4), "kernel": normal(4, 4, 4)},
        depthwise_conv1d,
    ),
    (
        "conv3d",
        {"x": normal(1, 5, 6, 7, 3), "kernel": normal(4, 2, 5, 3, 6)},
        lambda x, kernel: tf.nn.conv3d(x, kernel, [1, 1, 1, 1, 1], "VALID"),
    ),
    (
        "conv3d_square",
        {"x": normal(1, 5, 6, 7, 3), "kernel": normal(3, 3, 3, 3, 3)},
        lambda x, kernel: tf.nn.conv3d(x, kernel, [1, 1, 1, 1, 1], "VALID"),
    ),
    (
        "conv3d_transpose",
        {"x": normal(1, 3, 4, 5, 2), "kernel": normal(4, 2, 3, 6, 2)},
        lambda x, kernel: tf.nn.conv3d_transpose(
            x, kernel, [1, 8, 8, 11, 6], [1, 2, 2, 2, 1], "VALID"
        ),
    ),
    (
        "conv3d_transpose_square",
        {"x": normal(1, 3, 4, 5, 3), "kernel": normal(3, 3, 3, 3, 3)},
        lambda x, kernel: tf.nn.conv3d_transpose(
            x, kernel, [1, 7, 9, 11, 3], [1, 2, 2, 2, 1], "VALID"
        ),
    ),
    (
        "dense_after_flatten_of_conv1d",
        {"x": normal(2, 3, 4), "kernel": normal(12, 7)},
        dense_after_flatten,
    ),
    (
        "dense_after_flatten_of_conv3d",
        {"x": normal(2, 2, 3, 4, 5), "kernel": normal(120, 7)},
        dense_after_flatten,
    ),
)


def main():
    arrays = {}
    with tf.compat.v1.Session() as session:
        for name, given, operation in CASES:
            result = session.run(operation(**{key: tf.constant(a) for key, a in given.items()}))
            for key, array in given.items():
                arrays[name + "." + key] = array
            arrays[name + ".y"] = result
    np.savez_compressed("layouts.npz", **arrays)


if __name__ == "__main__":
    main()
