"""UNets of other trades: image translation, wide views, small devices."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from unet_zoo_family import Network


def _relu(net: Any, count: int, **settings: Any) -> Any:
    return tf.layers.conv2d(net, count, 3, padding="same", activation=tf.nn.relu, **settings)


def strided_skips() -> Network:
    """Image translation: each level is one strided convolution, and its map the skip.

    The image has no skip of its own. The skips are taken after batch norm and leaky ReLU, but the
    first, a convolution's bare result.
    """
    image = tf.placeholder(tf.float32, [None, 32, 48, 3], name="real")
    training = tf.placeholder(tf.bool, [], name="is_training")
    keep_prob = tf.placeholder(tf.float32, [], name="keep_prob")

    def norm(net: Any) -> Any:
        return tf.layers.batch_normalization(net, training=training, epsilon=1e-5, momentum=0.9)

    def down(net: Any, count: int) -> Any:
        return tf.layers.conv2d(net, count, 5, 2, "same")

    def up(net: Any, count: int, width: int) -> Any:
        height = int(net.shape[1]) * 2
        kernel = tf.get_variable(f"w{count}", [5, 5, count, net.shape[-1]])
        shape = [tf.shape(net)[0], height, width, count]
        net = tf.nn.conv2d_transpose(net, kernel, shape, [1, 2, 2, 1])
        # As their authors write it: the reshape changes nothing.
        bias = tf.get_variable(f"b{count}", [count])
        return tf.reshape(tf.nn.bias_add(net, bias), [-1, height, width, count])

    first = down(image, 5)
    second = tf.nn.leaky_relu(norm(down(tf.nn.leaky_relu(first), 8)))
    third = tf.nn.leaky_relu(norm(down(second, 11)))
    net = tf.concat([tf.nn.dropout(norm(up(third, 9, 12)), keep_prob), second], 3)
    net = tf.concat([norm(up(tf.nn.relu(net), 6, 24)), first], 3)
    scores = up(tf.nn.relu(net), 2, 48)
    tf.tanh(scores, name="fake")
    return Network(image, scores)


def batch_statistics() -> Network:
    """Batch norm with `training=True` for ever; nothing runs the updates of its averages."""
    image = tf.placeholder(tf.float32, [4, 24, 32, 3], name="image")

    def unit(net: Any, count: int) -> Any:
        net = tf.layers.conv2d(net, count, 3, padding="same", use_bias=False)
        return tf.nn.relu(tf.layers.batch_normalization(net, training=True, momentum=0.95))

    skip = unit(unit(image, 5), 6)
    net = unit(tf.layers.max_pooling2d(skip, 2, 2), 9)
    net = tf.layers.conv2d_transpose(net, 7, 2, 2)
    net = unit(tf.concat([skip, net], 3), 8)
    logits = tf.layers.conv2d(net, 3, 1, name="logits")
    tf.nn.softmax(logits, name="probabilities")
    tf.get_default_graph().clear_collection(tf.GraphKeys.UPDATE_OPS)
    return Network(image, logits)


def dilated_bottleneck() -> Network:
    """Convolutions with holes at the bottom: SpaceToBatch and BatchToSpace, sizes unknown."""
    image = tf.placeholder(tf.float32, [None, None, None, 3], name="image")
    skip = _relu(_relu(image, 4), 6)
    net = _relu(tf.layers.max_pooling2d(skip, 2, 2), 8)
    for rate in (2, 3):
        net = _relu(net, 8 + rate, dilation_rate=rate)
    net = tf.concat([skip, tf.layers.conv2d_transpose(net, 7, 2, 2)], 3)
    return Network(image, tf.layers.conv2d(_relu(net, 5), 2, 1, name="logits"))


def separable() -> Network:
    """Separable convolutions, batch norm without bias before it, ReLU6, and a strided one."""
    image = tf.placeholder(tf.float32, [None, 48, 40, 3], name="image")
    training = tf.placeholder_with_default(False, [], name="is_training")

    def unit(net: Any, count: int, **settings: Any) -> Any:
        net = tf.layers.separable_conv2d(
            net, count, 3, padding="same", use_bias=False, depth_multiplier=2, **settings
        )
        return tf.nn.relu6(tf.layers.batch_normalization(net, training=training))

    first = unit(unit(image, 4), 6)
    second = unit(unit(first, 8, strides=2), 9)
    net = unit(tf.layers.max_pooling2d(second, 2, 2), 12)
    for skip, count in ((second, 10), (first, 7)):
        net = tf.image.resize_nearest_neighbor(net, tf.shape(skip)[1:3])
        net = unit(tf.concat([net, skip], 3), count)
    return Network(image, tf.layers.conv2d(net, 2, 1, name="logits"))


def restoration() -> Network:
    """Keras' SELU, a leaky ReLU of two sides and one of tf.where; the result clipped to [0, 1]."""
    image = tf.placeholder(tf.float32, [None, 24, 32, 3], name="noisy")

    def convolution(net: Any, count: int) -> Any:
        return tf.layers.conv2d(net, count, 3, padding="same")

    skip = tf.keras.activations.selu(convolution(image, 5))
    net = convolution(tf.layers.max_pooling2d(skip, 2, 2), 9)
    net = tf.nn.relu(net) - 0.3 * tf.nn.relu(-net)
    net = convolution(tf.concat([tf.layers.conv2d_transpose(net, 7, 2, 2), skip], 3), 6)
    net = tf.where(net > 0, net, 0.1 * net)
    result = tf.layers.conv2d(net, 3, 1, name="result")
    tf.clip_by_value(result, 0.0, 1.0, name="clean")
    return Network(image, result)
