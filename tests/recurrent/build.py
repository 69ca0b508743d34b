"""Recurrent networks of TensorFlow 1.15, each saved as a checkpoint with drawn weights.

    python3.7 tests/recurrent/build.py FOLDER [NAME ...]

All read sequences [3, 7, 5] and end in a dense layer, the head. Sizes are all different.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.contrib import cudnn_rnn, rnn

BATCH, TIME, INPUTS, UNITS, PROJECTION, CLASSES = 3, 7, 5, 6, 4, 2
SECOND = 8
cells = tf.nn.rnn_cell
keras = tf.keras.layers

Build = Any


def dynamic(make: Callable[[], Any], **options: Any) -> Build:
    return lambda x: tf.nn.dynamic_rnn(make(), x, dtype=tf.float32, **options)[0]


def time_major(x: Any) -> Any:
    turned = tf.transpose(x, [1, 0, 2])
    outputs, _ = tf.nn.dynamic_rnn(cells.LSTMCell(UNITS), turned, dtype=tf.float32, time_major=True)
    return tf.transpose(outputs, [1, 0, 2])


def static(x: Any) -> Any:
    outputs, _ = tf.nn.static_rnn(cells.LSTMCell(UNITS), tf.unstack(x, axis=1), dtype=tf.float32)
    return tf.stack(outputs, axis=1)


def fused(x: Any) -> Any:
    outputs, _ = rnn.LSTMBlockFusedCell(UNITS)(tf.transpose(x, [1, 0, 2]), dtype=tf.float32)
    return tf.transpose(outputs, [1, 0, 2])


def bidirectional(make: Callable[[], Any]) -> Build:
    def build(x: Any) -> Any:
        pair, _ = tf.nn.bidirectional_dynamic_rnn(make(), make(), x, dtype=tf.float32)
        return tf.concat(pair, 2)

    return build


def stacked(x: Any) -> Any:
    stack = cells.MultiRNNCell([cells.LSTMCell(UNITS), cells.LSTMCell(UNITS)])
    return tf.nn.dynamic_rnn(stack, x, dtype=tf.float32)[0]


def two_sizes(x: Any) -> Any:
    stack = cells.MultiRNNCell([cells.LSTMCell(UNITS), cells.BasicLSTMCell(SECOND)])
    return tf.nn.dynamic_rnn(stack, x, dtype=tf.float32)[0]


def stacked_bidirectional(x: Any) -> Any:
    forward, backward = ([cells.LSTMCell(UNITS), cells.LSTMCell(UNITS)] for _ in "fb")
    return rnn.stack_bidirectional_dynamic_rnn(forward, backward, x, dtype=tf.float32)[0]


def last_state(x: Any) -> Any:
    _, state = tf.nn.dynamic_rnn(cells.LSTMCell(UNITS), x, dtype=tf.float32)
    return state.h


def one_step(x: Any) -> Any:
    cell = cells.LSTMCell(UNITS)
    output, _ = cell(x[:, 0], cell.zero_state(BATCH, tf.float32))
    return output


def backward_alone(x: Any) -> Any:
    outputs, _ = tf.nn.dynamic_rnn(cells.LSTMCell(UNITS), tf.reverse(x, [1]), dtype=tf.float32)
    return tf.reverse(outputs, [1])


def layer(make: Callable[..., Any], **options: Any) -> Build:
    return lambda x: make(UNITS, return_sequences=True, **options)(x)


def keras_bidirectional(x: Any) -> Any:
    inner = keras.LSTM(UNITS, return_sequences=True, recurrent_activation="sigmoid")
    return keras.Bidirectional(inner)(x)


NETWORKS: Mapping[str, Build] = {
    "basic": dynamic(lambda: cells.BasicLSTMCell(UNITS)),
    "forget_bias": dynamic(lambda: cells.BasicLSTMCell(UNITS, forget_bias=0.3)),
    "lstm_cell": dynamic(lambda: cells.LSTMCell(UNITS)),
    "time_major": time_major,
    "static": static,
    "block": dynamic(lambda: rnn.LSTMBlockCell(UNITS)),
    "fused": fused,
    "cudnn_lstm": dynamic(lambda: cudnn_rnn.CudnnCompatibleLSTMCell(UNITS)),
    "projection": dynamic(lambda: cells.LSTMCell(UNITS, num_proj=PROJECTION)),
    "keras_lstm": layer(keras.LSTM, recurrent_activation="sigmoid"),
    "keras_no_bias": layer(keras.LSTM, recurrent_activation="sigmoid", use_bias=False),
    "bidirectional": bidirectional(lambda: cells.LSTMCell(UNITS)),
    "bidirectional_projection": bidirectional(lambda: cells.LSTMCell(UNITS, num_proj=PROJECTION)),
    "keras_bidirectional": keras_bidirectional,
    "stacked": stacked,
    "two_sizes": two_sizes,
    "stacked_bidirectional": stacked_bidirectional,
    "last_state": last_state,
    "one_step": one_step,
    "backward_alone": backward_alone,
    "cudnn_gru": dynamic(lambda: cudnn_rnn.CudnnCompatibleGRUCell(UNITS)),
    "cudnn_gru_bidirectional": bidirectional(lambda: cudnn_rnn.CudnnCompatibleGRUCell(UNITS)),
    "keras_gru": layer(keras.GRU, recurrent_activation="sigmoid", reset_after=True),
    "keras_gru_no_bias": layer(
        keras.GRU, recurrent_activation="sigmoid", reset_after=True, use_bias=False
    ),
    "peephole": dynamic(lambda: cells.LSTMCell(UNITS, use_peepholes=True)),
    "block_peephole": dynamic(lambda: rnn.LSTMBlockCell(UNITS, use_peephole=True)),
    "cell_clip": dynamic(lambda: cells.LSTMCell(UNITS, cell_clip=0.5)),
    "projection_clip": dynamic(lambda: cells.LSTMCell(UNITS, num_proj=PROJECTION, proj_clip=0.5)),
    "relu": dynamic(lambda: cells.LSTMCell(UNITS, activation=tf.nn.relu)),
    "hard_sigmoid": layer(keras.LSTM),
    "gru_cell": dynamic(lambda: cells.GRUCell(UNITS)),
    "keras_gru_before": layer(keras.GRU, recurrent_activation="sigmoid"),
    "keras_gru_hard_sigmoid": layer(keras.GRU, reset_after=True),
}


def save(name: str, folder: Path) -> None:
    """Build one network, fill and save it."""
    random = np.random.default_rng(sorted(NETWORKS).index(name))
    with tf.Graph().as_default(), tf.Session() as session:
        tf.keras.backend.set_session(session)
        x = tf.placeholder(tf.float32, [BATCH, TIME, INPUTS], "x")
        tf.layers.dense(NETWORKS[name](x), CLASSES, name="head")
        values = {
            variable: random.normal(0.0, 0.4, variable.shape.as_list()).astype(np.float32)
            for variable in tf.global_variables()
        }
        session.run(tf.global_variables_initializer())
        for variable, value in values.items():
            variable.load(value, session)
        folder.mkdir(parents=True, exist_ok=True)
        tf.train.Saver().save(session, os.fspath(folder / "model.ckpt"))


def main() -> None:
    """Command line."""
    folder, names = Path(sys.argv[1]), sys.argv[2:] or sorted(NETWORKS)
    for name in names:
        save(name, folder / name)


if __name__ == "__main__":
    main()
