"""Builds TensorFlow 1.15's own architectures with random weights, and saves them as checkpoints.

Run by the legacy interpreter, all in one process:

    python build.py FOLDER [NAME ...]      each in FOLDER/NAME, prefix model.ckpt

Batch norms get statistics, scales and shifts far from their initial ones, so that a tensor in the
wrong place changes what the network computes. Images are as small as each architecture allows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.contrib import slim
from tensorflow.contrib.slim import nets

BATCH = 2


class Architecture(NamedTuple):
    """One network: takes an image [BATCH, size, size, 3], and the number of classes."""

    build: Callable[[Any, int], Any]
    size: int
    classes: int


def _slim(network: Callable[..., Any], arg_scope: Callable[[], Any]) -> Callable[[Any, int], Any]:
    def build(image: Any, classes: int) -> None:
        with slim.arg_scope(arg_scope()):
            network(image, num_classes=classes, is_training=False)

    return build


def _keras(name: str) -> Callable[[Any, int], Any]:
    def build(image: Any, classes: int) -> None:
        tf.keras.backend.set_learning_phase(0)
        network = getattr(tf.keras.applications, name)
        network(input_tensor=image, weights=None, classes=classes)

    return build


ARCHITECTURES = {
    "alexnet_v2": Architecture(
        _slim(nets.alexnet.alexnet_v2, nets.alexnet.alexnet_v2_arg_scope), 199, 6
    ),
    "densenet121": Architecture(_keras("DenseNet121"), 64, 7),
    "inception_v1": Architecture(
        _slim(nets.inception.inception_v1, nets.inception.inception_v1_arg_scope), 200, 8
    ),
    "inception_v3": Architecture(
        _slim(nets.inception.inception_v3, nets.inception.inception_v3_arg_scope), 107, 9
    ),
    "mobilenet_v2": Architecture(_keras("MobileNetV2"), 64, 10),
    "resnet50": Architecture(_keras("ResNet50"), 64, 11),
    "resnet_v1_50": Architecture(
        _slim(nets.resnet_v1.resnet_v1_50, nets.resnet_v1.resnet_arg_scope), 64, 12
    ),
    "resnet_v2_50": Architecture(
        _slim(nets.resnet_v2.resnet_v2_50, nets.resnet_v2.resnet_arg_scope), 64, 13
    ),
    "vgg_16": Architecture(_slim(nets.vgg.vgg_16, nets.vgg.vgg_arg_scope), 224, 14),
    "xception": Architecture(_keras("Xception"), 73, 15),
}


def drawn(name: str, shape: list[int], random: Any) -> Any:
    """Draw the values of a variable from its name, such that activations keep their scale."""
    last = name.rpartition("/")[2]
    if last in ("moving_variance", "gamma"):
        return random.uniform(0.5, 1.4, shape).astype(np.float32)
    if last in ("moving_mean", "beta", "bias", "biases"):
        return 0.2 * random.standard_normal(shape, np.float32)
    fan_in = np.prod(shape[:2] if last == "depthwise_kernel" else shape[:-1])
    return np.sqrt(2 / fan_in).astype(np.float32) * random.standard_normal(shape, np.float32)


def narrow_scores(session: Any, image: Any, random: Any) -> None:
    """Scale the last kernel, so that a softmax after it does not answer 0 and 1 to everything."""
    last = [op for op in session.graph.get_operations() if op.type in ("Conv2D", "MatMul")][-1]
    scores = session.run(last.outputs[0], {image: random.uniform(size=image.shape.as_list())})
    kernel = [variable for variable in tf.global_variables() if variable.shape.ndims > 1][-1]
    kernel.load(session.run(kernel) / scores.std(), session)


def save(name: str, folder: Path) -> None:
    """Build one architecture, fill and save it."""
    architecture = ARCHITECTURES[name]
    random = np.random.default_rng(sorted(ARCHITECTURES).index(name))
    with tf.Graph().as_default(), tf.Session() as session:
        tf.keras.backend.set_session(session)
        shape = (BATCH, architecture.size, architecture.size, 3)
        image = tf.placeholder(tf.float32, shape, "images")
        architecture.build(image, architecture.classes)
        # In one run: a session.run for each variable takes a minute.
        values = {
            variable.initializer.inputs[1]: drawn(
                variable.op.name, variable.shape.as_list(), random
            )
            for variable in tf.global_variables()
        }
        session.run(tf.global_variables_initializer(), values)
        narrow_scores(session, image, random)
        folder.mkdir(parents=True, exist_ok=True)
        tf.train.Saver().save(session, os.fspath(folder / "model.ckpt"))


def main() -> None:
    """Command line."""
    folder, names = Path(sys.argv[1]), sys.argv[2:] or sorted(ARCHITECTURES)
    for name in names:
        save(name, folder / name)


if __name__ == "__main__":
    main()
