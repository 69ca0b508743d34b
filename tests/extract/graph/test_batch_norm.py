"""Batch norm of every form is one layer with the right roles, epsilon and decay."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

import pytest
import tensorflow as tf
from tensorflow.contrib import layers as contrib_layers

from tests.extract.graph.graph_case import describe_built, described, kinds, roles

v1 = tf.compat.v1
layers = v1.layers


def images(channels: int = 3) -> Any:
    return v1.placeholder(tf.float32, [None, 7, 9, channels], name="x")


def rows() -> Any:
    return v1.placeholder(tf.float32, [None, 6], name="x")


def flag() -> Any:
    return v1.placeholder(tf.bool, name="is_training")


def with_updates(normal: Any) -> None:
    with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
        v1.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_mean(tf.square(normal)))


def tf_layers_fused() -> None:
    with_updates(layers.batch_normalization(images(), momentum=0.97, epsilon=2e-3, training=flag()))


def tf_layers_plain() -> None:
    with_updates(layers.batch_normalization(rows(), momentum=0.97, training=flag()))


def tf_layers_not_fused() -> None:
    normal = layers.batch_normalization(images(), momentum=0.97, fused=False, training=flag())
    with_updates(normal)


def without_gamma() -> None:
    with_updates(layers.batch_normalization(rows(), scale=False, training=flag()))


def without_beta() -> None:
    with_updates(layers.batch_normalization(rows(), center=False, training=flag()))


def renormalised() -> None:
    layers.batch_normalization(images(), renorm=True, training=flag())


def contrib_fused() -> None:
    with_updates(contrib_layers.batch_norm(images(), decay=0.9, is_training=flag()))


def contrib_plain() -> None:
    with_updates(
        contrib_layers.batch_norm(rows(), decay=0.9, scale=True, is_training=flag(), fused=False)
    )


def keras_channels_first() -> None:
    data = v1.placeholder(tf.float32, [None, 3, 7, 9], name="x")
    tf.keras.layers.BatchNormalization(axis=1, momentum=0.98, fused=False)(data, training=False)


def keras_in_training() -> None:
    data = images()
    layer = tf.keras.layers.BatchNormalization(momentum=0.98)
    normal = layer(data, training=tf.keras.backend.learning_phase())
    for update in layer.updates:
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
    with_updates(normal)


def under_condition_with_average() -> None:
    # A widely copied recipe: moments, an ExponentialMovingAverage, tf.cond, tf.nn.
    data = images()
    beta, gamma = v1.get_variable("beta", [3]), v1.get_variable("gamma", [3])
    mean, variance = tf.nn.moments(data, [0, 1, 2], name="moments")
    average = tf.train.ExponentialMovingAverage(decay=0.5)

    def update() -> Any:
        with tf.control_dependencies([average.apply([mean, variance])]):
            return tf.identity(mean), tf.identity(variance)

    def keep() -> Any:
        return average.average(mean), average.average(variance)

    mean, variance = tf.cond(flag(), update, keep)
    with_updates(tf.nn.batch_normalization(data, mean, variance, beta, gamma, 1e-3))


def by_hand_with_assign() -> None:
    data = rows()
    scale, shift = v1.get_variable("scale", [6]), v1.get_variable("shift", [6])
    kept_mean = v1.get_variable("pop_mean", [6], trainable=False)
    kept_variance = v1.get_variable("pop_var", [6], trainable=False)

    def train() -> Any:
        mean, variance = tf.nn.moments(data, [0])
        updates = [
            v1.assign(kept_mean, kept_mean * 0.8 + mean * (1 - 0.8)),
            v1.assign(kept_variance, kept_variance * 0.8 + variance * (1 - 0.8)),
        ]
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(data, mean, variance, shift, scale, 1e-5)

    def infer() -> Any:
        return tf.nn.batch_normalization(data, kept_mean, kept_variance, shift, scale, 1e-5)

    with_updates(tf.cond(flag(), train, infer))


def by_formula(root: Callable[[Any], Any]) -> Callable[[], None]:
    def build() -> None:
        data = rows()
        mean, variance = v1.get_variable("m", [6]), v1.get_variable("v", [6])
        gamma, beta = v1.get_variable("g", [6]), v1.get_variable("b", [6])
        _ = root(variance + 1e-4)(data - mean) * gamma + beta

    return build


def divided() -> None:
    by_formula(lambda value: lambda centred: centred / tf.sqrt(value))()


def multiplied() -> None:
    by_formula(lambda value: lambda centred: centred * tf.math.rsqrt(value))()


def variables(scope: str = "batch_normalization", **changes: Optional[str]) -> Dict[str, str]:
    named: Dict[str, Optional[str]] = {
        role: f"{scope}/{role}" for role in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    named.update(changes)
    return {role: name for role, name in named.items() if name is not None}


AVERAGES = {
    "gamma": "gamma",
    "beta": "beta",
    "moving_mean": "moments/Squeeze/ExponentialMovingAverage",
    "moving_variance": "moments/Squeeze_1/ExponentialMovingAverage",
}
POPULATION = {
    "gamma": "scale",
    "beta": "shift",
    "moving_mean": "pop_mean",
    "moving_variance": "pop_var",
}
FORMULA = {"gamma": "g", "beta": "b", "moving_mean": "m", "moving_variance": "v"}


@pytest.mark.parametrize(
    ("build", "names", "epsilon", "decay", "fused"),
    [
        pytest.param(tf_layers_fused, variables(), 2e-3, 0.97, True, id="tf.layers-fused"),
        pytest.param(tf_layers_plain, variables(), 1e-3, 0.97, False, id="tf.layers-rows"),
        pytest.param(tf_layers_not_fused, variables(), 1e-3, 0.97, False, id="tf.layers-images"),
        pytest.param(without_gamma, variables(gamma=None), 1e-3, 0.99, False, id="no-gamma"),
        pytest.param(without_beta, variables(beta=None), 1e-3, 0.99, False, id="no-beta"),
        # Its correction is one and zero at inference.
        pytest.param(renormalised, variables(), 1e-3, 0.99, False, id="renorm"),
        pytest.param(
            contrib_fused, variables("BatchNorm", gamma=None), 1e-3, 0.9, True, id="contrib-fused"
        ),
        pytest.param(contrib_plain, variables("BatchNorm"), 1e-3, 0.9, False, id="contrib-rows"),
        pytest.param(keras_channels_first, variables(), 1e-3, None, False, id="keras-axis-1"),
        pytest.param(keras_in_training, variables(), 1e-3, 0.98, True, id="keras-learning-phase"),
        pytest.param(under_condition_with_average, AVERAGES, 1e-3, 0.5, False, id="ema-in-cond"),
        pytest.param(by_hand_with_assign, POPULATION, 1e-5, 0.8, False, id="assign-in-cond"),
        pytest.param(divided, FORMULA, 1e-4, None, False, id="formula-with-sqrt"),
        pytest.param(multiplied, FORMULA, 1e-4, None, False, id="formula-with-rsqrt"),
    ],
)
def test_batch_norm_is_one_layer(
    build: Callable[[], None],
    names: Dict[str, str],
    epsilon: float,
    decay: Optional[float],
    fused: bool,
) -> None:
    document = describe_built(build)
    assert kinds(document) == ["batch_norm"]
    layer = document["layers"][0]
    assert layer["variables"] == names
    assert layer["input"] == "x:0"
    attributes = layer["attributes"]
    assert attributes["epsilon"] == attributes["effective_epsilon"] == epsilon
    assert attributes["decay"] == decay
    assert (attributes["decay_reason"] is None) == (decay is not None)
    assert attributes["fused"] is fused
    assert attributes["is_training"] is False
    assert {name: role for name, role in roles(document).items() if role} == {
        name: role for role, name in names.items()
    }


def test_fused_gamma_of_ones_is_a_constant() -> None:
    assert describe_built(contrib_fused)["layers"][0]["constants"] == {"gamma": {"value": 1.0}}


def test_fused_epsilon_is_clamped_by_tensorflow_itself() -> None:
    def build() -> None:
        layers.batch_normalization(images(), epsilon=1e-9)

    attributes = describe_built(build)["layers"][0]["attributes"]
    assert attributes["effective_epsilon"] == 1.001e-5


def test_output_and_order_of_a_spelled_out_batch_norm() -> None:
    def build() -> None:
        hidden = layers.dense(rows(), 5, name="first")
        hidden = tf.nn.relu(layers.batch_normalization(hidden, name="norm"))
        layers.dense(hidden, 4, name="last")

    document = describe_built(build)
    assert kinds(document) == ["dense", "batch_norm", "dense"]
    norm = document["layers"][1]
    assert norm["name"] == "norm"
    assert (norm["input"], norm["output"]) == ("first/BiasAdd:0", "norm/batchnorm/add_1:0")
    assert norm["activation"] == "Relu"


@pytest.mark.parametrize(
    "fused", [pytest.param(True, id="fused"), pytest.param(False, id="spelled-out")]
)
@pytest.mark.parametrize("runs", [True, False], ids=["updates-run", "updates-never-run"])
def test_hard_coded_training_finds_the_moving_averages_by_their_updates(
    fused: bool, runs: bool
) -> None:
    def build() -> None:
        normal = layers.batch_normalization(images(), momentum=0.9, training=True, fused=fused)
        if runs:
            with_updates(normal)

    description = described(build)
    layer = description.document["layers"][0]
    assert layer["variables"] == variables()
    assert layer["input"] == "x:0"
    # Who never runs the updates (pix2pix) means the batch's statistics, also in inference.
    assert layer["attributes"]["is_training"] is not runs
    assert layer["attributes"]["decay"] == 0.9
    said = "read their moving averages" if runs else "take their statistics from the batch"
    assert [said in warning for warning in description.warnings] == [True]


def test_layer_norm_is_no_batch_norm() -> None:
    def build() -> None:
        contrib_layers.layer_norm(rows())

    assert "batch_norm" not in kinds(describe_built(build))


def test_renormalisation_in_training_mode_is_told() -> None:
    def build() -> None:
        with_updates(layers.batch_normalization(images(), renorm=True, training=True))

    document = describe_built(build)
    reasons = {layer["reason"] for layer in document["layers"] if layer["kind"] == "other"}
    assert any("training=False" in (reason or "") for reason in reasons)
    assert "batch_norm" not in kinds(document)


def test_old_global_normalization_op() -> None:
    def build() -> None:
        names = ("mean", "variance", "beta", "gamma")
        parameters = [v1.get_variable(name, [3]) for name in names]
        tf.nn.batch_norm_with_global_normalization(
            images(), *parameters, variance_epsilon=0.002, scale_after_normalization=True
        )

    layer = describe_built(build)["layers"][0]
    assert layer["kind"] == "batch_norm"
    assert layer["variables"]["moving_variance"] == "variance"
    assert layer["attributes"]["epsilon"] == 0.002
