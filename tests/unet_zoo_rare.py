"""UNets of the zoo with the rarer parts: other croppings, resizes, poolings and axes."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.contrib import slim
from unet_zoo_family import Network

keras = tf.keras.layers


def _convolution(net: Any, count: int, **settings: Any) -> Any:
    arguments = dict({"padding": "same", "activation": tf.nn.relu}, **settings)
    return tf.layers.conv2d(net, count, 3, **arguments)


def keras_cropping() -> Network:
    """tf.keras, VALID, skips cut by Cropping2D with margins that differ."""
    image = keras.Input((68, 76, 2), name="image")
    first = keras.Conv2D(6, 3, activation="relu")(keras.Conv2D(5, 3, activation="relu")(image))
    net = keras.MaxPooling2D()(first)
    second = keras.Conv2D(9, 3, activation="relu")(keras.Conv2D(8, 3, activation="relu")(net))
    net = keras.MaxPooling2D()(second)
    net = keras.Conv2D(12, 3, activation="relu")(keras.Conv2D(11, 3, activation="relu")(net))
    net = keras.Conv2DTranspose(8, 2, strides=2)(net)
    net = keras.concatenate([keras.Cropping2D(4)(second), net])
    net = keras.Conv2D(7, 3, activation="relu")(net)
    net = keras.UpSampling2D(2, interpolation="bilinear")(net)
    net = keras.concatenate([keras.Cropping2D(((13, 15), (16, 12)))(first), net])
    logits = keras.Conv2D(3, 1)(keras.Conv2D(4, 3, activation="relu")(net))
    keras.Softmax()(logits)
    return Network(image, logits)


def crop_or_pad() -> Network:
    """VALID, skips cut by tf.image.resize_image_with_crop_or_pad; unknown batch only."""
    image = tf.placeholder(tf.float32, [None, 60, 68, 1], name="x")
    skip = _convolution(_convolution(image, 5, padding="valid"), 6, padding="valid")
    net = tf.layers.max_pooling2d(skip, 2, 2)
    net = _convolution(_convolution(net, 9, padding="valid"), 10, padding="valid")
    net = tf.layers.conv2d_transpose(net, 7, 2, 2)
    height, width = net.shape.as_list()[1:3]
    net = tf.concat([net, tf.image.resize_image_with_crop_or_pad(skip, height, width)], 3)
    return Network(image, tf.layers.conv2d(_convolution(net, 4, padding="valid"), 2, 1))


def channels_first() -> Network:
    """NCHW inside, NHWC outside: TensorFlow runs it on a CPU only in another layout."""
    image = tf.placeholder(tf.float32, [None, 24, 32, 3], name="x")
    settings = {"data_format": "channels_first"}
    net = tf.transpose(image, [0, 3, 1, 2])
    skip = _convolution(net, 6, **settings)
    net = tf.layers.max_pooling2d(skip, 2, 2, data_format="channels_first")
    net = _convolution(net, 9, **settings)
    net = tf.layers.conv2d_transpose(net, 8, 2, 2, data_format="channels_first")
    net = _convolution(tf.concat([skip, net], 1), 5, **settings)
    logits = tf.layers.conv2d(net, 2, 1, data_format="channels_first")
    return Network(image, tf.transpose(logits, [0, 2, 3, 1]))


def bilinear_resize() -> Network:
    """resize_images with TensorFlow 1's bilinear coordinates, to an odd skip; mean taken off."""
    image = tf.placeholder(tf.float32, [None, 25, 38, 3], name="x")
    skip = _convolution(image - tf.constant([0.4, 0.5, 0.6]), 6)
    second = _convolution(tf.layers.max_pooling2d(skip, 3, 2, "same"), 7)
    net = _convolution(tf.layers.max_pooling2d(second, 2, 2, "same"), 9)
    net = tf.image.resize_images(net, second.shape[1:3])
    net = _convolution(tf.concat([net, second], 3), 8)
    net = tf.image.resize_bilinear(net, tf.shape(skip)[1:3], align_corners=True)
    net = _convolution(tf.concat([net, skip], 3), 5)
    return Network(image, tf.layers.conv2d(net, 2, 1))


def strided_down() -> Network:
    """Strided convolutions for pooling, SAME on even and odd sizes; a flattened softmax."""
    image = tf.placeholder(tf.float32, [None, 36, 52, 1], name="x")
    first = _convolution(image, 4)
    second = _convolution(_convolution(first, 5, strides=2), 7)
    net = _convolution(_convolution(second, 8, strides=2), 9)
    for skip, count in ((second, 6), (first, 3)):
        net = tf.layers.conv2d_transpose(net, count, 4, 2, "same", activation=tf.nn.leaky_relu)
        net = _convolution(tf.concat([skip, net], 3), count + 1)
    logits = tf.layers.conv2d(net, 3, 1)
    tf.nn.softmax(tf.reshape(logits, [-1, 3]), name="probabilities")
    return Network(image, logits)


def mask_only() -> Network:
    """One class, squeezed, its sigmoid rounded: the scores are the module's result."""
    image = tf.placeholder(tf.float32, [None, 28, 36, 1], name="x")
    skip = tf.layers.dropout(_convolution(image, 5), 0.3, noise_shape=[1, 1, 1, 5], training=True)
    net = _convolution(tf.layers.average_pooling2d(skip, 2, 2), 7)
    net = tf.layers.conv2d_transpose(net, 6, 2, 2)
    logits = tf.layers.conv2d(_convolution(tf.concat([skip, net], 3), 4), 1, 1)
    tf.round(tf.sigmoid(tf.squeeze(logits, axis=3)), name="mask")
    return Network(image, logits)


def depth_to_space() -> Network:
    """Image restoration: sizes from tf.shape(skip), leaky ReLU as maximum, pixels from channels."""
    image = tf.placeholder(tf.float32, [None, None, None, 4])

    def unit(net: Any, count: int) -> Any:
        return slim.conv2d(net, count, [3, 3], activation_fn=lambda x: tf.maximum(x * 0.2, x))

    def up(net: Any, skip: Any) -> Any:
        before, count = net.shape.as_list()[3], skip.shape.as_list()[3]
        weight = tf.Variable(tf.truncated_normal([2, 2, count, before], stddev=0.02))
        net = tf.nn.conv2d_transpose(net, weight, tf.shape(skip), strides=[1, 2, 2, 1])
        net = tf.concat([net, skip], 3)
        net.set_shape([None, None, None, 2 * count])
        return net

    first = unit(unit(image, 5), 6)
    second = unit(unit(slim.max_pool2d(first, [2, 2], padding="SAME"), 9), 10)
    net = unit(unit(slim.max_pool2d(second, [2, 2], padding="SAME"), 14), 15)
    net = unit(up(unit(up(net, second), 8), first), 7)
    scores = slim.conv2d(net, 12, [1, 1], activation_fn=None)
    return Network(image, tf.depth_to_space(scores, 2))


def without_channel_axis() -> Network:
    """Images [N, H, W]; bilinear, then a transposed convolution of stride 1."""
    images = tf.placeholder(tf.float32, [None, 44, 36])
    keep_prob = tf.placeholder_with_default(1.0, [])
    image = tf.expand_dims(images, 3)
    conv = _convolution(image, 5)
    skip = tf.nn.dropout(conv, keep_prob)
    net = tf.nn.dropout(_convolution(tf.layers.max_pooling2d(conv, 2, 2), 8), keep_prob)
    net = tf.image.resize_bilinear(net, [44, 36])
    net = tf.layers.conv2d_transpose(net, 6, 2, 1, padding="same")
    net = _convolution(tf.concat([skip, net], 3), 4)
    logits = tf.identity(tf.layers.conv2d(net, 1, 1), name="out")
    tf.cast(tf.sigmoid(tf.squeeze(logits, axis=3)) > 0.5, tf.uint8, name="mask")
    return Network(image, logits)


def image_summaries() -> Network:
    """Pictures of inner maps for TensorBoard, stretched to [0, 255]: none of them is an output."""
    image = tf.placeholder(tf.float32, [None, None, None, 1], name="x")
    skip = _convolution(image, 5)
    net = _convolution(tf.layers.max_pooling2d(skip, 2, 2), 8)
    for name, inner in (("skip", skip), ("bottom", net)):
        picture = tf.slice(inner, (0, 0, 0, 0), (1, -1, -1, 1))
        picture -= tf.reduce_min(picture)
        picture /= tf.reduce_max(picture)
        sizes = tf.shape(inner)
        picture = tf.reshape(picture * 255, tf.stack((-1, sizes[1], sizes[2], 1)))
        tf.summary.image(f"{name}_map", picture)
        tf.summary.histogram(f"{name}_activations", inner)
    net = tf.layers.conv2d_transpose(net, 6, 2, 2)
    logits = tf.layers.conv2d(_convolution(tf.concat([skip, net], 3), 4), 2, 1)
    tf.nn.softmax(logits, name="probabilities")
    return Network(image, logits)
