"""Convolutions over one and three axes, separable and grouped ones, whatever API made them."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping

import pytest
import tensorflow as tf
from tensorflow.contrib import slim

from tests.extract.graph.graph_case import describe_built, kinds

v1 = tf.compat.v1
layers = v1.layers
keras = tf.keras.layers


def rows(length: Any = 9) -> Any:
    return v1.placeholder(tf.float32, [None, length, 3], name="x")


def rows_channels_first(length: Any = 9) -> Any:
    return v1.placeholder(tf.float32, [None, 3, length], name="x")


def volumes(size: Any = 11) -> Any:
    sizes = [size, size + 2, size + 3] if size else [None] * 3
    return v1.placeholder(tf.float32, [None, *sizes, 3], name="x")


def volumes_channels_first() -> Any:
    return v1.placeholder(tf.float32, [None, 3, 11, 13, 14], name="x")


def kernel(*shape: int, **options: Any) -> Any:
    return v1.get_variable("w", shape, **options)


def window(*kernel_size: int, **changes: Any) -> Dict[str, Any]:
    """Give the attributes of a plain convolution, changed as asked."""
    ones = [1] * len(kernel_size)
    return {
        "strides": ones,
        "padding": "VALID",
        "explicit_padding": None,
        "dilations": ones,
        "data_format": {1: "NWC", 2: "NHWC", 3: "NDHWC"}[len(kernel_size)],
        "kernel_size": list(kernel_size),
        **changes,
    }


def only_layer(build: Callable[[], Any]) -> Mapping[str, Any]:
    document = describe_built(build)
    assert len(document["layers"]) == 1
    layer: Mapping[str, Any] = document["layers"][0]
    return layer


def causal_in_older_releases() -> None:
    """The padding as a node before a convolution of a kernel that a reshape gives its axis."""
    data = tf.pad(rows(), [[0, 0], [4, 0], [0, 0]])
    image = tf.expand_dims(data, -3)
    convolved = tf.nn.conv2d(
        image, tf.reshape(kernel(5, 3, 4), [1, 5, 3, 4]), [1, 1, 1, 1], "VALID"
    )
    tf.squeeze(convolved, [-3])


def along_the_height() -> None:
    image = tf.expand_dims(rows(), 2)
    convolved = tf.nn.conv2d(image, tf.expand_dims(kernel(5, 3, 4), 1), [1, 2, 1, 1], "SAME")
    tf.squeeze(convolved, [2])


@pytest.mark.parametrize(
    ("build", "kind", "attributes"),
    [
        pytest.param(
            lambda: tf.nn.conv1d(rows(), kernel(5, 3, 4), stride=2, padding="SAME"),
            "conv1d",
            window(5, strides=[2], padding="SAME"),
            id="tf.nn.conv1d",
        ),
        pytest.param(
            lambda: tf.nn.convolution(rows(), kernel(5, 3, 4), "SAME"),
            "conv1d",
            window(5, padding="SAME"),
            id="tf.nn.convolution",
        ),
        pytest.param(
            lambda: layers.conv1d(rows(), 4, 5, use_bias=False),
            "conv1d",
            window(5),
            id="tf.layers",
        ),
        pytest.param(
            lambda: tf.contrib.layers.conv1d(
                rows(), 4, 5, rate=2, biases_initializer=None, activation_fn=None
            ),
            "conv1d",
            window(5, padding="SAME", dilations=[2]),
            id="contrib-dilated",
        ),
        pytest.param(
            lambda: keras.Conv1D(4, 5, dilation_rate=2, use_bias=False)(rows(None)),
            "conv1d",
            window(5, dilations=[2]),
            id="keras-dilated-unknown-length",
        ),
        pytest.param(
            lambda: keras.Conv1D(4, 5, padding="same", dilation_rate=2, use_bias=False)(rows(None)),
            "conv1d",
            window(5, padding="SAME", dilations=[2]),
            id="keras-dilated-same-unknown-length",
        ),
        pytest.param(
            along_the_height, "conv1d", window(5, strides=[2], padding="SAME"), id="height"
        ),
        pytest.param(
            lambda: layers.conv1d(
                rows_channels_first(), 4, 5, data_format="channels_first", use_bias=False
            ),
            "conv1d",
            window(5, data_format="NCW"),
            id="channels-first",
        ),
        pytest.param(
            lambda: layers.conv1d(
                rows_channels_first(None),
                4,
                5,
                padding="same",
                dilation_rate=2,
                data_format="channels_first",
                use_bias=False,
            ),
            "conv1d",
            window(5, data_format="NCW", padding="SAME", dilations=[2]),
            id="channels-first-dilated-unknown-length",
        ),
        pytest.param(
            lambda: tf.nn.conv1d_transpose(
                v1.placeholder(tf.float32, [2, 9, 3], name="x"), kernel(5, 4, 3), [2, 18, 4], 2
            ),
            "conv1d_transpose",
            window(5, strides=[2], padding="SAME", output_size=[18]),
            id="transpose-1d",
        ),
        pytest.param(
            lambda: layers.conv3d(volumes(), 4, (5, 3, 2), (1, 2, 3), use_bias=False),
            "conv3d",
            window(5, 3, 2, strides=[1, 2, 3]),
            id="conv3d",
        ),
        pytest.param(
            lambda: keras.Conv3D(4, (5, 3, 2), padding="same", dilation_rate=2, use_bias=False)(
                volumes(None)
            ),
            "conv3d",
            window(5, 3, 2, padding="SAME", dilations=[2, 2, 2]),
            id="conv3d-dilated-unknown-size",
        ),
        pytest.param(
            lambda: layers.conv3d(
                volumes_channels_first(),
                4,
                (5, 3, 2),
                dilation_rate=2,
                data_format="channels_first",
                use_bias=False,
            ),
            "conv3d",
            window(5, 3, 2, data_format="NCDHW", dilations=[2, 2, 2]),
            id="conv3d-dilated-channels-first",
        ),
        pytest.param(
            lambda: layers.conv3d_transpose(volumes(), 4, (5, 3, 2), (2, 2, 1), use_bias=False),
            "conv3d_transpose",
            window(5, 3, 2, strides=[2, 2, 1], output_size=[25, 27, 15]),
            id="conv3d-transpose",
        ),
        pytest.param(
            lambda: tf.nn.conv2d(
                v1.placeholder(tf.float32, [None, 9, 8, 6], name="x"),
                kernel(5, 3, 2, 12),
                [1, 1, 1, 1],
                "VALID",
            ),
            "conv2d",
            window(5, 3, groups=3),
            id="grouped-kernel",
        ),
        pytest.param(
            lambda: tf.nn.conv1d(
                rows(),
                kernel(5, 3, 4, partitioner=v1.fixed_size_partitioner(2, 2)),
                stride=1,
                padding="VALID",
            ),
            "conv1d",
            window(5),
            id="partitioned",
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
    ("build", "pad"),
    [
        pytest.param(
            lambda: keras.Conv1D(4, 5, padding="causal", use_bias=False)(rows()), 4, id="keras"
        ),
        pytest.param(
            lambda: keras.Conv1D(4, 5, padding="causal", dilation_rate=2, use_bias=False)(rows()),
            8,
            id="keras-dilated",
        ),
        pytest.param(causal_in_older_releases, 4, id="by-hand"),
    ],
)
def test_causal_padding_is_a_node_before_the_layer(build: Callable[[], Any], pad: int) -> None:
    document = describe_built(build)
    [layer] = document["layers"]
    assert (layer["kind"], layer["attributes"]["padding"]) == ("conv1d", "VALID")
    before = next(one for one in document["nodes"] if f"{one['name']}:0" == layer["input"])
    assert before["op"] == "Pad"
    assert before["shapes"] == [[None, 9 + pad, 3]]


def volumes_with_bias_of_older_releases() -> Any:
    hidden = layers.conv3d(
        volumes_channels_first(), 4, 5, data_format="channels_first", use_bias=False
    )
    image = tf.reshape(hidden, [-1, 4, 7 * 9, 10])
    image = tf.nn.bias_add(image, v1.get_variable("b", [4]), data_format="NCHW")
    return tf.reshape(image, [-1, 4, 7, 9, 10])


@pytest.mark.parametrize(
    ("build", "axes"),
    [
        pytest.param(lambda: layers.conv1d(rows(), 4, 5), {"kernel": "WIO", "bias": "C"}, id="1d"),
        pytest.param(
            lambda: layers.conv1d(rows_channels_first(), 4, 5, data_format="channels_first"),
            {"kernel": "WIO", "bias": "C"},
            id="1d-channels-first",
        ),
        pytest.param(
            lambda: (
                layers.conv1d(
                    rows_channels_first(), 4, 5, data_format="channels_first", use_bias=False
                )
                + v1.get_variable("b", [1, 4, 1])
            ),
            {"kernel": "WIO", "bias": "1C1"},
            id="1d-broadcast",
        ),
        pytest.param(
            lambda: layers.conv3d(volumes(), 4, 5), {"kernel": "DHWIO", "bias": "C"}, id="3d"
        ),
        pytest.param(
            lambda: layers.conv3d(volumes_channels_first(), 4, 5, data_format="channels_first"),
            {"kernel": "DHWIO", "bias": "C"},
            id="3d-channels-first",
        ),
        pytest.param(
            lambda: (
                layers.conv3d(volumes(), 4, 5, use_bias=False)
                + v1.get_variable("b", [1, 1, 1, 1, 4])
            ),
            {"kernel": "DHWIO", "bias": "1111C"},
            id="3d-broadcast",
        ),
        pytest.param(
            volumes_with_bias_of_older_releases,
            {"kernel": "DHWIO", "bias": "C"},
            id="3d-channels-first-reshaped",
        ),
        pytest.param(
            lambda: layers.conv3d_transpose(volumes(), 4, 5),
            {"kernel": "DHWOI", "bias": "C"},
            id="3d-transpose",
        ),
    ],
)
def test_bias_and_activation_belong_to_the_layer(
    build: Callable[[], Any], axes: Dict[str, str]
) -> None:
    document = describe_built(lambda: tf.nn.relu(build()))
    [layer] = document["layers"]
    found = {one["name"]: one["source_axes"] for one in document["variables"]}
    assert {role: found[name] for role, name in layer["variables"].items()} == axes
    assert layer["activation"] == "Relu"


def separable_1d_by_hand() -> None:
    image = tf.expand_dims(rows(), 1)
    deep = tf.nn.depthwise_conv2d(
        image, tf.expand_dims(v1.get_variable("d", [5, 3, 2]), 0), [1, 1, 1, 1], "SAME"
    )
    deep = layers.batch_normalization(tf.squeeze(deep, [1]))
    layers.conv1d(deep, 4, 1)


def images() -> Any:
    return v1.placeholder(tf.float32, [None, 9, 11, 3], name="x")


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        pytest.param(
            lambda: layers.separable_conv2d(images(), 4, (5, 3), depth_multiplier=2),
            ["depthwise_conv2d", "conv2d"],
            id="tf.layers",
        ),
        pytest.param(
            lambda: keras.SeparableConv2D(4, (5, 3), padding="same", dilation_rate=2)(images()),
            ["depthwise_conv2d", "conv2d"],
            id="keras-dilated",
        ),
        pytest.param(
            lambda: slim.separable_conv2d(images(), 4, [5, 3], 2, normalizer_fn=slim.batch_norm),
            ["depthwise_conv2d", "conv2d", "batch_norm"],
            id="slim-batch-norm",
        ),
        pytest.param(
            lambda: slim.separable_conv2d(images(), None, [5, 3], 2),
            ["depthwise_conv2d"],
            id="slim-depthwise-alone",
        ),
        pytest.param(
            lambda: layers.separable_conv1d(rows(), 4, 5, depth_multiplier=2),
            ["depthwise_conv1d", "conv1d"],
            id="1d",
        ),
        pytest.param(
            lambda: layers.separable_conv1d(
                rows_channels_first(), 4, 5, data_format="channels_first"
            ),
            ["depthwise_conv1d", "conv1d"],
            id="1d-channels-first",
        ),
        pytest.param(
            lambda: keras.SeparableConv1D(4, 5, padding="same", dilation_rate=2)(rows(None)),
            ["depthwise_conv1d", "conv1d"],
            id="1d-dilated-unknown-length",
        ),
        pytest.param(
            separable_1d_by_hand,
            ["depthwise_conv1d", "batch_norm", "conv1d"],
            id="1d-batch-norm-between",
        ),
    ],
)
def test_separable_is_a_depthwise_and_a_pointwise_layer(
    build: Callable[[], Any], expected: List[str]
) -> None:
    document = describe_built(build)
    assert kinds(document) == expected
    assert document["layers"][0]["input"] == "x:0"
    assert all(layer["evidence"] == "graph" for layer in document["layers"])


def test_separable_1d_ends_where_its_axis_of_size_one_ends() -> None:
    document = describe_built(lambda: layers.separable_conv1d(rows(), 4, 5, name="s"))
    depthwise, pointwise = document["layers"]
    assert depthwise["output"] == "s/separable_conv2d/depthwise:0"
    assert pointwise["op_output"] == "s/separable_conv2d:0"
    assert pointwise["output"] == "s/Squeeze:0"


def test_kernel_of_rows_on_images_is_no_conv1d() -> None:
    def build() -> None:
        tf.nn.conv2d(images(), tf.expand_dims(kernel(5, 3, 4), 0), [1, 1, 1, 1], "SAME")

    layer = only_layer(build)
    assert (layer["kind"], layer["variables"]) == ("other", {"operand_1": "w"})
    assert layer["reason"] == "its kernel has one spatial axis, its image two"


def test_kernel_read_by_several_convolutions() -> None:
    def build() -> None:
        shared = kernel(5, 3, 3)
        hidden = tf.nn.conv1d(rows(), shared, stride=1, padding="SAME")
        tf.nn.conv1d(hidden, shared, stride=1, padding="SAME")

    document = describe_built(build)
    assert kinds(document) == ["conv1d", "conv1d"]
    assert document["variables"][0]["layers"] == [0, 1]
    assert document["variables"][0]["reason"] is None


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        pytest.param(
            lambda: layers.conv1d(
                rows_channels_first(), 4, 5, data_format="channels_first", use_bias=False
            ),
            "NCHW",
            id="1d",
        ),
        pytest.param(
            lambda: layers.conv3d(
                volumes_channels_first(), 4, 5, data_format="channels_first", use_bias=False
            ),
            "NCHW",
            id="3d",
        ),
    ],
)
def test_batch_norm_of_channels_first(build: Callable[[], Any], expected: str) -> None:
    document = describe_built(lambda: layers.batch_normalization(build(), axis=1))
    assert document["layers"][1]["kind"] == "batch_norm"
    assert document["layers"][1]["attributes"]["data_format"] == expected


def conv1d_then_pooling() -> Any:
    return layers.max_pooling1d(layers.conv1d(rows(), 4, 2, activation=tf.nn.relu), 2, 2)


@pytest.mark.parametrize(
    ("build", "flatten"),
    [
        pytest.param(conv1d_then_pooling, ([None, 4, 4], "NWC"), id="conv1d"),
        pytest.param(
            lambda: layers.conv1d(rows_channels_first(), 4, 2, data_format="channels_first"),
            ([None, 4, 8], "NCW"),
            id="conv1d-channels-first",
        ),
        pytest.param(
            lambda: tf.transpose(layers.conv1d(rows(), 4, 2), [0, 2, 1]),
            ([None, 4, 8], "NCW"),
            id="conv1d-transposed",
        ),
        pytest.param(
            lambda: layers.batch_normalization(layers.conv3d(volumes(4), 5, 3, 2)),
            ([None, 1, 2, 3, 5], "NDHWC"),
            id="conv3d",
        ),
        # A sequence keeps its axes in torch.
        pytest.param(lambda: layers.dense(rows(), 4), None, id="dense-over-a-sequence"),
        pytest.param(
            lambda: layers.dense(layers.conv1d(rows(), 4, 2), 6), None, id="dense-behind-conv1d"
        ),
    ],
)
def test_flatten_before_dense(build: Callable[[], Any], flatten: Any) -> None:
    document = describe_built(lambda: layers.dense(layers.flatten(build()), 7, name="last"))
    found = document["layers"][-1]["attributes"]["flatten"]
    assert (found and (found["shape"], found["data_format"])) == flatten


def test_reshape_to_one_row_a_step_is_no_flatten() -> None:
    def build() -> None:
        hidden = layers.conv1d(rows(), 4, 2)
        layers.dense(tf.reshape(hidden, [-1, 4]), 7)

    assert describe_built(build)["layers"][-1]["attributes"]["flatten"] is None


def parts_of_images(channels: int, sliced: bool) -> List[Any]:
    data = v1.placeholder(tf.float32, [None, 9, 11, channels], name="x")
    half = channels // 2
    if sliced:
        return [data[:, :, :, :half], data[..., half:]]
    return tf.split(data, 2, axis=3)


def shared_kernel(sliced: bool = False) -> None:
    """As in AlexNet: one kernel, cut along its output channels."""
    whole = kernel(5, 3, 3, 8)
    kernels = [whole[:, :, :, :4], whole[..., 4:]] if sliced else tf.split(whole, 2, -1)
    branches = [
        tf.nn.conv2d(data, one, [1, 2, 1, 1], "SAME")
        for data, one in zip(parts_of_images(6, sliced), kernels)
    ]
    tf.nn.relu(tf.concat(branches, -1) + v1.get_variable("b", [8]))


@pytest.mark.parametrize(
    "sliced", [pytest.param(False, id="split"), pytest.param(True, id="slices")]
)
def test_one_kernel_cut_along_its_outputs_is_one_grouped_layer(sliced: bool) -> None:
    layer = only_layer(lambda: shared_kernel(sliced))
    assert layer["kind"] == "conv2d"
    assert layer["variables"] == {"kernel": "w", "bias": "b"}
    assert (layer["input"], layer["activation"]) == ("x:0", "Relu")
    assert layer["attributes"] == window(5, 3, strides=[2, 1], padding="SAME", groups=2)


def own_kernels(change: str = "", sliced: bool = False) -> None:
    """As in many ResNeXt: a layer a group; each of the changes makes it something else."""
    branches = [
        layers.conv2d(
            data,
            4,
            3,
            dilation_rate=2 if change == "attributes" and number else 1,
            padding="same",
            activation=tf.nn.relu,
            name=f"g{number}",
        )
        for number, data in enumerate(parts_of_images(6, sliced))
    ]
    if change == "order":
        branches.reverse()
    tf.concat(branches, 2 if change == "axis" else 3, name="joined")


@pytest.mark.parametrize(
    "sliced", [pytest.param(False, id="split"), pytest.param(True, id="slices")]
)
def test_kernels_of_their_own_stay_layers_that_say_so(sliced: bool) -> None:
    document = describe_built(lambda: own_kernels(sliced=sliced))
    assert [layer["name"] for layer in document["layers"]] == ["g0", "g1"]
    groups = [layer["attributes"]["group"] for layer in document["layers"]]
    common = {"count": 2, "input": "x:0", "output": "joined:0"}
    assert groups == [{"index": 0, **common}, {"index": 1, **common}]


@pytest.mark.parametrize("change", ["attributes", "order", "axis"])
def test_what_is_no_grouped_convolution(change: str) -> None:
    document = describe_built(lambda: own_kernels(change))
    assert kinds(document) == ["conv2d", "conv2d"]
    assert not any("group" in layer["attributes"] for layer in document["layers"])
