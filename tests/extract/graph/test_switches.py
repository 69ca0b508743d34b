"""Placeholders that switch between training and inference: their use counts, then names."""

from __future__ import annotations

from typing import Any, Callable, Dict

import pytest
import tensorflow as tf

from tests.extract.graph.graph_case import describe_built, described, switch_values

v1 = tf.compat.v1
layers = v1.layers


def rows() -> Any:
    return v1.placeholder(tf.float32, [None, 9], name="x")


def flag(name: str) -> Any:
    return v1.placeholder(tf.bool, name=name)


def number(name: str, shape: Any = None) -> Any:
    return v1.placeholder(tf.float32, shape, name=name)


def dropout_kept_by_misnomer() -> None:
    layers.dense(tf.nn.dropout(rows(), number("drop_rate")), 4)


def dropout_by_rate() -> None:
    layers.dense(tf.nn.dropout(rows(), rate=number("p")), 4)


def old_dropout() -> None:
    # tf.nn.dropout up to TensorFlow 1.12
    keep, data = number("drop", []), rows()
    noise = v1.random_uniform(tf.shape(data)) + keep
    layers.dense(tf.realdiv(data, keep) * tf.floor(noise), 4)


def inverted_flag() -> None:
    test = flag("phase_train")
    normal = layers.batch_normalization(rows(), training=tf.logical_not(test))
    layers.dense(normal, 4)


def flag_of_unknown_name() -> None:
    layers.dense(layers.dropout(rows(), 0.4, training=flag("Placeholder")), 4)


def default_that_trains() -> None:
    training = v1.placeholder_with_default(True, [], name="is_training")
    layers.dense(layers.batch_normalization(rows(), training=training), 4)


def default_of_keep() -> None:
    keep = v1.placeholder_with_default(0.7, [], name="keep_prob")
    layers.dense(tf.nn.dropout(rows(), keep), 4)


def default_of_something() -> None:
    alpha = v1.placeholder_with_default(0.3, [], name="alpha")
    layers.dense(rows() * alpha, 4)


def default_of_a_flag() -> None:
    mirrored = v1.placeholder_with_default(True, [], name="mirrored")
    layers.dense(tf.cond(mirrored, lambda: rows() * 2.0, lambda: rows()), 4)


def flag_in_a_variable() -> None:
    """As TFLearn does; a variable of any other name is none of the flags."""
    flag = v1.get_variable("is_training", dtype=tf.bool, initializer=False, trainable=False)
    v1.get_variable("seen", dtype=tf.bool, initializer=False, trainable=False)
    data = layers.dense(rows(), 4)
    tf.cond(flag, lambda: tf.nn.dropout(data, 0.5), lambda: data)


def keras_phase() -> None:
    phase = tf.keras.backend.learning_phase()
    layers.dense(tf.keras.layers.Dropout(0.2)(rows(), training=phase), 4)


def named_only(name: str, dtype: Any = tf.bool, shape: Any = ()) -> Callable[[], None]:
    def build() -> None:
        value = v1.placeholder(dtype, shape, name=name)
        layers.dense(rows() * tf.cast(value, tf.float32), 4)

    return build


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        # What is called a drop rate is kept, as its use shows: 1.0, not 0.0.
        pytest.param(dropout_kept_by_misnomer, {"drop_rate:0": 1.0}, id="keep-called-drop"),
        pytest.param(dropout_by_rate, {"p:0": 0.0}, id="rate"),
        pytest.param(old_dropout, {"drop:0": 1.0}, id="old-form"),
        # The name says training, the branch with the updates is taken when it is False.
        pytest.param(inverted_flag, {"phase_train:0": True}, id="inverted"),
        pytest.param(flag_of_unknown_name, {"Placeholder:0": False}, id="unnamed"),
        pytest.param(default_that_trains, {"is_training:0": False}, id="default-true"),
        pytest.param(default_of_keep, {"keep_prob:0": 1.0}, id="default-keep"),
        pytest.param(default_of_something, {"alpha:0": 0.3}, id="default-kept"),
        pytest.param(default_of_a_flag, {"mirrored:0": True}, id="default-flag"),
        pytest.param(flag_in_a_variable, {"is_training:0": False}, id="flag-in-a-variable"),
        pytest.param(keras_phase, {"keras_learning_phase:0": False}, id="keras"),
        pytest.param(named_only("is_training"), {"is_training:0": False}, id="is_training"),
        pytest.param(named_only("isTraining"), {"isTraining:0": False}, id="camel-case"),
        pytest.param(named_only("train_phase"), {"train_phase:0": False}, id="train_phase"),
        pytest.param(named_only("is_test"), {"is_test:0": True}, id="is_test"),
        pytest.param(named_only("net/inference"), {"net/inference:0": True}, id="inference"),
        pytest.param(named_only("phase", tf.int32), {"phase:0": 0}, id="number-as-flag"),
        pytest.param(named_only("keep_prob", tf.float32), {"keep_prob:0": 1.0}, id="keep-by-name"),
        pytest.param(named_only("rate", tf.float32), {"rate:0": 0.0}, id="rate-by-name"),
        pytest.param(named_only("learning_rate", tf.float32), {}, id="learning-rate-is-none"),
        pytest.param(named_only("phase", tf.float32, [None, 9]), {}, id="data-called-phase"),
        pytest.param(named_only("training_set", tf.bool, [None, 9]), {}, id="data-of-booleans"),
    ],
)
def test_switch_values(build: Callable[[], None], expected: Dict[str, Any]) -> None:
    assert switch_values(describe_built(build)) == expected


def test_switch_says_why() -> None:
    document = describe_built(dropout_by_rate)
    assert document["switches"] == [
        {"tensor": "p:0", "value": 0.0, "why": "dropout keeps everything when it is 0.0"}
    ]


@pytest.mark.parametrize(
    ("build", "warned"),
    [
        pytest.param(named_only("mirrored"), True, id="unknown-flag"),
        pytest.param(named_only("is_test"), False, id="known-flag"),
        pytest.param(default_of_a_flag, False, id="default"),
        # A dropout shows what its flag means, whatever it is called.
        pytest.param(flag_of_unknown_name, False, id="shown-by-use"),
    ],
)
def test_only_an_assumed_switch_is_warned_of(build: Callable[[], None], warned: bool) -> None:
    warnings = [text for text in described(build).warnings if "is assumed" in text]
    assert len(warnings) == warned
    assert not warned or "'mirrored:0'" in warnings[0]
