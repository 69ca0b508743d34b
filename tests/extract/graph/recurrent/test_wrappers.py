"""One LSTM cell in every wrapper: which tensors hold its sequences, and in which order."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence

import pytest
import tensorflow as tf
from tensorflow.contrib import rnn, seq2seq

from tests.extract.graph.graph_case import describe_built
from tests.extract.graph.recurrent.case import Built, check, lengths, recurrent, sequence

v1 = tf.compat.v1
cells = v1.nn.rnn_cell

# What each layer must say, besides what the numbers prove.
_SAID = ("direction", "time_major", "loop", "sequence_length", "initial_state", "final_state")
PLAIN: Dict[str, Any] = {
    "direction": "forward",
    "time_major": False,
    "loop": "dynamic",
    "sequence_length": None,
    "initial_state": None,
    "final_state": None,
}


def basic() -> Any:
    return cells.BasicLSTMCell(3)


def stack(wrap: Callable[[Any], Any] = lambda cell: cell) -> Any:
    return cells.MultiRNNCell([wrap(cells.LSTMCell(4)), wrap(cells.LSTMCell(3))])


def dynamic(make: Callable[[], Any], layers: int = 1, **options: Any) -> Callable[[], Built]:
    """dynamic_rnn; of several layers only the last has an output of its own."""

    def build() -> Built:
        source = sequence()
        outputs, _ = v1.nn.dynamic_rnn(make(), source, dtype=tf.float32, **options)
        return Built([source], [None] * (layers - 1) + [outputs])

    return build


def unknown_length() -> Built:
    source = sequence()
    free = v1.placeholder_with_default(source, [None, None, 5])
    outputs, _ = v1.nn.dynamic_rnn(basic(), free, dtype=tf.float32)
    outputs.set_shape([None, 7, 3])
    return Built([source], [outputs])


def time_major() -> Built:
    source = v1.placeholder(tf.float32, [7, None, 5], name="x")
    outputs, _ = v1.nn.dynamic_rnn(basic(), source, dtype=tf.float32, time_major=True)
    return Built([source], [outputs])


def transposed_by_hand() -> Built:
    source = sequence()
    steps = tf.transpose(source, [1, 0, 2])
    outputs, _ = v1.nn.dynamic_rnn(basic(), steps, dtype=tf.float32, time_major=True)
    return Built([source], [tf.transpose(outputs, [1, 0, 2])])


def with_lengths(make: Callable[[], Any]) -> Callable[[], Built]:
    def build() -> Built:
        source, ends = sequence(), lengths()
        outputs, _ = v1.nn.dynamic_rnn(make(), source, ends, dtype=tf.float32)
        return Built([source, ends], [outputs])

    return build


def state_alone() -> Built:
    source = sequence()
    _, state = v1.nn.dynamic_rnn(basic(), source, dtype=tf.float32)
    return Built([source], [None], [state.h])


def bidirectional_states() -> Built:
    source = sequence()
    _, states = v1.nn.bidirectional_dynamic_rnn(basic(), basic(), source, dtype=tf.float32)
    return Built([source], [None, None], [states[0].h, states[1].h])


def with_dropout(cell: Any) -> Any:
    keep = v1.placeholder_with_default(1.0, [], name="keep_prob")
    return cells.DropoutWrapper(cell, keep, keep, keep, input_size=5, dtype=tf.float32)


def variational(cell: Any) -> Any:
    keep = v1.placeholder_with_default(1.0, [], name="keep_prob")
    size = tf.TensorShape([5])
    return cells.DropoutWrapper(
        cell, keep, keep, keep, variational_recurrent=True, input_size=size, dtype=tf.float32
    )


def residual() -> Built:
    """What the loop writes is the sum of the cell's input and output."""
    source = sequence(features=3)
    outputs, _ = v1.nn.dynamic_rnn(cells.ResidualWrapper(basic()), source, dtype=tf.float32)
    return Built([source], [None], [outputs])


def initial_state() -> Built:
    source = sequence()
    state = [v1.placeholder(tf.float32, [None, 3], name=name) for name in ("c0", "h0")]
    outputs, _ = v1.nn.dynamic_rnn(basic(), source, initial_state=cells.LSTMStateTuple(*state))
    return Built([source, *state], [outputs])


def encoder_and_decoder() -> Built:
    """Two loops; the second starts from the state that the first leaves."""
    source = sequence()
    with v1.variable_scope("encoder"):
        _, state = v1.nn.dynamic_rnn(basic(), source, dtype=tf.float32)
    with v1.variable_scope("decoder"):
        outputs, _ = v1.nn.dynamic_rnn(basic(), source, initial_state=state)
    return Built([source], [None, outputs])


def bidirectional(make: Callable[[], Any], layers: int = 1, ended: bool = False) -> Any:
    def build() -> Built:
        source = sequence()
        ends = lengths() if ended else None
        outputs, _ = v1.nn.bidirectional_dynamic_rnn(make(), make(), source, ends, dtype=tf.float32)
        expected: List[Any] = []
        for one in outputs:
            expected += [None] * (layers - 1) + [one]
        return Built([source] + ([ends] if ended else []), expected)

    return build


def stacked_bidirectional() -> Built:
    source = sequence()
    forward, backward = [[cells.LSTMCell(4), basic()] for _ in range(2)]
    rnn.stack_bidirectional_dynamic_rnn(forward, backward, source, dtype=tf.float32)
    graph = v1.get_default_graph()
    scopes = [f"stack_bidirectional_rnn/cell_{index}" for index in (0, 1)]
    names = [
        name
        for scope in scopes
        for name in (f"{scope}/bidirectional_rnn/fw/fw/transpose_1:0", f"{scope}/ReverseV2:0")
    ]
    return Built([source], [graph.get_tensor_by_name(name) for name in names])


FORWARD = PLAIN
BACKWARD = {**PLAIN, "direction": "backward"}


@pytest.mark.parametrize(
    ("build", "said"),
    [
        pytest.param(dynamic(basic), [PLAIN], id="dynamic"),
        pytest.param(unknown_length, [PLAIN], id="unknown-length"),
        pytest.param(time_major, [{**PLAIN, "time_major": True}], id="time-major"),
        pytest.param(transposed_by_hand, [PLAIN], id="transposed-by-hand"),
        pytest.param(
            with_lengths(basic), [{**PLAIN, "sequence_length": "lengths:0"}], id="lengths"
        ),
        pytest.param(
            with_lengths(lambda: cells.LSTMCell(3, num_proj=2, state_is_tuple=False)),
            [{**PLAIN, "sequence_length": "lengths:0"}],
            id="lengths-joined-states",
        ),
        pytest.param(
            initial_state,
            [{**PLAIN, "initial_state": {"h": "h0:0", "c": "c0:0"}}],
            id="initial-state",
        ),
        pytest.param(
            encoder_and_decoder,
            [
                {
                    **PLAIN,
                    "final_state": {
                        "h": "encoder/rnn/while/Exit_4:0",
                        "c": "encoder/rnn/while/Exit_3:0",
                    },
                },
                {
                    **PLAIN,
                    "initial_state": {
                        "h": "encoder/rnn/while/Exit_4:0",
                        "c": "encoder/rnn/while/Exit_3:0",
                    },
                },
            ],
            id="encoder-decoder",
        ),
        pytest.param(bidirectional(basic), [FORWARD, BACKWARD], id="bidirectional"),
        pytest.param(
            bidirectional(basic, ended=True),
            [{**one, "sequence_length": "lengths:0"} for one in (FORWARD, BACKWARD)],
            id="bidirectional-lengths",
        ),
        pytest.param(
            bidirectional(stack, 2),
            [FORWARD, FORWARD, BACKWARD, BACKWARD],
            id="bidirectional-stack",
        ),
        pytest.param(
            stacked_bidirectional, [FORWARD, BACKWARD, FORWARD, BACKWARD], id="stack-bidirectional"
        ),
        pytest.param(
            state_alone,
            [{**PLAIN, "final_state": {"h": "rnn/while/Exit_4:0", "c": None}}],
            id="state-alone",
        ),
        pytest.param(
            bidirectional_states,
            [
                {
                    **one,
                    "final_state": {
                        "h": f"bidirectional_rnn/{way}/{way}/while/Exit_4:0",
                        "c": None,
                    },
                }
                for one, way in ((FORWARD, "fw"), (BACKWARD, "bw"))
            ],
            id="bidirectional-states",
        ),
        pytest.param(dynamic(lambda: with_dropout(basic())), [PLAIN], id="dropout"),
        pytest.param(dynamic(lambda: variational(basic())), [PLAIN], id="variational-dropout"),
        pytest.param(residual, [PLAIN], id="residual"),
        pytest.param(dynamic(lambda: stack(with_dropout), 2), [PLAIN, PLAIN], id="stack-dropout"),
        pytest.param(dynamic(stack, 2), [PLAIN, PLAIN], id="stack"),
        pytest.param(
            dynamic(
                lambda: cells.MultiRNNCell(
                    [cells.BasicLSTMCell(size, state_is_tuple=False) for size in (4, 3)],
                    state_is_tuple=False,
                ),
                2,
            ),
            [PLAIN, PLAIN],
            id="stack-joined-states",
        ),
    ],
)
def test_wrapper(build: Callable[[], Built], said: Sequence[Dict[str, Any]]) -> None:
    layers = recurrent(check(build))
    found = [{key: layer["attributes"][key] for key in _SAID} for layer in layers]
    assert found == list(said)


def test_a_decoder_comes_after_the_encoder_that_it_attends_to() -> None:
    """Its first product needs nothing of the encoder; its loop does."""

    def build() -> None:
        source = sequence()
        with v1.variable_scope("encoder"):
            memory, _ = v1.nn.dynamic_rnn(basic(), source, dtype=tf.float32)
        rows = tf.shape(source)[0]
        with v1.variable_scope("decoder"):
            attention = seq2seq.LuongAttention(4, memory)
            cell = seq2seq.AttentionWrapper(cells.LSTMCell(4), attention)
            helper = seq2seq.TrainingHelper(source, tf.fill([rows], 7))
            state = cell.zero_state(rows, tf.float32)
            decoded, _, _ = seq2seq.dynamic_decode(seq2seq.BasicDecoder(cell, helper, state))
        tf.nn.softmax(decoded.rnn_output, name="out")

    first, second = recurrent(describe_built(build))
    assert (first["input"], first["output"]) == ("x:0", "encoder/rnn/transpose_1:0")
    # What enters is joined with the attention, inside the loop.
    assert (second["input"], second["output"]) == (None, None)
    assert second["attributes"]["input_size"] == 5 + 3
    assert second["reason"] == "no tensor behind the loop holds its outputs of all steps"
