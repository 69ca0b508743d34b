"""Every LSTM cell in a while loop: variables, axes, attributes, and what they compute."""

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
    recurrent,
    sequence,
)

v1 = tf.compat.v1
cells = v1.nn.rnn_cell

PLAIN: Dict[str, Any] = {
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
}
AXES = {"kernel": "(IR)(GU)", "bias": "(GU)"}
PEEPHOLES = {f"peephole_{gate}": "U" for gate in ("input", "forget", "output")}


def dynamic(make: Callable[[], Any]) -> Callable[[], Built]:
    def build() -> Built:
        source = sequence()
        outputs, _ = v1.nn.dynamic_rnn(make(), source, dtype=tf.float32)
        return Built([source], [outputs])

    return build


def fused(turned: bool = False, **options: Any) -> Callable[[], Built]:
    """BlockLSTM reads sequences with time first."""

    def build() -> Built:
        source = v1.placeholder(tf.float32, [7, None, 5], name="x")
        cell = rnn.LSTMBlockFusedCell(3, **options)
        made = rnn.TimeReversedFusedRNN(cell) if turned else cell
        outputs, _ = made(source, dtype=tf.float32)
        return Built([source], [outputs])

    return build


@pytest.mark.parametrize(
    ("build", "axes", "changes"),
    [
        pytest.param(dynamic(lambda: cells.BasicLSTMCell(3)), {}, {}, id="basic"),
        pytest.param(
            dynamic(lambda: cells.BasicLSTMCell(3, forget_bias=0.3, activation=tf.nn.softsign)),
            {},
            {"forget_bias": 0.3, "activation": "softsign"},
            id="basic-with-options",
        ),
        pytest.param(
            dynamic(lambda: cells.BasicLSTMCell(3, state_is_tuple=False)), {}, {}, id="basic-joined"
        ),
        pytest.param(dynamic(lambda: cells.LSTMCell(3)), {}, {}, id="lstm"),
        pytest.param(
            dynamic(lambda: cells.LSTMCell(3, num_proj=2, state_is_tuple=False)),
            {"projection": "UR"},
            {"projection_size": 2},
            id="lstm-joined",
        ),
        pytest.param(
            dynamic(lambda: cells.LSTMCell(3, use_peepholes=True)),
            PEEPHOLES,
            {"cell": "lstm_peephole", "use_peephole": True},
            id="peepholes",
        ),
        pytest.param(
            dynamic(lambda: cells.LSTMCell(3, cell_clip=0.1)), {}, {"cell_clip": 0.1}, id="clipped"
        ),
        pytest.param(
            dynamic(lambda: cells.LSTMCell(3, num_proj=4, proj_clip=0.1)),
            {"projection": "UR"},
            {"projection_size": 4, "projection_clip": 0.1},
            id="projection",
        ),
        # The kernel's rows do not tell a projection to as many units from none.
        pytest.param(
            dynamic(lambda: cells.LSTMCell(3, num_proj=3)),
            {"projection": "UR"},
            {"projection_size": 3},
            id="square-projection",
        ),
        pytest.param(
            dynamic(lambda: cells.LSTMCell(3, True, 0.2, num_proj=2, proj_clip=0.2)),
            {"projection": "UR", **PEEPHOLES},
            {
                "cell": "lstm_peephole",
                "use_peephole": True,
                "cell_clip": 0.2,
                "projection_size": 2,
                "projection_clip": 0.2,
            },
            id="all-options",
        ),
        pytest.param(
            dynamic(lambda: cells.LSTMCell(4, num_unit_shards=3, num_proj=3, num_proj_shards=2)),
            {"projection": "UR"},
            {"units": 4, "projection_size": 3},
            id="partitioned",
        ),
        pytest.param(
            dynamic(lambda: rnn.LSTMBlockCell(3, forget_bias=0.5)),
            {},
            {"cell": "lstm_block", "forget_bias": 0.5},
            id="block",
        ),
        pytest.param(
            dynamic(lambda: rnn.LSTMBlockCell(3, cell_clip=0.1, use_peephole=True)),
            PEEPHOLES,
            {"cell": "lstm_block", "use_peephole": True, "cell_clip": 0.1},
            id="block-peepholes",
        ),
        pytest.param(
            dynamic(lambda: cudnn_rnn.CudnnCompatibleLSTMCell(3)),
            {},
            {"cell": "lstm_block", "forget_bias": 0.0},
            id="cudnn-compatible",
        ),
        pytest.param(
            fused(),
            {},
            {"cell": "lstm_block_fused", "loop": "fused", "time_major": True},
            id="fused",
        ),
        pytest.param(
            fused(cell_clip=0.1, use_peephole=True),
            PEEPHOLES,
            {
                "cell": "lstm_block_fused",
                "loop": "fused",
                "time_major": True,
                "use_peephole": True,
                "cell_clip": 0.1,
            },
            id="fused-peepholes",
        ),
        pytest.param(
            fused(turned=True),
            {},
            {
                "cell": "lstm_block_fused",
                "loop": "fused",
                "time_major": True,
                "direction": "backward",
            },
            id="fused-turned",
        ),
    ],
)
def test_cell(
    build: Callable[[], Built], axes: Mapping[str, str], changes: Mapping[str, Any]
) -> None:
    document = check(build)
    (layer,) = recurrent(document)
    assert layer["kind"] == "lstm"
    assert attributes_of(layer) == {**PLAIN, **changes}
    assert axes_of(document, layer) == {**AXES, **axes}


def test_layer_in_full() -> None:
    (layer,) = recurrent(check(dynamic(lambda: cells.BasicLSTMCell(3))))
    inside = "rnn/while/basic_lstm_cell"
    assert {key: layer[key] for key in layer if key not in ("attributes", "index")} == {
        "kind": "lstm",
        "name": inside,
        "op": f"{inside}/MatMul",
        "variables": {
            "kernel": "rnn/basic_lstm_cell/kernel",
            "bias": "rnn/basic_lstm_cell/bias",
        },
        "constants": {},
        "input": "x:0",
        "op_output": "rnn/transpose_1:0",
        "output": "rnn/transpose_1:0",
        "activation": None,
        "evidence": "graph",
        "reason": None,
    }
    assert layer["attributes"]["step_input"] == "rnn/while/TensorArrayReadV3:0"
    assert layer["attributes"]["step_output"] == f"{inside}/Mul_2:0"
