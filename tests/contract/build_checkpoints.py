"""Trains and saves the small checkpoints beside this file, whose exports are the golden ones.

    python3.7 tests/contract/build_checkpoints.py NAME FOLDER

Run once for each name, by CPython 3.7 with TensorFlow 1.15.5; the results are committed. Trained
weights differ from run to run, so running it again gives other checkpoints.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

import numpy
import tensorflow

compat = tensorflow.compat.v1
TRAINING_STEPS = 3


def segmenter() -> None:
    """A UNet of one level: strides, fused batch norm, dropout, transposed convolution, Adam."""
    image = compat.placeholder("float32", [None, 12, 10, 3], name="image")
    labels = compat.placeholder("int32", [None, 12, 10], name="labels")
    training = compat.placeholder("bool", [], name="is_training")
    keep = compat.placeholder("float32", [], name="keep_prob")
    first = compat.layers.conv2d(image, 5, 3, padding="same", use_bias=False, name="down/conv")
    first = compat.layers.batch_normalization(first, training=training, name="down/bn")
    first = compat.nn.relu(first)
    small = compat.layers.max_pooling2d(first, 2, 2)
    inner = compat.layers.conv2d(small, 7, [3, 1], padding="same", name="inner/conv")
    inner = compat.nn.dropout(compat.nn.relu(inner), keep_prob=keep)
    grown = compat.layers.conv2d_transpose(inner, 4, 2, strides=2, name="up/conv_transpose")
    joined = compat.concat([first, grown], 3)
    logits = compat.layers.conv2d(joined, 2, 1, name="logits")
    compat.nn.softmax(logits, name="probabilities")
    loss = compat.losses.sparse_softmax_cross_entropy(labels, logits)
    with compat.control_dependencies(compat.get_collection(compat.GraphKeys.UPDATE_OPS)):
        train = compat.train.AdamOptimizer(0.01).minimize(
            loss, compat.train.get_or_create_global_step(), name="train"
        )
    random = numpy.random.RandomState(1)
    feeds = {
        image: random.rand(4, 12, 10, 3),
        labels: random.randint(0, 2, [4, 12, 10]),
        training: True,
        keep: 0.8,
    }
    _train_and_save(train, feeds)


def reader() -> None:
    """An embedding, a partitioned table, depthwise and dense layers, resource variables."""
    words = compat.placeholder("int32", [None, 6], name="words")
    image = compat.placeholder("float32", [None, 8, 9, 2], name="image")
    target = compat.placeholder("float32", [None, 3], name="target")
    table = compat.get_variable(
        "table", [13, 4], partitioner=compat.fixed_size_partitioner(2), use_resource=True
    )
    sentence = compat.reduce_mean(compat.nn.embedding_lookup(table.as_tensor(), words), 1)
    depthwise = compat.get_variable("depthwise/kernel", [3, 2, 2, 3])
    seen = compat.nn.depthwise_conv2d(image, depthwise, [1, 2, 2, 1], "SAME")
    seen = compat.nn.relu(seen)
    flat = compat.layers.flatten(seen)
    both = compat.concat([compat.layers.dense(flat, 5, name="seen"), sentence], 1)
    score = compat.layers.dense(compat.nn.tanh(both), 3, name="score")
    train = compat.train.MomentumOptimizer(0.01, 0.9).minimize(
        compat.losses.mean_squared_error(target, score), name="train"
    )
    random = numpy.random.RandomState(2)
    feeds = {
        words: random.randint(0, 13, [4, 6]),
        image: random.rand(4, 8, 9, 2),
        target: random.rand(4, 3),
    }
    _train_and_save(train, feeds)


def bare() -> None:
    """Variables alone, of several types: the checkpoint's .meta is not kept."""
    random = numpy.random.RandomState(3)
    compat.Variable(random.rand(3, 3, 2, 5).astype("float32"), name="conv/kernel")
    compat.Variable(random.rand(5).astype("float32"), name="conv/bias")
    compat.Variable(random.rand(6, 4).astype("float64"), name="dense/kernel")
    compat.Variable(numpy.float16(0.5), name="half")
    compat.Variable(numpy.array([True, False, True]), name="mask")
    compat.Variable(compat.cast([1.5, -2.25, 3.0], compat.bfloat16), name="brain")
    compat.Variable(b"a text", name="note")
    compat.Variable(numpy.int64(12), name="global_step")
    _train_and_save(compat.no_op(), {})


CHECKPOINTS: dict[str, Callable[[], None]] = {
    "segmenter": segmenter,
    "reader": reader,
    "bare": bare,
}
_folder = ""


def _train_and_save(train: object, feeds: dict[object, object]) -> None:
    with compat.Session() as session:
        session.run(compat.global_variables_initializer())
        for _ in range(TRAINING_STEPS):
            session.run(train, feeds)
        compat.train.Saver().save(session, os.path.join(_folder, "model.ckpt"))
    # It names the folder of this run.
    os.unlink(os.path.join(_folder, "checkpoint"))


def main(argv: Sequence[str]) -> None:
    """Build one checkpoint into a folder."""
    global _folder
    name, _folder = argv
    os.makedirs(_folder, exist_ok=True)
    with compat.Graph().as_default():
        compat.set_random_seed(4)
        CHECKPOINTS[name]()
    if name == "bare":
        os.unlink(os.path.join(_folder, "model.ckpt.meta"))


if __name__ == "__main__":
    main(sys.argv[1:])
