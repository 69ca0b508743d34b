"""Layers: kind, roles, axes, attributes, input and output, whatever API made them."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping

import pytest
import tensorflow as tf
from tensorflow.contrib import slim

from tests.extract.graph import networks
from tests.extract.graph.graph_case import describe_built, kinds, roles

v1 = tf.compat.v1
layers = v1.layers


def images(size: Any = 17, channels: int = 3) -> Any:
    return v1.placeholder(tf.float32, [None, size, size + 2 if size else None, channels], name="x")


def channels_first() -> Any:
    return v1.placeholder(tf.float32, [None, 3, 17, 19], name="x")


def only_layer(build: Callable[[], Any]) -> Mapping[str, Any]:
    document = describe_built(build)
    assert len(document["layers"]) == 1
    layer: Mapping[str, Any] = document["layers"][0]
    return layer


def axes(document: Mapping[str, Any]) -> Dict[str, Any]:
    return {entry["name"]: entry["source_axes"] for entry in document["variables"]}


def convolution(**changes: Any) -> Dict[str, Any]:
    """Give the attributes of a convolution of 3 x 5, changed as asked."""
    return {
        "strides": [1, 1],
        "padding": "VALID",
        "explicit_padding": None,
        "dilations": [1, 1],
        "data_format": "NHWC",
        "kernel_size": [3, 5],
        **changes,
    }


def explicit_padding() -> None:
    kernel = v1.get_variable("w", [3, 5, 3, 4])
    pads = [[0, 0], [1, 2], [3, 4], [0, 0]]
    tf.nn.conv2d(images(), kernel, strides=[1, 2, 3, 1], padding=pads)


def atrous(padding: str, size: Any = 17) -> Callable[[], None]:
    return lambda: tf.nn.atrous_conv2d(images(size), v1.get_variable("w", [3, 5, 3, 4]), 2, padding)


@pytest.mark.parametrize(
    ("build", "kind", "attributes"),
    [
        pytest.param(
            lambda: layers.conv2d(images(), 4, (3, 5), (2, 3), use_bias=False),
            "conv2d",
            convolution(strides=[2, 3]),
            id="tf.layers",
        ),
        pytest.param(
            lambda: slim.conv2d(images(), 4, [3, 5], biases_initializer=None, activation_fn=None),
            "conv2d",
            convolution(padding="SAME"),
            id="slim",
        ),
        pytest.param(
            lambda: tf.keras.layers.Conv2D(4, (3, 5), padding="same", use_bias=False)(images()),
            "conv2d",
            convolution(padding="SAME"),
            id="keras",
        ),
        pytest.param(
            lambda: layers.conv2d(
                channels_first(), 4, (3, 5), (2, 3), data_format="channels_first", use_bias=False
            ),
            "conv2d",
            convolution(strides=[2, 3], data_format="NCHW"),
            id="channels-first",
        ),
        pytest.param(
            explicit_padding,
            "conv2d",
            convolution(strides=[2, 3], padding="EXPLICIT", explicit_padding=[[1, 2], [3, 4]]),
            id="explicit-padding",
        ),
        pytest.param(
            atrous("SAME"), "conv2d", convolution(padding="SAME", dilations=[2, 2]), id="atrous"
        ),
        pytest.param(atrous("VALID"), "conv2d", convolution(dilations=[2, 2]), id="atrous-valid"),
        pytest.param(
            atrous("SAME", None),
            "conv2d",
            convolution(padding="SAME", dilations=[2, 2]),
            id="atrous-unknown-size",
        ),
        pytest.param(
            atrous("VALID", None),
            "conv2d",
            convolution(dilations=[2, 2]),
            id="atrous-valid-unknown-size",
        ),
        pytest.param(
            lambda: layers.conv2d(
                images(), 4, (3, 5), dilation_rate=(3, 2), padding="same", use_bias=False
            ),
            "conv2d",
            convolution(padding="SAME", dilations=[3, 2]),
            id="dilation-rate",
        ),
        pytest.param(
            lambda: tf.nn.depthwise_conv2d(
                images(), v1.get_variable("w", [3, 5, 3, 2]), [1, 2, 2, 1], "SAME"
            ),
            "depthwise_conv2d",
            convolution(strides=[2, 2], padding="SAME"),
            id="depthwise",
        ),
        pytest.param(
            lambda: layers.conv2d_transpose(images(), 4, (3, 5), (2, 3), "same", use_bias=False),
            "conv2d_transpose",
            convolution(strides=[2, 3], padding="SAME", output_size=[34, 57]),
            id="transpose",
        ),
        pytest.param(
            lambda: layers.conv2d_transpose(images(None), 4, (3, 5), use_bias=False),
            "conv2d_transpose",
            convolution(output_size=None),
            id="transpose-unknown-size",
        ),
        pytest.param(
            lambda: tf.nn.embedding_lookup(
                v1.get_variable("table", [30, 8]), v1.placeholder(tf.int32, [None], name="x")
            ),
            "embedding",
            {"vocabulary": 30, "dimension": 8},
            id="embedding",
        ),
    ],
)
def test_kind_and_attributes(
    build: Callable[[], Any], kind: str, attributes: Dict[str, Any]
) -> None:
    layer = only_layer(build)
    assert layer["kind"] == kind
    assert layer["attributes"] == attributes
    assert layer["input"] == "x:0"


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        pytest.param(
            networks.by_hand,
            {"Variable": "HWIO", "Variable_1": "C", "Variable_2": "IO", "Variable_3": "C"},
            id="by-hand",
        ),
        pytest.param(
            networks.segmentation_with_annotation, {"t/W": "HWOI", "t/b": "C"}, id="transposed"
        ),
        pytest.param(
            networks.attention, {"output_weights": "OI", "word_embeddings": "VD"}, id="OI"
        ),
        pytest.param(
            networks.keras_model,
            {
                "depthwise_conv2d/depthwise_kernel": "HWCM",
                "separable_conv2d/pointwise_kernel": "HWIO",
                "batch_normalization/moving_mean": "C",
            },
            id="keras",
        ),
    ],
)
def test_source_axes(network: Callable[[], None], expected: Dict[str, str]) -> None:
    found = axes(describe_built(network))
    assert {name: found[name] for name in expected} == expected


def test_layer_with_bias_in_full() -> None:
    def build() -> None:
        layers.conv2d(images(), 4, 3, activation=tf.nn.elu, name="net/c")

    assert only_layer(build) == {
        "index": 0,
        "kind": "conv2d",
        "name": "net/c",
        "op": "net/c/Conv2D",
        "variables": {"kernel": "net/c/kernel", "bias": "net/c/bias"},
        "constants": {},
        "input": "x:0",
        "op_output": "net/c/Conv2D:0",
        "output": "net/c/BiasAdd:0",
        "attributes": convolution(kernel_size=[3, 3]),
        "activation": "Elu",
        "evidence": "graph",
        "reason": None,
    }


def bias_of_shape(shape: List[int]) -> Callable[[], None]:
    def build() -> None:
        kernel = v1.get_variable("w", [3, 3, 3, 4])
        convolved = tf.nn.conv2d(images(), kernel, strides=[1, 1, 1, 1], padding="SAME")
        _ = convolved + v1.get_variable("b", shape)

    return build


def bias_channels_first() -> None:
    kernel = v1.get_variable("w", [3, 3, 3, 4])
    convolved = tf.nn.conv2d(
        channels_first(), kernel, strides=[1, 1, 1, 1], padding="SAME", data_format="NCHW"
    )
    _ = convolved + tf.reshape(v1.get_variable("b", [4]), [1, 4, 1, 1])


@pytest.mark.parametrize(
    ("build", "letters"),
    [
        pytest.param(bias_of_shape([4]), "C", id="vector"),
        pytest.param(bias_of_shape([1, 1, 1, 4]), "111C", id="broadcast"),
        pytest.param(bias_channels_first, "C", id="reshaped-for-channels-first"),
    ],
)
def test_bias_that_follows_directly_belongs_to_the_layer(
    build: Callable[[], None], letters: str
) -> None:
    document = describe_built(build)
    assert kinds(document) == ["conv2d"]
    assert document["layers"][0]["variables"] == {"kernel": "w", "bias": "b"}
    assert axes(document)["b"] == letters


def test_bias_that_follows_later_is_a_layer_of_its_own() -> None:
    def build() -> None:
        convolved = layers.conv2d(images(), 4, 3, use_bias=False)
        tf.nn.bias_add(tf.concat([convolved, convolved], 3), v1.get_variable("b", [8]))

    document = describe_built(build)
    assert kinds(document) == ["conv2d", "bias_add"]
    assert document["layers"][1]["attributes"] == {"data_format": "NHWC"}
    assert roles(document)["b"] == "bias"


def test_map_of_features_is_no_bias() -> None:
    def build() -> None:
        _ = layers.conv2d(images(), 4, 3, use_bias=False) + v1.get_variable("map", [15, 17, 4])

    document = describe_built(build)
    assert kinds(document) == ["conv2d", "other"]
    assert document["layers"][1]["variables"] == {"operand_1": "map"}
    assert document["layers"][1]["attributes"] == {"op_type": "AddV2"}


def test_square_transposed_product_is_told_from_a_plain_one() -> None:
    def build() -> None:
        data = v1.placeholder(tf.float32, [None, 6], name="x")
        first = tf.matmul(data, v1.get_variable("plain", [6, 6]))
        second = tf.matmul(first, v1.get_variable("flag", [6, 6]), transpose_b=True)
        third = tf.matmul(second, tf.transpose(v1.get_variable("op", [6, 6])))
        tf.matmul(third, tf.transpose(v1.get_variable("both", [6, 6])), transpose_b=True)

    document = describe_built(build)
    assert axes(document) == {"plain": "IO", "flag": "OI", "op": "OI", "both": "IO"}
    flags = [layer["attributes"]["transpose_b"] for layer in document["layers"]]
    assert flags == [False, True, True, False]


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param([None, 7, 9], id="sequence"),
        # The reshape within tf.tensordot is no flatten: the kernel has 9 rows, not 7 * 8 * 9.
        pytest.param([None, 7, 8, 9], id="image"),
        pytest.param([None, None, None, 9], id="image-of-unknown-size"),
    ],
)
def test_dense_on_more_than_two_axes_is_one_layer(shape: List[Any]) -> None:
    def build() -> None:
        layers.dense(v1.placeholder(tf.float32, shape, name="x"), 6, name="d")

    layer = only_layer(build)
    assert (layer["kind"], layer["name"]) == ("dense", "d")
    assert (layer["input"], layer["op_output"]) == ("x:0", "d/Tensordot:0")
    assert layer["output"] == "d/BiasAdd:0"
    assert layer["attributes"]["flatten"] is None


def flatten_by_reshape(data: Any) -> Any:
    return tf.reshape(data, [-1, 3 * 4 * 5])


def flatten_and_relu(data: Any) -> Any:
    return tf.nn.relu(layers.flatten(data))


def flatten_and_drop(data: Any) -> Any:
    return tf.nn.dropout(layers.flatten(data), rate=0.5)


def flatten_and_normalise(data: Any) -> Any:
    return layers.batch_normalization(layers.flatten(data))


@pytest.mark.parametrize(
    "flatten",
    [
        pytest.param(layers.flatten, id="tf.layers"),
        pytest.param(flatten_by_reshape, id="reshape"),
        pytest.param(flatten_and_relu, id="activation-between"),
        pytest.param(flatten_and_drop, id="dropout-between"),
        pytest.param(flatten_and_normalise, id="batch-norm-between"),
    ],
)
def test_flatten_before_dense(flatten: Callable[[Any], Any]) -> None:
    def build() -> None:
        data = v1.placeholder(tf.float32, [None, 3, 4, 5], name="x")
        layers.dense(flatten(data), 7)

    dense = describe_built(build)["layers"][-1]
    assert dense["attributes"]["flatten"]["shape"] == [None, 3, 4, 5]
    assert dense["attributes"]["flatten"]["data_format"] == "NHWC"


@pytest.mark.parametrize(
    ("permutation", "expected"),
    [
        pytest.param(None, "NCHW", id="as-it-is"),
        pytest.param([0, 2, 3, 1], "NHWC", id="moved-to-the-end"),
    ],
)
def test_flatten_of_channels_first(permutation: Any, expected: str) -> None:
    def build() -> None:
        hidden = layers.conv2d(channels_first(), 4, 3, data_format="channels_first")
        hidden = layers.max_pooling2d(hidden, 2, 2, data_format="channels_first")
        if permutation is not None:
            hidden = tf.transpose(hidden, permutation)
        layers.dense(tf.reshape(hidden, [-1, 4 * 7 * 8]), 6)

    dense = describe_built(build)["layers"][-1]
    assert dense["attributes"]["flatten"]["data_format"] == expected


def test_variable_used_twice_has_two_layers() -> None:
    document = describe_built(networks.siamese_contrastive)
    kernel = next(one for one in document["variables"] if one["name"] == "tower/a/kernel")
    assert kernel["layers"] == [0, 2]
    assert [layer["name"] for layer in document["layers"]] == [
        "tower/a", "tower/b", "tower_1/a", "tower_1/b",
    ]  # fmt: skip


def test_tied_weights_name_the_other_use() -> None:
    def build() -> None:
        kernel = v1.get_variable("w", [3, 3, 3, 4])
        data = v1.placeholder(tf.float32, [2, 8, 10, 3], name="x")
        code = tf.nn.conv2d(data, kernel, strides=[1, 2, 2, 1], padding="SAME")
        tf.nn.conv2d_transpose(code, kernel, [2, 8, 10, 3], [1, 2, 2, 1])

    document = describe_built(build)
    assert kinds(document) == ["conv2d", "conv2d_transpose"]
    variable = document["variables"][0]
    assert (variable["op_kind"], variable["source_axes"]) == ("conv2d", "HWIO")
    assert variable["reason"] == "other layers read it in another way: conv2d_transpose"


def test_inside_a_loop_is_recorded_with_the_reason() -> None:
    def build() -> None:
        kernel = v1.get_variable("kernel", [9, 9])
        data = v1.placeholder(tf.float32, [None, 9], name="x")
        _, made = tf.while_loop(
            lambda turn, _: turn < 3,
            lambda turn, value: (turn + 1, tf.matmul(value, kernel)),
            [0, data],
        )
        tf.nn.relu(made)

    document = describe_built(build)
    assert kinds(document) == ["other"]
    assert document["layers"][0]["reason"] == "inside a while loop"
    kernel = document["variables"][0]
    assert kernel["role"] is None
    assert kernel["reason"] == "inside a while loop"


@pytest.mark.parametrize(
    ("build", "word"),
    [
        pytest.param(
            lambda: tf.nn.conv2d(
                images(),
                tf.transpose(v1.get_variable("w", [5, 4, 3, 4]), [1, 0, 2, 3]),
                strides=[1, 1, 1, 1],
                padding="SAME",
            ),
            "rearranged",
            id="transposed-kernel",
        ),
        pytest.param(
            lambda: tf.nn.conv2d(
                images(),
                v1.get_variable("w", [3, 3, 3, 4]) * tf.reduce_mean(images()),
                strides=[1, 1, 1, 1],
                padding="SAME",
            ),
            "Mul of a variable",
            id="kernel-made-of-an-input",
        ),
        pytest.param(
            lambda: tf.matmul(
                v1.get_variable("w", [4, 9]), v1.placeholder(tf.float32, [9, None], name="x")
            ),
            "left operand",
            id="variable-on-the-left",
        ),
    ],
)
def test_what_is_not_known_is_other_with_a_reason(build: Callable[[], Any], word: str) -> None:
    document = describe_built(build)
    assert set(kinds(document)) == {"other"}
    assert document["variables"][0]["role"] is None
    assert word in document["variables"][0]["reason"]


def test_order_is_that_of_the_first_use() -> None:
    def build() -> None:
        # Made in another order than used.
        last = v1.get_variable("a_last", [4, 5])
        first = v1.get_variable("z_first", [9, 4])
        tf.matmul(tf.matmul(v1.placeholder(tf.float32, [None, 9], name="x"), first), last)
        v1.get_variable("m_unused", [2])

    found = {one["name"]: one["order"] for one in describe_built(build)["variables"]}
    assert found == {"a_last": 1, "m_unused": None, "z_first": 0}


def test_gradients_of_a_training_graph_are_no_layers() -> None:
    document = describe_built(networks.autoencoder)
    assert kinds(document) == ["conv2d", "conv2d_transpose"]
    assert not any("gradients" in node["name"] for node in document["nodes"])
