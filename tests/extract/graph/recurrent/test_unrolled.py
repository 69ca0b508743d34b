"""Cells whose steps are written out one after the other, and single steps."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence

import pytest
import tensorflow as tf

from tests.extract.graph.recurrent.case import Built, check, lengths, recurrent, sequence

v1 = tf.compat.v1
cells = v1.nn.rnn_cell
TIME = 7

_SAID = ("direction", "time_major", "loop", "sequence_length", "initial_state")
PLAIN: Dict[str, Any] = {
    "direction": "forward",
    "time_major": False,
    "loop": "static",
    "sequence_length": None,
    "initial_state": None,
}


def basic() -> Any:
    return cells.BasicLSTMCell(3)


def stack() -> Any:
    return cells.MultiRNNCell([cells.BasicLSTMCell(4), basic()])


def unstacked(source: Any) -> List[Any]:
    return tf.unstack(source, axis=1)


def sliced(source: Any) -> List[Any]:
    return [source[:, step] for step in range(TIME)]


def divided(source: Any) -> List[Any]:
    return [tf.squeeze(one, [1]) for one in tf.split(source, TIME, 1)]


def divided_rows(source: Any) -> List[Any]:
    """As tutorials did it: all steps below each other, cut into steps."""
    rows = tf.reshape(tf.transpose(source, [1, 0, 2]), [-1, 5])
    return tf.split(rows, TIME, 0)


def static(
    make: Callable[[], Any],
    steps: Callable[[Any], Sequence[Any]] = unstacked,
    axis: int = 1,
    before: int = 0,
) -> Callable[[], Built]:
    """static_rnn with its outputs stacked again; `before` layers below have none."""

    def build() -> Built:
        source = sequence(TIME)
        outputs, _ = v1.nn.static_rnn(make(), steps(source), dtype=tf.float32)
        return Built([source], [None] * before + [tf.stack(outputs, axis)])

    return build


def turned_round() -> Built:
    source = sequence(TIME)
    outputs, _ = v1.nn.static_rnn(basic(), unstacked(source)[::-1], dtype=tf.float32)
    return Built([source], [tf.stack(outputs[::-1], 1)])


def bidirectional() -> Built:
    """The outputs are joined step by step: no tensor holds those of one direction."""
    source = sequence(TIME)
    outputs, _, _ = v1.nn.static_bidirectional_rnn(
        basic(), basic(), unstacked(source), dtype=tf.float32
    )
    return Built([source], [None, None], [tf.stack(outputs, 1)])


def last_alone(make: Callable[[], Any]) -> Callable[[], Built]:
    def build() -> Built:
        source = sequence(TIME)
        outputs, _ = v1.nn.static_rnn(make(), unstacked(source), dtype=tf.float32)
        return Built([source], [None], [outputs[-1]])

    return build


def followed_by_square_dense() -> Built:
    """The one reader of the last output is a product: of another layer, not a projection."""
    source = sequence(TIME)
    outputs, _ = v1.nn.static_rnn(basic(), unstacked(source), dtype=tf.float32)
    product = tf.matmul(outputs[-1], v1.get_variable("dense", [3, 3]))
    return Built([source], [None], [product])


def with_lengths() -> Built:
    source, ends = sequence(TIME), lengths()
    outputs, _ = v1.nn.static_rnn(
        basic(), unstacked(source), sequence_length=ends, dtype=tf.float32
    )
    return Built([source, ends], [tf.stack(outputs, 1)])


def single_step() -> Built:
    data = v1.placeholder(tf.float32, [None, 5], name="x")
    state = [v1.placeholder(tf.float32, [None, 3], name=name) for name in ("c0", "h0")]
    output, _ = basic()(data, cells.LSTMStateTuple(*state))
    return Built([data, *state], [output])


SINGLE = {
    **PLAIN,
    "time_major": None,
    "loop": "step",
    "initial_state": {"h": "h0:0", "c": "c0:0"},
}


@pytest.mark.parametrize(
    ("build", "said"),
    [
        pytest.param(static(basic), [PLAIN], id="unstacked"),
        pytest.param(static(basic, sliced), [PLAIN], id="sliced"),
        pytest.param(static(basic, divided), [PLAIN], id="divided"),
        pytest.param(
            static(basic, divided_rows, 0), [{**PLAIN, "time_major": True}], id="divided-rows"
        ),
        pytest.param(
            static(lambda: cells.BasicLSTMCell(3, state_is_tuple=False)), [PLAIN], id="joined-state"
        ),
        pytest.param(static(lambda: cells.LSTMCell(3, num_proj=3)), [PLAIN], id="projection"),
        pytest.param(static(stack, before=1), [PLAIN, PLAIN], id="stack"),
        pytest.param(turned_round, [{**PLAIN, "direction": "backward"}], id="turned-round"),
        pytest.param(
            bidirectional, [PLAIN, {**PLAIN, "direction": "backward"}], id="bidirectional"
        ),
        pytest.param(last_alone(basic), [PLAIN], id="last-alone"),
        pytest.param(
            last_alone(lambda: cells.LSTMCell(3, num_proj=3)), [PLAIN], id="last-alone-projection"
        ),
        pytest.param(with_lengths, [{**PLAIN, "sequence_length": "lengths:0"}], id="lengths"),
        pytest.param(single_step, [SINGLE], id="single-step"),
    ],
)
def test_unrolled(build: Callable[[], Built], said: Sequence[Dict[str, Any]]) -> None:
    layers = recurrent(check(build))
    assert [{key: layer["attributes"][key] for key in _SAID} for layer in layers] == list(said)


def test_a_dense_layer_behind_the_last_step_is_no_projection() -> None:
    document = check(followed_by_square_dense, also=["MatMul"])
    (layer,) = recurrent(document)
    assert layer["attributes"]["projection_size"] is None
    assert [one["kind"] for one in document["layers"]] == ["lstm", "dense", "dense"]
