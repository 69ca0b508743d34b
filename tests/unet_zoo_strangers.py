"""UNets of the zoo in the styles found in strangers' repositories.

Each function shows one habit: another library (tf.keras, contrib.slim, raw tf.nn), another order of
operations, another head.
"""

from __future__ import annotations

from typing import Any, Callable, Sequence

import tensorflow as tf
from tensorflow.contrib import slim
from unet_zoo_family import Network

keras = tf.keras.layers

Unit = Callable[[Any, int, str], Any]


def _pool(net: Any, scope: str) -> Any:
    return tf.layers.max_pooling2d(net, 2, 2, name=scope + "_pool")


def _transposed(kernel: Any) -> Unit:
    """Up-sampling by a strided transposed convolution, SAME."""

    def up(net: Any, count: int, scope: str) -> Any:
        return tf.layers.conv2d_transpose(net, count, kernel, 2, "same", name=scope)

    return up


def _unet(
    image: Any,
    unit: Unit,
    up: Unit,
    widths: Sequence[int],
    classes: int,
    convolutions: int = 2,
    pool: Callable[[Any, str], Any] = _pool,
    skip_first: bool = True,
) -> Network:
    """The common skeleton: `unit` is one convolution with all that belongs to it."""

    def block(net: Any, count: int, scope: str) -> Any:
        with tf.variable_scope(scope):
            for number in range(convolutions):
                net = unit(net, count + number, f"conv_{number + 1}")
        return net

    net, skips = image, []
    for level, count in enumerate(widths[:-1]):
        net = block(net, count, f"down{level}")
        skips.append(net)
        net = pool(net, f"down{level}")
    net = block(net, widths[-1], "bottom")
    for level in reversed(range(len(skips))):
        net = up(net, widths[level] + 3, f"up{level}")
        net = tf.concat([skips[level], net] if skip_first else [net, skips[level]], -1)
        net = block(net, widths[level] + 1, f"merge{level}")
    return Network(image, tf.layers.conv2d(net, classes, 1, name="logits"))


def _plain(activation: Callable[[Any], Any] = tf.nn.relu, **settings: Any) -> Unit:
    def unit(net: Any, count: int, scope: str) -> Any:
        arguments = dict({"kernel_size": 3, "padding": "same"}, **settings)
        return activation(tf.layers.conv2d(net, count, name=scope, **arguments))

    return unit


def keras_functional() -> Network:
    """tf.keras functional API with resource variables, UpSampling2D + 2x2 convolution, dropout."""
    image = keras.Input((48, 32, 3), name="input_1")
    first = keras.Conv2D(5, 3, activation="relu", padding="same")(image)
    first = keras.Conv2D(6, 3, activation="relu", padding="same")(first)
    second = keras.MaxPooling2D(pool_size=(2, 2))(first)
    second = keras.Conv2D(9, 3, activation="relu", padding="same")(second)
    second = keras.Conv2D(10, 3, activation="relu", padding="same")(second)
    dropped = keras.Dropout(0.5)(second)
    net = keras.MaxPooling2D(pool_size=(2, 2))(dropped)
    net = keras.Conv2D(14, 3, activation="relu", padding="same")(net)
    net = keras.Dropout(0.5)(keras.Conv2D(15, 3, activation="relu", padding="same")(net))
    for skip, count in ((dropped, 8), (first, 7)):
        up = keras.UpSampling2D(size=(2, 2))(net)
        up = keras.Conv2D(count, 2, activation="relu", padding="same")(up)
        net = keras.concatenate([skip, up], axis=3)
        net = keras.Conv2D(count + 3, 3, activation="relu", padding="same")(net)
        net = keras.Conv2D(count + 4, 3, activation="relu", padding="same")(net)
    net = keras.Conv2D(2, 3, activation="relu", padding="same")(net)
    logits = keras.Conv2D(1, 1)(net)
    keras.Activation("sigmoid")(logits)
    return Network(image, logits)


def keras_batch_norm() -> Network:
    """tf.keras: batch norm under the learning phase, transposed convolutions, softmax."""
    image = keras.Input((None, None, 1), name="images")

    def unit(net: Any, count: int, scope: str) -> Any:
        net = keras.Conv2D(count, 3, padding="same", kernel_initializer="he_normal")(net)
        return keras.Activation("relu")(keras.BatchNormalization()(net))

    net, skips = image, []
    for count in (4, 7):
        net = unit(unit(net, count, ""), count + 1, "")
        skips.append(net)
        net = keras.Dropout(0.1)(keras.MaxPooling2D((2, 2))(net))
    net = unit(unit(net, 11, ""), 12, "")
    for count, skip in zip((9, 6), reversed(skips)):
        net = keras.Conv2DTranspose(count, (3, 3), strides=(2, 2), padding="same")(net)
        net = keras.Dropout(0.1)(keras.concatenate([net, skip]))
        net = unit(unit(net, count + 4, ""), count + 5, "")
    logits = keras.Conv2D(3, (1, 1))(net)
    keras.Softmax(axis=-1)(logits)
    return Network(image, logits)


def slim_batch_norm() -> Network:
    """contrib.slim: batch norm without gamma, no bias, nearest resize, is_training by default."""
    image = tf.placeholder(tf.float32, [None, 40, 48, 3], name="input")
    training = tf.placeholder_with_default(True, [], name="is_training")
    settings = {"is_training": training, "decay": 0.95, "updates_collections": None}
    with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm, normalizer_params=settings):
        first = slim.repeat(image, 2, slim.conv2d, 6, [3, 3], scope="conv1")
        net = slim.max_pool2d(first, [2, 2], scope="pool1")
        second = slim.repeat(net, 2, slim.conv2d, 9, [3, 3], scope="conv2")
        net = slim.max_pool2d(second, [2, 2], scope="pool2")
        net = slim.repeat(net, 2, slim.conv2d, 13, [3, 3], scope="conv3")
        for number, (skip, count) in enumerate(((second, 10), (first, 7)), 4):
            net = tf.image.resize_nearest_neighbor(net, tf.shape(skip)[1:3])
            net = slim.conv2d(net, count, [3, 3], scope=f"up{number}")
            net = tf.concat([net, skip], 3)
            net = slim.repeat(net, 2, slim.conv2d, count + 1, [3, 3], scope=f"conv{number}")
    logits = slim.conv2d(net, 4, [1, 1], activation_fn=None, scope="logits")
    tf.nn.softmax(logits, name="probabilities")
    return Network(image, logits)


def skip_last() -> Network:
    """The up-sampled map first in the concat."""
    image = tf.placeholder(tf.float32, [None, 32, 40, 3], name="x")
    return _unet(image, _plain(), _transposed(2), (5, 8, 12), 3, skip_first=False)


def leaky_relu() -> Network:
    """Leaky ReLU with TensorFlow's slope of 0.2, written as maximum(a x, x) in the older half."""
    image = tf.placeholder(tf.float32, [None, 32, 24, 1], name="x")

    def activation(net: Any) -> Any:
        return tf.nn.leaky_relu(net) if int(net.shape[1]) > 16 else tf.maximum(0.1 * net, net)

    return _unet(image, _plain(activation), _transposed(2), (4, 7, 11), 2)


def elu_sigmoid() -> Network:
    """ELU, and a sigmoid over two classes that are not exclusive."""
    image = tf.placeholder(tf.float32, [None, 24, 32, 2], name="x")
    network = _unet(image, _plain(tf.nn.elu), _transposed(2), (6, 9), 2)
    tf.sigmoid(network.logits, name="probabilities")
    return network


def transpose_kernel_3() -> Network:
    """Transposed convolutions of kernel 3 and stride 2, SAME: padded at the end only."""
    image = tf.placeholder(tf.float32, [None, 32, 48, 1], name="x")
    return _unet(image, _plain(), _transposed(3), (4, 7, 10), 2)


def activation_then_batch_norm() -> Network:
    """Convolution, ReLU, then batch norm, with another epsilon and decay."""
    image = tf.placeholder(tf.float32, [None, 32, 24, 3], name="x")
    training = tf.placeholder(tf.bool, [], name="training")

    def unit(net: Any, count: int, scope: str) -> Any:
        net = tf.layers.conv2d(net, count, 3, padding="same", activation=tf.nn.relu, name=scope)
        return tf.layers.batch_normalization(
            net, training=training, momentum=0.9, epsilon=1e-5, name=scope + "_bn"
        )

    return _unet(image, unit, _transposed(2), (5, 8, 11), 3)


def no_bias_non_square() -> Network:
    """Kernels of 3x5 without bias, in a fixed-size graph; batch norm without gamma."""
    image = tf.placeholder(tf.float32, [3, 24, 40, 1], name="x")
    training = tf.placeholder(tf.bool, [], name="training")

    def unit(net: Any, count: int, scope: str) -> Any:
        net = tf.layers.conv2d(net, count, (3, 5), padding="same", use_bias=False, name=scope)
        net = tf.layers.batch_normalization(net, training=training, scale=False, name=scope + "_bn")
        return tf.nn.relu6(net)

    return _unet(image, unit, _transposed((2, 4)), (5, 8), 2)


def three_convolutions() -> Network:
    """Three convolutions in each block, seven classes."""
    image = tf.placeholder(tf.float32, [None, 24, 32, 4], name="x")
    network = _unet(image, _plain(), _transposed(2), (5, 9), 7, convolutions=3)
    tf.nn.softmax(network.logits)
    return network


def partitioned() -> Network:
    """Variables split along their output channels: one merged entry in the checkpoint."""
    image = tf.placeholder(tf.float32, [None, 24, 32, 3], name="x")
    with tf.variable_scope("net", partitioner=tf.fixed_size_partitioner(2, axis=0)):
        return _unet(image, _plain(), _transposed(2), (6, 9), 2)


def unnamed_variables() -> Network:
    """Raw tf.nn with variables that nobody named: Variable, Variable_1, … Variable_12."""
    image = tf.placeholder(tf.float32, [None, 24, 40, 1])

    def weight(*shape: int) -> Any:
        return tf.Variable(tf.truncated_normal(shape, stddev=0.1))

    def unit(net: Any, count: int, scope: str) -> Any:
        before = int(net.shape[-1])
        net = tf.nn.conv2d(net, weight(3, 3, before, count), [1, 1, 1, 1], "SAME")
        return tf.nn.relu(net + weight(count))

    def up(net: Any, count: int, scope: str) -> Any:
        height, width, before = net.shape.as_list()[1:]
        output = [tf.shape(net)[0], height * 2, width * 2, count]
        net = tf.nn.conv2d_transpose(net, weight(2, 2, count, before), output, [1, 2, 2, 1])
        return tf.nn.relu(tf.nn.bias_add(net, weight(count)))

    return _unet(image, unit, up, (5, 8, 12), 2)


def average_pool_even_kernel() -> Network:
    """Average pooling of 3 with stride 2 and even kernels of 4, SAME: both pad unevenly."""
    image = tf.placeholder(tf.float32, [None, 32, 24, 1], name="x")

    def pool(net: Any, scope: str) -> Any:
        return tf.nn.avg_pool(net, [1, 3, 3, 1], [1, 2, 2, 1], "SAME", name=scope + "_pool")

    return _unet(image, _plain(tf.nn.tanh, kernel_size=4), _transposed(4), (5, 8), 3, pool=pool)


def scaled_input() -> Network:
    """Pixel values scaled inside the graph, then a 1x1 convolution on the colours."""
    image = tf.placeholder(tf.float32, [None, 32, 24, 3], name="x")
    net = tf.layers.conv2d(image / 127.5 - 1, 4, 1, name="color_space_adjust")
    network = _unet(net, _plain(), _transposed(2), (5, 8), 1)
    tf.nn.sigmoid(network.logits)
    return Network(image, network.logits)
