"""Normalisations by statistics of their own input: the described kind computes what TF computes."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Tuple

import numpy
import pytest
import tensorflow as tf
from tensorflow.contrib import layers as contrib_layers

from tests.extract.graph.graph_case import describe_built, described
from tests.extract.graph.values import described_values

v1 = tf.compat.v1
keras = tf.keras.layers
SIZES = {
    "x": (2, 7, 9, 6),
    "nchw": (2, 6, 7, 9),
    "rows": (3, 6),
    "steps": (2, 5, 6),
    "one": (1, 7, 9, 6),
}


def data(kind: str = "x") -> Any:
    sizes = SIZES[kind]
    return v1.placeholder(tf.float32, [1 if kind == "one" else None, *sizes[1:]], name="x")


def variable(name: str, size: int = 6) -> Any:
    return v1.get_variable(name, [size])


def scaled(x: Any, inverse_root: Callable[[Any], Any], axes: Any) -> Any:
    """(x - mean) / root * gamma + beta, as most write it."""
    mean, variance = tf.nn.moments(x, axes, keep_dims=True)
    return (x - mean) * inverse_root(variance) * variable("g") + variable("b")


def by_squares(x: Any) -> Any:
    mean = tf.reduce_mean(x, -1, keepdims=True)
    variance = tf.reduce_mean(tf.square(x), -1, keepdims=True) - tf.square(mean)
    return variable("g") * (x - mean) / tf.sqrt(variance + 1e-4) + variable("b")


def gain_and_offset(x: Any) -> Any:
    mean = tf.reduce_mean(x, [1, 2], keepdims=True)
    variance = tf.reduce_mean((x - mean) ** 2, [1, 2], keepdims=True)
    gain = variable("g") * tf.math.rsqrt(variance + 1e-5)
    return x * gain + (variable("b") - mean * gain)


def statistics_without_kept_axes(x: Any) -> Any:
    mean, variance = tf.nn.moments(x, [2])
    centred = x - tf.expand_dims(mean, 2)
    return centred / tf.expand_dims(tf.sqrt(variance + 1e-6), -1) * variable("g")


def grouped_channels_first(x: Any) -> Any:
    """A widely copied group norm: to N C H W, split, moments, join, scale, and back."""
    first = tf.transpose(x, [0, 3, 1, 2], name="first")
    split = tf.reshape(first, [-1, 2, 3, 7, 9])
    mean, variance = tf.nn.moments(split, [2, 3, 4], keep_dims=True)
    joined = tf.reshape((split - mean) / tf.sqrt(variance + 1e-5), [-1, 6, 7, 9])
    gamma = tf.reshape(variable("g"), [1, 6, 1, 1])
    normal = joined * gamma + tf.reshape(variable("b"), [1, 6, 1, 1])
    return tf.transpose(normal, [0, 2, 3, 1])


def grouped_in_rows(x: Any) -> Any:
    rows = tf.reshape(x, [-1, 3, 2 * 7 * 9])
    mean, variance = tf.nn.moments(rows, [2], keep_dims=True)
    joined = tf.reshape((rows - mean) / tf.sqrt(variance + 1e-5), [-1, 6, 7, 9])
    return joined * v1.get_variable("g", [1, 6, 1, 1]) + v1.get_variable("b", [1, 6, 1, 1])


def normalised(kind: str, x: Any, layer: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """Compute in numpy what a layer is described to compute."""
    attributes = layer["attributes"]
    channels = (
        1 if kind != "layer_norm" and attributes["data_format"].startswith("NC") else x.ndim - 1
    )
    shape = x.shape
    if kind == "group_norm":
        moved = numpy.moveaxis(x, channels, 1)
        grouped = moved.reshape(shape[0], attributes["groups"], -1)
        grouped = (grouped - grouped.mean(2, keepdims=True)) / numpy.sqrt(
            grouped.var(2, keepdims=True) + attributes["epsilon"]
        )
        result = numpy.moveaxis(grouped.reshape(moved.shape), 1, channels)
    else:
        axes = tuple(attributes["axes"])
        variance = x.var(axes, keepdims=True)
        result = (x - x.mean(axes, keepdims=True)) / numpy.sqrt(variance + attributes["epsilon"])
    for role, neutral in (("gamma", 1.0), ("beta", 0.0)):
        value = values.get(layer["variables"].get(role), neutral)
        if numpy.ndim(value) == 1 or numpy.shape(value)[:1] == (1,):
            broadcast = [1] * x.ndim
            broadcast[channels] = -1
            value = value.reshape(broadcast)
        result = result * value if role == "gamma" else result + value
    return result


def rsqrt(epsilon: float) -> Callable[[Any], Any]:
    return lambda variance: tf.math.rsqrt(variance + epsilon)


CASES: Dict[str, Tuple[str, Callable[[Any], Any], str, Dict[str, Any]]] = {
    "contrib-rows": ("rows", contrib_layers.layer_norm, "layer_norm", {"epsilon": 1e-12}),
    "contrib-bert": (
        "steps",
        lambda x: contrib_layers.layer_norm(x, begin_norm_axis=-1, begin_params_axis=-1),
        "layer_norm",
        {"epsilon": 1e-12, "axes": [2]},
    ),
    "contrib-whole-image": (
        "x",
        lambda x: contrib_layers.layer_norm(x, begin_params_axis=1),
        "layer_norm",
        {"axes": [1, 2, 3], "data_format": "NHWC"},
    ),
    "keras-last-axis": ("steps", keras.LayerNormalization(), "layer_norm", {"epsilon": 1e-3}),
    "keras-two-axes": (
        "steps",
        keras.LayerNormalization(axis=[1, 2]),
        "layer_norm",
        {"axes": [1, 2]},
    ),
    "keras-without-beta": ("rows", keras.LayerNormalization(center=False), "layer_norm", {}),
    "over-channels-of-pixels": ("x", lambda x: scaled(x, rsqrt(1e-6), [3]), "layer_norm", {}),
    "power-of-a-half": (
        "steps",
        lambda x: scaled(x, lambda one: 1.0 / (one + 1e-8) ** 0.5, [-1]),
        "layer_norm",
        {"epsilon": 1e-8},
    ),
    "mean-of-squares": ("steps", by_squares, "layer_norm", {"epsilon": 1e-4}),
    "axes-not-kept": ("steps", statistics_without_kept_axes, "layer_norm", {"epsilon": 1e-6}),
    "contrib-layer-norm-of-images": (
        "x",
        contrib_layers.layer_norm,
        "group_norm",
        {"groups": 1, "epsilon": 1e-12},
    ),
    "contrib-layer-norm-of-steps": (
        "steps",
        contrib_layers.layer_norm,
        "group_norm",
        {"groups": 1},
    ),
    "contrib-instance": (
        "x",
        contrib_layers.instance_norm,
        "instance_norm",
        {"axes": [1, 2], "epsilon": 1e-6, "data_format": "NHWC"},
    ),
    "contrib-instance-nchw": (
        "nchw",
        lambda x: contrib_layers.instance_norm(x, data_format="NCHW"),
        "instance_norm",
        {"axes": [2, 3], "data_format": "NCHW"},
    ),
    "contrib-instance-without-gamma": (
        "x",
        lambda x: contrib_layers.instance_norm(x, scale=False),
        "instance_norm",
        {},
    ),
    "cycle-gan": (
        "x",
        lambda x: scaled(x, rsqrt(1e-5), [1, 2]),
        "instance_norm",
        {"epsilon": 1e-5},
    ),
    # A batch of one: the statistics have the shape of a batch norm's.
    "batch-of-one": ("one", lambda x: scaled(x, rsqrt(1e-5), [1, 2]), "instance_norm", {}),
    "gain-and-offset": ("x", gain_and_offset, "instance_norm", {}),
    "contrib-groups": (
        "x",
        lambda x: contrib_layers.group_norm(x, 3),
        "group_norm",
        {"groups": 3, "epsilon": 1e-6, "data_format": "NHWC"},
    ),
    "contrib-groups-nchw": (
        "nchw",
        lambda x: contrib_layers.group_norm(x, 2, channels_axis=-3, reduction_axes=(-2, -1)),
        "group_norm",
        {"groups": 2, "data_format": "NCHW"},
    ),
    "groups-by-hand": ("x", grouped_channels_first, "group_norm", {"groups": 2}),
    "groups-in-rows": ("nchw", grouped_in_rows, "group_norm", {"groups": 3}),
}


@pytest.mark.parametrize("case", CASES)
def test_described_kind_computes_the_same(case: str) -> None:
    place, build, kind, wanted = CASES[case]
    document, values = described_values(lambda: build(data(place)), SIZES[place])
    [layer] = document["layers"]
    assert layer["kind"] == kind
    assert {name: layer["attributes"][name] for name in wanted} == wanted
    expected = values[layer["output"]]
    actual = normalised(kind, values[layer["input"]], layer, values)
    numpy.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * numpy.abs(expected).max())
    assert set(layer["variables"].values()) == {one["name"] for one in document["variables"]}


def epsilon_outside(x: Any) -> Any:
    mean, variance = tf.nn.moments(x, [-1], keep_dims=True)
    return (x - mean) / (tf.sqrt(variance) + 1e-5) * variable("g") + variable("b")


@pytest.mark.parametrize(
    ("place", "build", "reason"),
    [
        pytest.param("steps", epsilon_outside, "adds epsilon to the root", id="epsilon-outside"),
        pytest.param(
            "x",
            lambda x: contrib_layers.layer_norm(x, begin_params_axis=2),
            "no layer, instance or group norm does",
            id="parameters-along-other-axes",
        ),
    ],
)
def test_what_torch_lacks_is_told(place: str, build: Callable[[Any], Any], reason: str) -> None:
    [layer] = describe_built(lambda: build(data(place)))["layers"]
    assert layer["kind"] == "other"
    assert reason in layer["reason"]


def test_names_and_order_of_a_small_transformer() -> None:
    def build() -> None:
        hidden = v1.layers.dense(data("steps"), 8, name="in")
        normal = contrib_layers.layer_norm(hidden, begin_norm_axis=-1, begin_params_axis=-1)
        v1.layers.dense(tf.nn.relu(normal) + hidden, 4, name="out")

    layers = describe_built(build)["layers"]
    assert [(one["kind"], one["name"]) for one in layers] == [
        ("dense", "in"),
        ("layer_norm", "LayerNorm"),
        ("dense", "out"),
    ]
    assert layers[1]["activation"] == "Relu"


def test_training_does_not_make_a_batch_norm_of_it() -> None:
    def build() -> None:
        normal = contrib_layers.instance_norm(v1.layers.conv2d(data("one"), 5, 3))
        v1.train.AdamOptimizer().minimize(tf.reduce_mean(tf.square(normal)), name="train")

    kinds = [layer["kind"] for layer in described(build).to_json()["layers"]]
    assert kinds == ["conv2d", "instance_norm"]


def without_an_operand(op: str, count: int) -> Callable[[Any], None]:
    def edit(meta: Any) -> None:
        for node in meta.graph_def.node:
            if node.op == op:
                del node.input[count:]

    return edit


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize(
    "op", ["AddV2", "Mean", "Mul", "Pow", "RealDiv", "Relu", "Reshape", "SquaredDifference", "Sub"]
)
def test_a_node_that_lacks_operands_is_no_crash(op: str, count: int) -> None:
    def build() -> None:
        x = contrib_layers.group_norm(data(), 3)
        x = scaled(x, lambda variance: 1.0 / (variance + 1e-8) ** 0.5, [1, 2])
        keras.PReLU(shared_axes=[1, 2])(x)

    document = described(build, edit=without_an_operand(op, count)).to_json()
    known = {"bias_add", "group_norm", "instance_norm", "other", "prelu"}
    assert {layer["kind"] for layer in document["layers"]} <= known
