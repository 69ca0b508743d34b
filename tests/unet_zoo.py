"""Builds small UNets in TensorFlow 1.15 and saves them as training scripts do.

Run by the legacy interpreter:

    python tests/unet_zoo.py upconvcat FOLDER

Each network is a training graph (labels, loss, optimizer, summaries) whose variables hold seeded
values that no identity could pass: biases that are not zero, batch norm statistics far from (0, 1).
Importing this file needs no TensorFlow, so a test on any Python can read ``VARIANTS``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import zlib
from typing import Any, NamedTuple, Sequence

FAMILY = "unet_zoo_family"
STRANGERS = "unet_zoo_strangers"
RARE = "unet_zoo_rare"
REFUSED = "unet_zoo_refused"
TRAPS = "unet_zoo_traps"
KINDS = "unet_zoo_kinds"

CHECKPOINT_NAME = "model.ckpt"
GLOBAL_STEP = 7


class Variant(NamedTuple):
    """One network of the zoo and how its training script saves it."""

    module: str  # the file beside this one that builds it
    function: str  # builds it in the default graph, returns a Network
    fits: bool = True  # `--model unet` must take it
    optimizer: str = "momentum"
    numbered: bool = True  # saved with a global step in the file name
    bare: bool = False  # neither .meta nor `checkpoint` file
    runs: bool = True  # TensorFlow can run it on a CPU as it was saved
    first_misfit: str | None = None  # the node that a refusal must name
    output: str | None = None  # the tensor that the torch module must compute, where it is told
    keys: str | None = None  # function of the module: the Saver's checkpoint key -> variable


VARIANTS: dict[str, Variant] = {
    "upconvcat": Variant(FAMILY, "upconvcat", numbered=False),
    "upconvcat_batch_norm_adam": Variant(FAMILY, "upconvcat_batch_norm", optimizer="adam"),
    "paper_valid": Variant(FAMILY, "paper_valid"),
    "two_levels": Variant(FAMILY, "two_levels", optimizer="adam"),
    "five_levels": Variant(FAMILY, "five_levels"),
    "bare": Variant(FAMILY, "upconvcat_batch_norm", optimizer="adam", bare=True),
    "bare_transposed": Variant(FAMILY, "two_levels", optimizer="adam", bare=True),
    "cond_batch_norm": Variant(FAMILY, "cond_batch_norm", optimizer="adam"),
    "keras_functional": Variant(STRANGERS, "keras_functional", optimizer="adam"),
    "keras_batch_norm": Variant(STRANGERS, "keras_batch_norm", optimizer="adam"),
    "slim_batch_norm": Variant(STRANGERS, "slim_batch_norm", optimizer="rmsprop"),
    "skip_last": Variant(STRANGERS, "skip_last"),
    "leaky_relu": Variant(STRANGERS, "leaky_relu", optimizer="adam"),
    "elu_sigmoid": Variant(STRANGERS, "elu_sigmoid", optimizer="adam"),
    "transpose_kernel_3": Variant(STRANGERS, "transpose_kernel_3", optimizer="adam"),
    "activation_then_batch_norm": Variant(
        STRANGERS, "activation_then_batch_norm", optimizer="adam"
    ),
    "no_bias_non_square": Variant(STRANGERS, "no_bias_non_square"),
    "three_convolutions": Variant(STRANGERS, "three_convolutions", optimizer="rmsprop"),
    "partitioned": Variant(STRANGERS, "partitioned", optimizer="adam"),
    "unnamed_variables": Variant(STRANGERS, "unnamed_variables", optimizer="adam"),
    "average_pool_even_kernel": Variant(STRANGERS, "average_pool_even_kernel"),
    "scaled_input": Variant(STRANGERS, "scaled_input", optimizer="adam"),
    "keras_cropping": Variant(RARE, "keras_cropping", optimizer="adam"),
    "crop_or_pad": Variant(RARE, "crop_or_pad"),
    "channels_first": Variant(RARE, "channels_first", runs=False),
    "bilinear_resize": Variant(RARE, "bilinear_resize", optimizer="rmsprop"),
    "strided_down": Variant(RARE, "strided_down", optimizer="adam"),
    "mask_only": Variant(RARE, "mask_only"),
    "depth_to_space": Variant(RARE, "depth_to_space", optimizer="adam"),
    "without_channel_axis": Variant(RARE, "without_channel_axis", optimizer="adam"),
    "image_summaries": Variant(RARE, "image_summaries"),
    "residual_addition": Variant(
        REFUSED, "residual_addition", fits=False, first_misfit="down0/add"
    ),
    "skip_after_pooling": Variant(
        REFUSED, "skip_after_pooling", fits=False, first_misfit="up1/concat"
    ),
    "additive_skip": Variant(REFUSED, "additive_skip", fits=False, first_misfit="up1/add"),
    "plain_autoencoder": Variant(
        REFUSED, "plain_autoencoder", fits=False, first_misfit="up0/ResizeNearestNeighbor"
    ),
    "strided_skips": Variant(KINDS, "strided_skips", optimizer="adam"),
    "batch_statistics": Variant(KINDS, "batch_statistics", optimizer="adam"),
    "dilated_bottleneck": Variant(KINDS, "dilated_bottleneck", optimizer="rmsprop"),
    "restoration": Variant(KINDS, "restoration", optimizer="adam"),
    "separable": Variant(KINDS, "separable", optimizer="adam"),
    "swapped_keys": Variant(TRAPS, "plain", output="out:0", keys="swapped_keys"),
    "shifted_keys": Variant(TRAPS, "numbered_layers", output="out:0", keys="shifted_keys"),
    "switch_on_by_default": Variant(TRAPS, "switch_on_by_default", output="out:0"),
    "calibrated_by_default": Variant(TRAPS, "calibrated_by_default", output="out:0"),
    "mask_times_input": Variant(TRAPS, "mask_times_input", fits=False, first_misfit="out"),
    "attention_gate": Variant(TRAPS, "attention_gate", fits=False, first_misfit="gated"),
}


def add_training(network: Any, optimizer_name: str) -> Any:
    """Add what a training script has around its network: loss, accuracy, summaries, optimizer.

    Args:
        network: a Network (image, logits [N, H, W, classes] before the final activation).
        optimizer_name: "momentum", "adam" or "rmsprop".

    Returns:
        The global step variable.
    """
    import tensorflow as tf

    *places, classes = network.logits.shape.as_list()
    labels = tf.placeholder(tf.float32, [None for _ in places] + [classes], name="labels")
    with tf.name_scope("loss"):
        if classes == 1:
            entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=network.logits)
        else:
            entropy = tf.nn.softmax_cross_entropy_with_logits_v2(
                labels=tf.stop_gradient(labels), logits=network.logits
            )
        loss = tf.reduce_mean(entropy, name="cross_entropy")
    with tf.name_scope("metrics"):
        correct = tf.equal(tf.argmax(network.logits, -1), tf.argmax(labels, -1))
        accuracy = tf.reduce_mean(tf.cast(correct, tf.float32), name="accuracy")
    tf.summary.scalar("loss", loss)
    tf.summary.scalar("accuracy", accuracy)
    tf.summary.image("input", network.image[..., :1])
    tf.summary.merge_all()
    step = tf.Variable(0, trainable=False, name="global_step", dtype=tf.int64)
    optimizers = {
        "momentum": lambda: tf.train.MomentumOptimizer(0.02, 0.9),
        "adam": lambda: tf.train.AdamOptimizer(1e-3),
        "rmsprop": lambda: tf.train.RMSPropOptimizer(1e-3),
    }
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        optimizers[optimizer_name]().minimize(loss, global_step=step, name="train")
    return step


def random_value(name: str, shape: Sequence[int], dtype: Any) -> Any:
    """A seeded value for one variable, in the range that a trained one would have."""
    import numpy as np

    random = np.random.RandomState(zlib.crc32(name.encode("utf-8")) & 0x7FFFFFFF)
    if name.endswith("global_step"):
        return np.asarray(GLOBAL_STEP, dtype)
    if not len(shape):  # the optimizers' powers
        return np.asarray(0.81, dtype)
    if "variance" in name or "Squeeze_1" in name or "RMSProp" in name or "Adam_1" in name:
        return random.uniform(0.3, 2.5, shape).astype(dtype)
    if "gamma" in name:
        return (1.0 + 0.25 * random.randn(*shape)).astype(dtype)
    if len(shape) == 1:
        return (0.3 * random.randn(*shape)).astype(dtype)
    fan_in = np.prod(shape[:-1], dtype=np.float64)
    return (random.randn(*shape) * np.sqrt(1.6 / fan_in)).astype(dtype)


def randomise(session: Any) -> None:
    """Give every variable of the default graph its seeded value."""
    import tensorflow as tf

    for variable in tf.global_variables():
        numpy_dtype = variable.dtype.base_dtype.as_numpy_dtype
        value = random_value(variable.op.name, variable.shape.as_list(), numpy_dtype)
        variable.load(value, session)


def save(variant: Variant, keys: Any, folder: str, session: Any) -> str:
    """Save the default graph's variables as this variant's script does; returns the prefix."""
    import tensorflow as tf

    if not os.path.isdir(folder):
        os.makedirs(folder)
    prefix = tf.train.Saver(keys, max_to_keep=2).save(
        session,
        os.path.join(folder, CHECKPOINT_NAME),
        global_step=GLOBAL_STEP if variant.numbered else None,
        write_meta_graph=not variant.bare,
    )
    if variant.bare:
        os.remove(os.path.join(folder, "checkpoint"))
    return str(prefix)


def build(name: str, folder: str) -> str:
    """Build one variant in a fresh graph and save it; returns the checkpoint's prefix."""
    import tensorflow as tf

    variant = VARIANTS[name]
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    module = importlib.import_module(variant.module)
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
    with tf.Graph().as_default():
        tf.set_random_seed(20)
        network = getattr(module, variant.function)()
        add_training(network, variant.optimizer)
        keys = None if variant.keys is None else getattr(module, variant.keys)()
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            randomise(session)
            return save(variant, keys, folder, session)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: one variant into one folder."""
    parser = argparse.ArgumentParser(description="Build and save one small TensorFlow 1 UNet.")
    parser.add_argument("name", choices=sorted(VARIANTS))
    parser.add_argument("folder")
    settings = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    print(build(settings.name, settings.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
