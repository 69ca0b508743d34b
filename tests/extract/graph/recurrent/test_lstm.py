"""LSTM cells in every wrapper: variables, attributes, and the tensor with the sequence."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping

import pytest
import tensorflow as tf

from tests.extract.graph.graph_case import kinds
from tests.extract.graph.recurrent.case import Built, attributes, check, sequence

v1 = tf.compat.v1
cells = v1.nn.rnn_cell


def dynamic(make: Callable[[], Any], **options: Any) -> Callable[[], Built]:
    def build() -> Built:
        source = sequence()
        outputs, _ = v1.nn.dynamic_rnn(make(), source, dtype=tf.float32, **options)
        return Built(source, outputs)

    return build


@pytest.mark.parametrize(
    ("build", "variables", "changes"),
    [
        pytest.param(
            dynamic(lambda: cells.BasicLSTMCell(3)),
            {"kernel": "rnn/basic_lstm_cell/kernel", "bias": "rnn/basic_lstm_cell/bias"},
            {},
            id="basic-dynamic",
        ),
    ],
)
def test_one_layer(
    build: Callable[[], Built], variables: Mapping[str, str], changes: Dict[str, Any]
) -> None:
    document = check(build)
    assert kinds(document) == ["lstm", "dense"]
    layer = document["layers"][0]
    assert layer["variables"] == variables
    assert attributes(layer) == {**BASIC, **changes}


BASIC: Dict[str, Any] = {
    "cell": "lstm",
    "gate_order": "ijfo",
    "forget_bias": 1.0,
    "units": 3,
    "input_size": 5,
    "projection_size": None,
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "use_peephole": False,
    "cell_clip": None,
    "projection_clip": None,
    "reset_after": None,
    "direction": "forward",
    "time_major": False,
    "loop": "dynamic",
    "sequence_length": None,
    "initial_state": None,
    "final_state": None,
}
