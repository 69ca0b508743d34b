"""UNets that a reader who trusts names, defaults or shapes turns into another function."""

from __future__ import annotations

import re
from typing import Any

import tensorflow as tf
from unet_zoo_family import Network


def _convolution(net: Any, count: int, name: str | None = None) -> Any:
    return tf.layers.conv2d(net, count, 3, padding="same", activation=tf.nn.relu, name=name)


def _unet(net: Any, classes: int = 2) -> Any:
    """Two levels whose three first convolutions of 6 channels only their order tells apart."""
    skip = _convolution(_convolution(_convolution(net, 6, "a"), 6, "b"), 6, "c")
    net = _convolution(tf.layers.max_pooling2d(skip, 2, 2), 9, "bottom")
    net = tf.layers.conv2d_transpose(net, 7, 2, 2, name="up")
    net = _convolution(tf.concat([skip, net], 3), 5, "merge")
    return tf.layers.conv2d(net, classes, 1, name="logits")


def plain() -> Network:
    """Nothing peculiar about the graph: the peculiar is how it is saved."""
    image = tf.placeholder(tf.float32, [None, 24, 32, 3], name="x")
    return Network(image, tf.identity(_unet(image), name="out"))


def swapped_keys() -> dict[str, Any]:
    """The checkpoint's key of each of two layers of one shape is the other's name in the graph."""
    variables = {variable.op.name: variable for variable in tf.global_variables()}
    for role in ("kernel", "bias"):
        first, second = f"b/{role}", f"c/{role}"
        variables[first], variables[second] = variables[second], variables[first]
    return variables


def numbered_layers() -> Network:
    """Layers as Keras numbers them in a process that has made another network before."""
    image = tf.placeholder(tf.float32, [None, 24, 32, 6], name="x")
    skip = image
    for number in (1, 2, 3):
        skip = _convolution(skip, 6, f"conv2d_{number}")
    net = _convolution(tf.layers.max_pooling2d(skip, 2, 2), 6, "conv2d_4")
    net = tf.layers.conv2d_transpose(_convolution(net, 6, "conv2d_5"), 5, 2, 2)
    net = _convolution(tf.concat([skip, net], 3), 6, "merge")
    return Network(image, tf.identity(tf.layers.conv2d(net, 2, 1, name="logits"), name="out"))


def shifted_keys() -> dict[str, Any]:
    """The keys of a process that made nothing before: conv2d_1 is saved as conv2d, and so on."""

    def key(name: str) -> str:
        return re.sub(r"^conv2d_(\d)", lambda match: f"conv2d_{int(match.group(1)) - 1}", name)

    return {
        key(variable.op.name).replace("conv2d_0/", "conv2d/"): variable
        for variable in tf.global_variables()
    }


def switch_on_by_default() -> Network:
    """A boolean that nobody has to feed, with a default of true and a name that says little."""
    image = tf.placeholder(tf.float32, [None, 24, 32, 3], name="x")
    standardize = tf.placeholder_with_default(True, [], name="standardize")
    net = tf.cond(standardize, lambda: image * 2.0 + 1.0, lambda: image)
    return Network(image, tf.identity(_unet(net), name="out"))


def calibrated_by_default() -> Network:
    """The same kind of boolean behind the last convolution."""
    image = tf.placeholder(tf.float32, [None, 24, 32, 3], name="x")
    calibrate = tf.placeholder_with_default(True, [], name="calibrate")
    scores = _unet(image)
    calibrated = tf.cond(calibrate, lambda: scores * 2.0 + 1.0, lambda: scores)
    return Network(image, tf.identity(calibrated, name="out"))


def mask_times_input() -> Network:
    """Source separation: what the UNet computes is a mask, and the output mask times input."""
    mixture = tf.placeholder(tf.float32, [None, 24, 32], name="mixture")
    scores = _unet(tf.expand_dims(mixture, 3), classes=1)
    mask = tf.sigmoid(tf.squeeze(scores, axis=3))
    return Network(mixture, tf.multiply(mask, mixture, name="out"))


def attention_gate() -> Network:
    """The skip times a map that is computed from both the skip and the level below."""
    image = tf.placeholder(tf.float32, [None, 24, 32, 3], name="x")
    skip = _convolution(_convolution(image, 6, "a"), 6, "b")
    net = _convolution(tf.layers.max_pooling2d(skip, 2, 2), 9, "bottom")
    net = tf.layers.conv2d_transpose(net, 6, 2, 2, name="up")
    gate = tf.layers.conv2d(tf.concat([skip, net], 3), 1, 1, activation=tf.sigmoid, name="gate")
    net = _convolution(tf.concat([tf.multiply(skip, gate, name="gated"), net], 3), 5, "merge")
    return Network(image, tf.identity(tf.layers.conv2d(net, 2, 1, name="logits"), name="out"))
