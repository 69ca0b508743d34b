"""Builds small networks of every normalisation with random weights, and saves them as checkpoints.

Run by the legacy interpreter, all in one process:

    python build.py FOLDER      each in FOLDER/NAME, prefix model.ckpt

Sizes differ wherever they can, and variables are far from their initial values, so that a tensor
in the wrong place changes what the network computes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.contrib import layers as contrib

layers, keras = tf.layers, tf.keras.layers


def steps() -> Any:
    return tf.placeholder(tf.float32, [2, 5, 12], "steps")


def images() -> Any:
    return tf.placeholder(tf.float32, [2, 9, 11, 3], "images")


def by_hand(x: Any, axes: list[int], epsilon: float, scope: str) -> Any:
    """Normalise as tensor2tensor and CycleGAN write it."""
    with tf.variable_scope(scope):
        size = x.shape[-1]
        scale, shift = tf.get_variable("scale", [size]), tf.get_variable("shift", [size])
        mean = tf.reduce_mean(x, axes, keepdims=True)
        variance = tf.reduce_mean(tf.square(x - mean), axes, keepdims=True)
        return (x - mean) * tf.rsqrt(variance + epsilon) * scale + shift


def layer_norms() -> Any:
    """Three spellings of layer norm, as transformers have them."""
    x = layers.dense(steps(), 8)
    x = contrib.layer_norm(x, begin_norm_axis=-1, begin_params_axis=-1)
    x = by_hand(layers.dense(x, 10), [-1], 1e-2, "norm")
    x = keras.LayerNormalization(epsilon=0.02)(layers.dense(x, 9))
    return layers.dense(x, 7)


def attention() -> Any:
    """Self-attention of three heads; kernels have heads and units as axes of their own."""
    x = steps()

    def project(name: str) -> Any:
        kernel = tf.get_variable(f"{name}/kernel", [12, 3, 4])
        return tf.einsum("abc,cde->abde", x, kernel) + tf.get_variable(f"{name}/bias", [3, 4])

    query, key, value = (project(name) for name in ("query", "key", "value"))
    scores = tf.nn.softmax(tf.einsum("btnh,bsnh->bnts", query, key) / 2.0)
    context = tf.einsum("bnts,bsnh->btnh", scores, value)
    out = tf.tensordot(context, tf.get_variable("out/kernel", [3, 4, 12]), [[2, 3], [0, 1]])
    x = x + (out + tf.get_variable("out/bias", [12]))
    return layers.dense(contrib.layer_norm(x, begin_norm_axis=-1, begin_params_axis=-1), 7)


def image_norms() -> Any:
    """Instance norm by hand and contrib's, group norm, and contrib's layer norm of images."""
    x = by_hand(layers.conv2d(images(), 6, 3), [1, 2], 1e-2, "norm")
    x = contrib.group_norm(layers.conv2d(tf.nn.relu(x), 8, 1), 4)
    x = contrib.layer_norm(layers.conv2d(x, 10, 1))
    x = contrib.instance_norm(layers.conv2d(tf.nn.relu(x), 4, 3))
    return layers.conv2d(x, 5, 1)


def images_channels_first() -> Any:
    """The same in N C H W, without convolutions: the CPU has none in that order."""
    x = tf.placeholder(tf.float32, [2, 6, 9, 11], "images")
    x = contrib.instance_norm(x, data_format="NCHW")
    x = contrib.group_norm(tf.nn.relu(x), 2, channels_axis=-3, reduction_axes=(-2, -1))
    gamma = tf.reshape(tf.get_variable("gamma", [6]), [1, 6, 1, 1])
    mean, variance = tf.nn.moments(x, [2, 3], keep_dims=True)
    return tf.nn.sigmoid((x - mean) / tf.sqrt(variance + 1e-2) * gamma)


def rectifiers() -> Any:
    """PReLU in four spellings."""
    x = keras.PReLU(shared_axes=[1, 2])(layers.conv2d(images(), 6, 3))
    x = layers.conv2d(x, 8, 1)
    x = tf.nn.relu(x) + tf.get_variable("a", [8]) * (x - abs(x)) * 0.5
    x = layers.conv2d(x, 4, 1)
    x = tf.nn.relu(x) - tf.get_variable("b", [4]) * tf.nn.relu(-x)
    x = layers.conv2d(x, 7, 1)
    x = tf.where(x < 0, tf.get_variable("c", [7]) * x, x)
    return layers.conv2d(x, 5, 1)


def batch_norms() -> Any:
    """Without gamma, without beta, without both, and with renormalisation."""
    x = contrib.batch_norm(layers.conv2d(images(), 6, 3), is_training=False)
    x = layers.conv2d(x, 8, 1)
    x = contrib.batch_norm(x, scale=True, center=False, is_training=False)
    x = layers.conv2d(x, 4, 1)
    x = contrib.batch_norm(x, scale=False, center=False, is_training=False, fused=False)
    training = tf.placeholder_with_default(False, [], "training")
    x = layers.batch_normalization(layers.conv2d(x, 7, 1), renorm=True, training=training)
    return layers.conv2d(x, 5, 1)


def tied() -> Any:
    """A table in three partitions, scaled, looked up twice, and the output's matrix as well."""
    table = tf.get_variable("table", [22, 8], partitioner=tf.fixed_size_partitioner(3))
    first = tf.nn.embedding_lookup(
        table, tf.placeholder(tf.int32, [2, 5], "source"), partition_strategy="div"
    )
    second = tf.nn.embedding_lookup(
        table, tf.placeholder(tf.int32, [2, 5], "target"), partition_strategy="div"
    )
    x = layers.dense(first * 8**0.5 + second, 8, tf.nn.tanh)
    return tf.tensordot(x, tf.convert_to_tensor(table), [[2], [1]])


def power_iterated(kernel: Any) -> Any:
    """Spectral normalisation as generative networks have it: one step from the kept vector."""
    shape = kernel.shape.as_list()
    matrix = tf.reshape(kernel, [-1, shape[-1]])
    kept = tf.get_variable("u", [1, shape[-1]], trainable=False)
    left = tf.nn.l2_normalize(tf.matmul(kept, matrix, transpose_b=True))
    right = tf.nn.l2_normalize(tf.matmul(left, matrix))
    left, right = tf.stop_gradient(left), tf.stop_gradient(right)
    sigma = tf.matmul(tf.matmul(left, matrix), right, transpose_b=True)
    with tf.control_dependencies([kept.assign(right)]):
        return tf.reshape(matrix / sigma, shape)


def folded() -> Any:
    """Kernels that are computed from variables: weight norm, spectral norm, a constant factor."""
    v, g = tf.get_variable("first/v", [3, 3, 3, 6]), tf.get_variable("first/g", [6])
    x = tf.nn.conv2d(images(), g * tf.nn.l2_normalize(v, [0, 1, 2]), [1, 1, 1, 1], "VALID")
    x = tf.nn.relu(x + tf.get_variable("first/bias", [6]))
    with tf.variable_scope("second"):
        kernel = power_iterated(tf.get_variable("kernel", [1, 1, 6, 8]))
        x = tf.nn.bias_add(tf.nn.conv2d(x, kernel, [1, 1, 1, 1], "SAME"), tf.get_variable("b", [8]))
    scaled = tf.get_variable("third/kernel", [1, 1, 8, 4]) * np.float32(np.sqrt(2 / 8))
    x = tf.reduce_mean(tf.nn.conv2d(x, scaled, [1, 1, 1, 1], "SAME"), [1, 2])
    with tf.variable_scope("fourth"):
        kernel = power_iterated(tf.get_variable("kernel", [4, 7]))
        return tf.matmul(tf.nn.tanh(x), kernel) + tf.get_variable("b", [7])


NETWORKS = {
    network.__name__: network
    for network in (
        layer_norms,
        attention,
        image_norms,
        images_channels_first,
        rectifiers,
        batch_norms,
        tied,
        folded,
    )
}


def drawn(name: str, shape: list[int], random: Any) -> Any:
    """Draw the values of a variable from its name, such that activations keep their scale."""
    last = name.rpartition("/")[2]
    if last in ("moving_variance", "moving_stddev", "gamma", "scale", "g"):
        return random.uniform(0.5, 1.4, shape).astype(np.float32)
    if last in ("moving_mean", "beta", "bias", "shift"):
        return 0.2 * random.standard_normal(shape, np.float32)
    fan_in = np.prod(shape[:-1]) if len(shape) > 1 else 4
    return np.sqrt(2 / fan_in).astype(np.float32) * random.standard_normal(shape, np.float32)


def save(name: str, folder: Path) -> None:
    """Build one network, fill and save it."""
    random = np.random.default_rng(sorted(NETWORKS).index(name))
    with tf.Graph().as_default(), tf.Session() as session:
        tf.keras.backend.set_session(session)
        tf.identity(NETWORKS[name](), "answer")
        session.run(tf.global_variables_initializer())
        for variable in tf.global_variables():
            shape = variable.shape.as_list()
            variable.load(drawn(variable.op.name, shape, random), session)
        folder.mkdir(parents=True, exist_ok=True)
        tf.train.Saver().save(session, os.fspath(folder / "model.ckpt"))


def main() -> None:
    """Command line."""
    for name in NETWORKS:
        save(name, Path(sys.argv[1]) / name)


if __name__ == "__main__":
    main()
