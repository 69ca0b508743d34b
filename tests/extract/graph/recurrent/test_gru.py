"""Every GRU cell of TensorFlow 1.15."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping

import pytest
import tensorflow as tf
from tensorflow.contrib import cudnn_rnn, rnn

from tests.extract.graph.recurrent.case import (
    Built,
    attributes_of,
    axes_of,
    check,
    lengths,
    recurrent,
    sequence,
)

v1 = tf.compat.v1
cells = v1.nn.rnn_cell

PLAIN: Dict[str, Any] = {
    "cell": "gru",
    "gate_order": "ru",
    "forget_bias": None,
    "units": 3,
    "input_size": 5,
    "projection_size": None,
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "use_peephole": None,
    "cell_clip": None,
    "projection_clip": None,
    "reset_after": False,
    "direction": "forward",
    "time_major": False,
    "loop": "dynamic",
    "sequence_length": None,
}
AXES = {
    "gate_kernel": "(IR)(GU)",
    "gate_bias": "(GU)",
    "candidate_kernel": "(IR)U",
    "candidate_bias": "U",
}
CUDNN_AXES = {
    "gate_kernel": "(IR)(GU)",
    "gate_bias": "(GU)",
    "candidate_input_kernel": "IU",
    "candidate_input_bias": "U",
    "candidate_recurrent_kernel": "RU",
    "candidate_recurrent_bias": "U",
}


def dynamic(make: Callable[[], Any], before: int = 0) -> Callable[[], Built]:
    def build() -> Built:
        source = sequence()
        outputs, _ = v1.nn.dynamic_rnn(make(), source, dtype=tf.float32)
        return Built([source], [None] * before + [outputs])

    return build


def with_lengths() -> Built:
    source, ends = sequence(), lengths()
    outputs, state = v1.nn.dynamic_rnn(cells.GRUCell(3), source, ends, dtype=tf.float32)
    return Built([source, ends], [outputs], [state])


def static() -> Built:
    source = sequence()
    outputs, _ = v1.nn.static_rnn(cells.GRUCell(3), tf.unstack(source, axis=1), dtype=tf.float32)
    return Built([source], [tf.stack(outputs, 1)])


@pytest.mark.parametrize(
    ("build", "axes", "changes"),
    [
        pytest.param(dynamic(lambda: cells.GRUCell(3)), AXES, {}, id="gru"),
        pytest.param(
            dynamic(lambda: cells.GRUCell(3, activation=tf.nn.relu)),
            AXES,
            {"activation": "relu"},
            id="relu",
        ),
        pytest.param(dynamic(lambda: rnn.GRUBlockCellV2(3)), AXES, {}, id="block"),
        pytest.param(
            dynamic(lambda: cudnn_rnn.CudnnCompatibleGRUCell(3)),
            CUDNN_AXES,
            {"cell": "gru_cudnn", "reset_after": True},
            id="cudnn-compatible",
        ),
        pytest.param(with_lengths, AXES, {"sequence_length": "lengths:0"}, id="lengths"),
        pytest.param(static, AXES, {"loop": "static"}, id="static"),
    ],
)
def test_cell(
    build: Callable[[], Built], axes: Mapping[str, str], changes: Mapping[str, Any]
) -> None:
    document = check(build)
    (layer,) = recurrent(document)
    assert layer["kind"] == "gru"
    assert attributes_of(layer) == {**PLAIN, **changes}
    assert axes_of(document, layer) == axes


def test_stack() -> None:
    both = [cells.GRUCell(4), cells.GRUCell(3)]
    found = recurrent(check(dynamic(lambda: cells.MultiRNNCell(both), 1)))
    sizes = [(one["attributes"]["input_size"], one["attributes"]["units"]) for one in found]
    assert sizes == [(5, 4), (4, 3)]
