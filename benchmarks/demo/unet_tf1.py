"""A UNet as people wrote it for TensorFlow 1.x: tf.layers, batch norm, Adam.

Runs on Python 3.7 with TensorFlow 1.15. The demo trains it; the benchmarks save larger ones.
"""

from typing import NamedTuple, Sequence

import tensorflow.compat.v1 as tf

# TensorFlow's default of 0.99 needs more steps than the demo trains for.
BATCH_NORM_MOMENTUM = 0.95


class TrainingGraph(NamedTuple):
    """The tensors and the op that a training loop needs."""

    images: tf.Tensor  # [batch, height, width, channels] float32
    labels: tf.Tensor  # [batch, height, width] int32
    is_training: tf.Tensor  # scalar bool
    logits: tf.Tensor  # [batch, height, width, classes] float32
    loss: tf.Tensor  # scalar float32
    train: tf.Operation


def _convolution_block(x: tf.Tensor, width: int, is_training: tf.Tensor, name: str) -> tf.Tensor:
    with tf.variable_scope(name):
        for step in (1, 2):
            x = tf.layers.conv2d(x, width, 3, padding="same", name=f"conv{step}")
            x = tf.layers.batch_normalization(
                x, momentum=BATCH_NORM_MOMENTUM, training=is_training, name=f"bn{step}"
            )
            x = tf.nn.relu(x)
    return x


def _up_and_concat(x: tf.Tensor, skip: tf.Tensor, width: int, name: str) -> tf.Tensor:
    with tf.variable_scope(name):
        size = tf.shape(x)[1:3] * 2
        x = tf.image.resize_nearest_neighbor(x, size)
        x = tf.layers.conv2d(x, width, 3, padding="same", name="upconv")
        return tf.concat([skip, x], axis=-1)


def unet_logits(
    images: tf.Tensor, widths: Sequence[int], classes: int, is_training: tf.Tensor
) -> tf.Tensor:
    """Logits [batch, height, width, classes]; `widths` are the channels from the top level down."""
    x, skips = images, []
    for level, width in enumerate(widths[:-1]):
        x = _convolution_block(x, width, is_training, f"enc{level}")
        skips.append(x)
        x = tf.layers.max_pooling2d(x, 2, 2)
    x = _convolution_block(x, widths[-1], is_training, "bottleneck")
    for level in reversed(range(len(skips))):
        x = _up_and_concat(x, skips[level], widths[level], f"up{level}")
        x = _convolution_block(x, widths[level], is_training, f"dec{level}")
    return tf.layers.conv2d(x, classes, 1, name="logits")


def training_graph(
    image_size: int,
    channels: int,
    classes: int,
    widths: Sequence[int],
    learning_rate: float,
    steps: int,
) -> TrainingGraph:
    """Build the whole training graph, Adam and batch norm's moving averages included."""
    images = tf.placeholder(tf.float32, [None, image_size, image_size, channels], name="x")
    labels = tf.placeholder(tf.int32, [None, image_size, image_size], name="y")
    is_training = tf.placeholder(tf.bool, [], name="is_training")
    logits = unet_logits(images, widths, classes, is_training)
    loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits), name="loss"
    )
    tf.summary.scalar("loss", loss)
    global_step = tf.train.get_or_create_global_step()
    rate = tf.train.cosine_decay(learning_rate, global_step, steps)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        train = tf.train.AdamOptimizer(rate).minimize(loss, global_step=global_step)
    return TrainingGraph(images, labels, is_training, logits, loss, train)
