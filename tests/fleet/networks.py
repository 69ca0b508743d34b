"""The networks of the fleet, each in a few sizes, as TensorFlow 1.15 graphs (Python 3.7).

Every function builds one into the default graph. All sizes inside one network differ, so that a
wrong transposition cannot pass.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf
from tensorflow.contrib import slim

CLASSES = 3
SEQUENCE_LENGTH = 9
SEQUENCE_INPUTS = 4
VOCABULARY = 23


def unet(size: int) -> None:
    """Two levels, batch norm, up-sampling by transposed convolutions, Adam: [N, H, W, 2]."""
    image = tf.placeholder(tf.float32, [None, 16, 12, 2], name="image")
    training = tf.placeholder_with_default(False, [], name="is_training")
    net, skips = image, []
    for level, width in enumerate((size, size + 3)):
        net = _block(net, width, f"down{level}", training)
        skips.append(net)
        net = tf.layers.max_pooling2d(net, 2, 2)
    net = _block(net, size + 7, "bottom", training)
    for level, width in ((1, size + 2), (0, size + 1)):
        net = tf.layers.conv2d_transpose(net, width, 2, 2, name=f"up{level}")
        net = _block(tf.concat([skips[level], net], 3), width, f"merge{level}", training)
    logits = tf.layers.conv2d(net, CLASSES, 1, name="logits")
    labels = tf.placeholder(tf.int32, [None, 16, 12], name="labels")
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        tf.train.AdamOptimizer(1e-3).minimize(loss, tf.train.get_or_create_global_step())


def _block(net: tf.Tensor, width: int, scope: str, training: tf.Tensor) -> tf.Tensor:
    with tf.variable_scope(scope):
        net = tf.layers.conv2d(net, width, 3, padding="same", use_bias=False)
        return tf.nn.relu(tf.layers.batch_normalization(net, training=training))


def classifier(size: int) -> None:
    """slim: strided convolutions with batch norm, mean, dense; variables on three devices."""
    net = tf.placeholder(tf.float32, [None, 14, 18, 3], name="image")
    norm = {"is_training": False, "scale": True}
    with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm, normalizer_params=norm):
        with tf.device("/cpu:0"):
            net = slim.conv2d(net, size, [3, 3], stride=2, scope="first")
        with tf.device("/cpu:1"):
            net = slim.conv2d(net, size + 5, [3, 3], scope="second")
    net = tf.reduce_mean(net, [1, 2])
    slim.fully_connected(net, CLASSES, activation_fn=None, scope="logits")


def perceptron(size: int) -> None:
    """Dense layers with momentum: [N, 6] to [N, 3]."""
    net = tf.placeholder(tf.float32, [None, 6], name="features")
    net = tf.layers.dense(net, size, tf.nn.relu, name="first")
    net = tf.layers.dense(net, size + 2, tf.nn.relu, name="second")
    scores = tf.layers.dense(net, CLASSES, name="scores")
    target = tf.placeholder(tf.float32, [None, CLASSES], name="target")
    loss = tf.losses.mean_squared_error(target, scores)
    tf.train.MomentumOptimizer(0.01, 0.9).minimize(loss)


def word_bag(size: int) -> None:
    """The mean of embedded words, and a dense layer: [N, 7] to [N, 3]."""
    words = tf.placeholder(tf.int32, [None, 7], name="words")
    table = tf.get_variable("table", [VOCABULARY, size], use_resource=True)
    mean = tf.reduce_mean(tf.nn.embedding_lookup(table, words), 1)
    scores = tf.layers.dense(mean, CLASSES, name="scores")
    tf.nn.softmax(scores, name="probabilities")


def separable(size: int) -> None:
    """Depthwise, pointwise and plain convolutions: [N, 11, 8, 3] to [N, 3]."""
    net = tf.placeholder(tf.float32, [None, 11, 8, 3], name="image")
    net = tf.layers.separable_conv2d(
        net, size, 3, depth_multiplier=2, activation=tf.nn.relu, name="first"
    )
    net = tf.layers.conv2d(net, size + 1, (3, 2), activation=tf.nn.relu, name="second")
    tf.identity(tf.layers.dense(tf.layers.flatten(net), CLASSES, name="scores"), name="y")


def sequence(size: int) -> tf.keras.Model:
    """Keras: a convolution over time, an LSTM, a dense layer: [N, 9, 4] to [N, 3]."""
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Conv1D(
                size, 3, activation="relu", input_shape=(SEQUENCE_LENGTH, SEQUENCE_INPUTS)
            ),
            layers.BatchNormalization(),
            layers.LSTM(size + 3, recurrent_activation="sigmoid"),
            layers.Dense(CLASSES),
        ]
    )


def endless() -> None:
    """A dense layer whose output goes through a loop without an end."""
    net = tf.placeholder(tf.float32, [None, 6], name="features")
    net = tf.layers.dense(net, 4, name="first")
    looped = tf.while_loop(lambda x: True, lambda x: tf.nn.relu(x) + 1.0, [net])
    tf.layers.dense(looped, CLASSES, name="scores")


def tiny() -> None:
    """One dense layer: [N, 2] to [N, 3]."""
    tf.layers.dense(tf.placeholder(tf.float32, [None, 2], name="x"), CLASSES, name="y")
