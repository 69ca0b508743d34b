"""The UNets of the zoo that every release must convert, each written the way its authors write.

All sizes inside one network differ (height, width, channels of each level), so that a wrong
transposition cannot pass.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import tensorflow as tf


class Network(NamedTuple):
    """What a training script needs of a network."""

    image: Any  # placeholder [N, H, W, C]
    logits: Any  # [N, H, W, classes], before the final activation


def _block(net: Any, filters: Sequence[int], scope: str, training: Any = None) -> Any:
    """Some 3x3 convolutions; batch norm between convolution and ReLU if `training` is given."""
    with tf.variable_scope(scope):
        for number, count in enumerate(filters, 1):
            net = tf.layers.conv2d(net, count, 3, padding="same", name=f"conv{number}")
            if training is not None:
                net = tf.layers.batch_normalization(net, training=training, name=f"bn{number}")
            net = tf.nn.relu(net, name=f"relu{number}")
    return net


def _upconv_concat(net: Any, skip: Any, count: int, scope: str) -> Any:
    """Nearest x2, 3x3 convolution, then the skip behind it: `upconvcat`."""
    with tf.variable_scope(scope):
        height, width = skip.shape[1:3]
        net = tf.image.resize_nearest_neighbor(net, (int(height), int(width)), name="up")
        net = tf.layers.conv2d(net, count, 3, padding="same", activation=tf.nn.relu, name="conv")
        return tf.concat([net, skip], axis=3, name="concat")


def upconvcat() -> Network:
    """Four levels, no batch norm; the resize takes a fixed size."""
    image = tf.placeholder(tf.float32, [None, 48, 64, 1], name="x")
    net, skips = image, []
    for level, filters in enumerate([(4, 5), (7, 8), (11, 12)]):
        net = _block(net, filters, f"enc{level}")
        skips.append(net)
        net = tf.layers.max_pooling2d(net, 2, 2, name=f"pool{level}")
    net = _block(net, (17, 18), "bottom")
    for level, filters in reversed(list(enumerate([(6, 4), (9, 7), (13, 10)]))):
        net = _upconv_concat(net, skips[level], filters[0] + 1, f"up{level}")
        net = _block(net, filters, f"dec{level}")
    logits = tf.layers.conv2d(net, 2, 1, name="logits")
    tf.nn.softmax(logits, name="prediction")
    return Network(image, logits)


def upconvcat_batch_norm() -> Network:
    """Three levels with batch norm under `is_training`; the resize doubles the tensor's size."""
    image = tf.placeholder(tf.float32, [None, None, None, 3], name="image")
    training = tf.placeholder(tf.bool, [], name="is_training")
    net, skips = image, []
    for level, filters in enumerate([(5, 6), (9, 10)]):
        net = _block(net, filters, f"enc{level}", training)
        skips.append(net)
        net = tf.nn.max_pool(net, [1, 2, 2, 1], [1, 2, 2, 1], "SAME", name=f"pool{level}")
    net = _block(net, (14, 15), "bottom", training)
    for level, filters in reversed(list(enumerate([(7, 8), (11, 12)]))):
        with tf.variable_scope(f"up{level}"):
            size = tf.shape(net)[1:3] * 2
            net = tf.image.resize_nearest_neighbor(net, size)
            net = tf.layers.conv2d(net, filters[0] + 2, 3, padding="same", name="conv")
            net = tf.nn.relu(tf.layers.batch_normalization(net, training=training, name="bn"))
            net = tf.concat([net, skips[level]], axis=-1)
        net = _block(net, filters, f"dec{level}", training)
    logits = tf.layers.conv2d(net, 4, 1, padding="same", name="logits")
    tf.identity(tf.argmax(logits, axis=3), name="mask")
    return Network(image, logits)


def _weight(shape: Sequence[int]) -> Any:
    return tf.Variable(tf.truncated_normal(shape, stddev=0.1), name="w")


def _bias(count: int) -> Any:
    return tf.Variable(tf.constant(0.1, shape=[count]), name="b")


def _valid_block(net: Any, channels: tuple[int, int, int], keep_prob: Any, scope: str) -> Any:
    """Two unpadded convolutions, dropout between bias and ReLU."""
    with tf.name_scope(scope):
        for before, after in zip(channels, channels[1:]):
            weight, bias = _weight([3, 3, before, after]), _bias(after)
            net = tf.nn.conv2d(net, weight, strides=[1, 1, 1, 1], padding="VALID")
            net = tf.nn.relu(tf.nn.dropout(tf.nn.bias_add(net, bias), keep_prob))
    return net


def _crop_and_concat(skip: Any, net: Any) -> Any:
    """The middle of the skip, in front of the up-sampled map."""
    wanted, given = tf.shape(net), tf.shape(skip)
    offsets = [0, (given[1] - wanted[1]) // 2, (given[2] - wanted[2]) // 2, 0]
    return tf.concat([tf.slice(skip, offsets, [-1, wanted[1], wanted[2], -1]), net], 3)


def paper_valid() -> Network:
    """Raw tf.nn: VALID, transposed convolutions, cropped skips, dropout (arXiv:1505.04597)."""
    image = tf.placeholder(tf.float32, [None, None, None, 2], name="x")
    keep_prob = tf.placeholder(tf.float32, name="dropout_probability")
    sizes = tf.shape(image)
    net = tf.reshape(image, tf.stack([-1, sizes[1], sizes[2], 2]))
    skips = []
    for level, channels in enumerate([(2, 6, 7), (7, 10, 11)]):
        net = _valid_block(net, channels, keep_prob, f"down_conv_{level}")
        skips.append(net)
        net = tf.nn.max_pool(net, [1, 2, 2, 1], [1, 2, 2, 1], "VALID")
    net = _valid_block(net, (11, 17, 18), keep_prob, "down_conv_2")
    for level, (before, middle, after) in reversed(list(enumerate([(12, 7, 5), (18, 11, 12)]))):
        with tf.name_scope(f"up_conv_{level}"):
            weight, bias = _weight([2, 2, middle, before]), _bias(middle)
            shape = tf.shape(net)
            output = tf.stack([shape[0], shape[1] * 2, shape[2] * 2, middle])
            net = tf.nn.conv2d_transpose(net, weight, output, [1, 2, 2, 1], padding="VALID")
            net = _crop_and_concat(skips[level], tf.nn.relu(net + bias))
            net = _valid_block(net, (2 * middle, after + 2, after), keep_prob, "convs")
    with tf.name_scope("output_map"):
        logits = tf.nn.conv2d(net, _weight([1, 1, 5, 3]), [1, 1, 1, 1], "SAME") + _bias(3)
    with tf.name_scope("pixel_wise_softmax"):
        powers = tf.exp(logits - tf.reduce_max(logits, axis=3, keepdims=True))
        tf.divide(powers, tf.reduce_sum(powers, axis=3, keepdims=True), name="predicter")
    return Network(image, logits)


def two_levels() -> Network:
    """The smallest: one pooling; transposed convolution of kernel 2, sigmoid head of one class."""
    image = tf.placeholder(tf.float32, [None, 36, 28, 3], name="images")
    skip = _block(image, (6, 7), "down")
    net = _block(tf.layers.max_pooling2d(skip, (2, 2), (2, 2)), (11, 13), "bottom")
    net = tf.layers.conv2d_transpose(net, 9, (2, 2), strides=(2, 2), padding="same", name="up")
    net = _block(tf.concat([skip, net], 3), (8, 5), "merge")
    logits = tf.layers.conv2d(net, 1, (1, 1), name="head")
    tf.nn.sigmoid(logits, name="probability")
    return Network(image, logits)


def five_levels() -> Network:
    """Four poolings, fixed batch, transposed convolutions with ReLU, odd widths."""
    image = tf.placeholder(tf.float32, [2, 64, 96, 1], name="input_images")
    net, skips = image, []
    for level, filters in enumerate([(3, 4), (5, 6), (7, 8), (9, 10)]):
        net = _block(net, filters, f"contract_{level}")
        skips.append(net)
        net = tf.layers.max_pooling2d(net, 2, 2)
    net = _block(net, (12, 13), "contract_4")
    net = tf.layers.dropout(net, 0.4, training=tf.placeholder_with_default(False, [], "train_mode"))
    for level, count in reversed(list(enumerate([3, 5, 7, 9]))):
        with tf.variable_scope(f"expand_{level}"):
            net = tf.layers.conv2d_transpose(
                net, count, 2, 2, padding="same", activation=tf.nn.relu, name="deconv"
            )
            net = tf.concat([skips[level], net], axis=3)
        net = _block(net, (count + 2, count + 1), f"merge_{level}")
    logits = tf.layers.conv2d(net, 5, 1, name="class_scores")
    tf.argmax(logits, axis=-1, name="classes")
    return Network(image, logits)


def _hand_written_batch_norm(net: Any, training: Any) -> Any:
    """Batch norm as blog posts write it: moments, an exponential moving average, tf.cond."""
    with tf.variable_scope("bn"):
        count = net.shape[-1]
        beta = tf.get_variable("beta", [count], initializer=tf.zeros_initializer())
        gamma = tf.get_variable("gamma", [count], initializer=tf.ones_initializer())
        mean, variance = tf.nn.moments(net, [0, 1, 2], name="moments")
        average = tf.train.ExponentialMovingAverage(decay=0.95)

        def update() -> tuple[Any, Any]:
            with tf.control_dependencies([average.apply([mean, variance])]):
                return tf.identity(mean), tf.identity(variance)

        mean, variance = tf.cond(
            training, update, lambda: (average.average(mean), average.average(variance))
        )
        return tf.nn.batch_normalization(net, mean, variance, beta, gamma, 1e-4)


def cond_batch_norm() -> Network:
    """Three levels with hand-written batch norm under tf.cond(is_training)."""
    image = tf.placeholder(tf.float32, [None, 40, 56, 2], name="x_input")
    training = tf.placeholder(tf.bool, name="phase_train")

    def unit(net: Any, count: int, scope: str) -> Any:
        with tf.variable_scope(scope):
            weight = tf.get_variable("weights", [3, 3, net.shape[-1], count])
            bias = tf.get_variable("biases", [count])
            net = tf.nn.bias_add(tf.nn.conv2d(net, weight, [1, 1, 1, 1], "SAME"), bias)
            return tf.nn.relu(_hand_written_batch_norm(net, training))

    net, skips = image, []
    for level, count in enumerate([5, 8]):
        net = unit(unit(net, count, f"down{level}_1"), count + 1, f"down{level}_2")
        skips.append(net)
        net = tf.nn.max_pool(net, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
    net = unit(unit(net, 12, "bottom_1"), 13, "bottom_2")
    for level, count in reversed(list(enumerate([4, 7]))):
        net = tf.keras.layers.UpSampling2D((2, 2))(net)
        net = tf.concat([unit(net, count + 6, f"up{level}"), skips[level]], axis=3)
        net = unit(unit(net, count + 3, f"merge{level}_1"), count, f"merge{level}_2")
    with tf.variable_scope("score"):
        logits = tf.nn.conv2d(net, tf.get_variable("weights", [1, 1, 4, 3]), [1, 1, 1, 1], "SAME")
        logits = tf.nn.bias_add(logits, tf.get_variable("biases", [3]))
    tf.nn.softmax(logits, name="softmax")
    return Network(image, logits)
