"""Keras' recurrent layers of TensorFlow 1.15, in a while loop and unrolled."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Sequence

import pytest
import tensorflow as tf

from tests.extract.graph.graph_case import describe_built
from tests.extract.graph.recurrent.case import Built, axes_of, check, recurrent, sequence

layers = tf.keras.layers

AXES = {"kernel": "I(GU)", "recurrent_kernel": "R(GU)", "bias": "(GU)"}
LSTM: Dict[str, Any] = {
    "cell": "keras_lstm",
    "gate_order": "ifjo",
    "forget_bias": 0.0,
    "recurrent_activation": "hard_sigmoid",
    "reset_after": None,
    "loop": "dynamic",
    "direction": "forward",
    "time_major": False,
}
GRU: Dict[str, Any] = {
    **LSTM,
    "cell": "keras_gru",
    "gate_order": "zrh",
    "forget_bias": None,
    "reset_after": False,
}


def keras(layer: Callable[..., Any], **options: Any) -> Callable[[], Built]:
    def build() -> Built:
        source = sequence()
        return Built([source], [layer(3, return_sequences=True, **options)(source)])

    return build


def last(layer: Callable[..., Any], **options: Any) -> Callable[[], Built]:
    def build() -> Built:
        source = sequence()
        return Built([source], [None], [layer(3, **options)(source)])

    return build


def square() -> Built:
    """Both kernels have one shape: only the loop tells which multiplies the state."""
    source = sequence(features=3)
    return Built([source], [layers.LSTM(3, return_sequences=True)(source)])


def backwards() -> Built:
    """Keras leaves the outputs in the turned order: a forward layer on a turned sequence."""
    source = sequence()
    layers.LSTM(3, return_sequences=True, go_backwards=True)(source)
    stacked = "lstm/TensorArrayStack/TensorArrayGatherV3:0"
    return Built([source], [tf.compat.v1.get_default_graph().get_tensor_by_name(stacked)])


def bidirectional(**options: Any) -> Callable[[], Built]:
    def build() -> Built:
        source = sequence()
        layer = layers.Bidirectional(layers.LSTM(3, **options), merge_mode=None)
        made = layer(source)
        if options.get("return_sequences"):
            return Built([source], made)
        return Built([source], [None, None], made)

    return build


def cells_in_one_loop() -> Built:
    source = sequence()
    layer = layers.RNN([layers.LSTMCell(4), layers.LSTMCell(3)], return_sequences=True)
    return Built([source], [None, layer(source)])


def states() -> Built:
    source = sequence()
    outputs, hidden, cell = layers.LSTM(3, return_sequences=True, return_state=True)(source)
    return Built([source], [outputs], [hidden, cell])


def stacked() -> Built:
    source = sequence()
    first = layers.LSTM(4, return_sequences=True)(source)
    return Built([source], [first, None], [layers.LSTM(3)(first)])


def test_masked_steps_are_said() -> None:
    """What a masked step gives is a choice of Keras' own, whatever the cell computes."""

    def build() -> None:
        hidden = layers.LSTM(3)(layers.Masking()(sequence()))
        tf.compat.v1.layers.dense(hidden, 2, name="logits")

    document = describe_built(build)
    assert [one["tensor"] for one in document["outputs"]] == ["logits/BiasAdd:0"]
    (layer,) = recurrent(document)
    assert (layer["input"], layer["output"]) == ("masking/mul:0", None)
    assert layer["reason"] == "a mask leaves out some of its steps"
    assert layer["attributes"]["final_state"] == {"h": "lstm/strided_slice_7:0", "c": None}


def test_a_kept_state_is_the_initial_one() -> None:
    def build() -> None:
        source = tf.compat.v1.placeholder(tf.float32, [2, 7, 5], name="x")
        hidden = layers.LSTM(3, stateful=True, return_sequences=True)(source)
        tf.nn.relu(hidden, name="out")

    document = describe_built(build)
    assert [one["tensor"] for one in document["outputs"]] == ["out:0"]
    (layer,) = recurrent(document)
    assert layer["output"] == "lstm/transpose_1:0"
    assert set(layer["attributes"]["initial_state"]) == {"h", "c"}


BACKWARD = {**LSTM, "direction": "backward"}


@pytest.mark.parametrize(
    ("build", "said", "bias"),
    [
        pytest.param(keras(layers.LSTM), [LSTM], "(GU)", id="lstm"),
        pytest.param(
            keras(layers.LSTM, implementation=2, recurrent_activation="sigmoid"),
            [{**LSTM, "recurrent_activation": "sigmoid"}],
            "(GU)",
            id="lstm-one-product",
        ),
        pytest.param(keras(layers.LSTM, use_bias=False), [LSTM], None, id="lstm-no-bias"),
        pytest.param(square, [LSTM], "(GU)", id="lstm-square"),
        pytest.param(last(layers.LSTM), [LSTM], "(GU)", id="lstm-last"),
        pytest.param(states, [LSTM], "(GU)", id="lstm-states"),
        pytest.param(
            keras(layers.LSTM, unroll=True),
            [{**LSTM, "loop": "static"}],
            "(GU)",
            id="lstm-unrolled",
        ),
        pytest.param(
            last(layers.LSTM, unroll=True),
            [{**LSTM, "loop": "static"}],
            "(GU)",
            id="unrolled-last",
        ),
        pytest.param(backwards, [{**LSTM, "time_major": True}], "(GU)", id="lstm-backwards"),
        pytest.param(
            bidirectional(return_sequences=True), [LSTM, BACKWARD], "(GU)", id="bidirectional"
        ),
        pytest.param(bidirectional(), [LSTM, BACKWARD], "(GU)", id="bidirectional-last"),
        pytest.param(cells_in_one_loop, [LSTM, LSTM], "(GU)", id="cells-in-one-loop"),
        pytest.param(stacked, [LSTM, LSTM], "(GU)", id="stacked"),
        pytest.param(keras(layers.GRU), [GRU], "(GU)", id="gru"),
        pytest.param(keras(layers.GRU, implementation=2), [GRU], "(GU)", id="gru-one-product"),
        pytest.param(
            keras(layers.GRU, reset_after=True),
            [{**GRU, "reset_after": True}],
            "B(GU)",
            id="gru-reset-after",
        ),
        pytest.param(
            keras(layers.GRU, reset_after=True, implementation=2),
            [{**GRU, "reset_after": True}],
            "B(GU)",
            id="gru-reset-after-one-product",
        ),
        pytest.param(
            keras(layers.GRU, reset_after=True, use_bias=False),
            [{**GRU, "reset_after": True}],
            None,
            id="gru-reset-after-no-bias",
        ),
        pytest.param(last(layers.GRU), [GRU], "(GU)", id="gru-last"),
        pytest.param(
            keras(layers.GRU, unroll=True), [{**GRU, "loop": "static"}], "(GU)", id="gru-unrolled"
        ),
    ],
)
def test_layer(
    build: Callable[[], Built], said: Sequence[Dict[str, Any]], bias: Optional[str]
) -> None:
    document = check(build)
    found = recurrent(document)
    assert [{key: layer["attributes"][key] for key in LSTM} for layer in found] == list(said)
    axes = {role: letters for role, letters in {**AXES, "bias": bias}.items() if letters}
    assert [axes_of(document, layer) for layer in found] == [axes] * len(found)
