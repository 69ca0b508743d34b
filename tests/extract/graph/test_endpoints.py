"""Inputs and outputs of training graphs, as a person would name them."""

from __future__ import annotations

from typing import Any, List

import pytest
import tensorflow as tf

from stage_extract.errors import EndpointNotFound
from tests.extract.graph import networks
from tests.extract.graph.adversarial_networks import ADVERSARIAL
from tests.extract.graph.graph_case import describe_built, described, tensors
from tests.extract.graph.loss_networks import LOSSES


@pytest.mark.parametrize(
    ("network", "inputs", "outputs"),
    [pytest.param(*row, id=row[0].__name__) for row in (*networks.EVERY, *LOSSES, *ADVERSARIAL)],
)
def test_endpoints_are_what_a_person_would_name(
    network: Any, inputs: List[str], outputs: List[str]
) -> None:
    document = describe_built(network)
    assert tensors(document["inputs"]) == inputs
    assert sorted(tensors(document["outputs"])) == sorted(outputs)


def test_endpoint_says_type_shape_and_name() -> None:
    document = describe_built(networks.two_kinds_of_input)
    assert document["inputs"] == [
        {"tensor": "x:0", "dtype": "float32", "shape": [None, 9], "name": "x"},
        {"tensor": "identifiers:0", "dtype": "int64", "shape": [None], "name": "identifiers"},
    ]
    assert document["outputs"] == [
        {
            "tensor": "output/BiasAdd:0",
            "dtype": "float32",
            "shape": [None, 1],
            "name": "output/BiasAdd",
        }
    ]


def test_candidates_list_what_was_not_chosen_with_the_reason() -> None:
    document = describe_built(networks.by_hand)
    inputs = {one["tensor"]: one for one in document["candidates"]["inputs"]}
    outputs = {one["tensor"]: one for one in document["candidates"]["outputs"]}
    assert inputs["x:0"]["chosen"] is True
    assert inputs["y:0"]["chosen"] is False
    assert "labels" in inputs["y:0"]["reason"]
    assert inputs["dropout:0"]["chosen"] is False
    assert "a switch, 1.0 in inference" in inputs["dropout:0"]["reason"]
    assert outputs["prediction:0"]["chosen"] is True
    assert outputs["ArgMax:0"]["chosen"] is False
    assert "decision" in outputs["ArgMax:0"]["reason"]


@pytest.mark.parametrize(
    ("options", "inputs", "outputs"),
    [
        pytest.param({"outputs": ("add_2",)}, ["x:0"], ["add_2:0"], id="output-without-index"),
        pytest.param(
            {"outputs": ("MatMul:0", "add_2:0")}, ["x:0"], ["MatMul:0", "add_2:0"], id="two-outputs"
        ),
        pytest.param(
            {"inputs": ("Reshape:0",)}, ["Reshape:0"], ["prediction:0"], id="input-in-the-middle"
        ),
        pytest.param(
            {"inputs": ("Reshape:0",), "outputs": ("MaxPool:0",)},
            ["Reshape:0"],
            ["MaxPool:0"],
            id="both",
        ),
    ],
)
def test_user_overrules(options: Any, inputs: List[str], outputs: List[str]) -> None:
    document = describe_built(networks.by_hand, **options)
    assert tensors(document["inputs"]) == inputs
    assert tensors(document["outputs"]) == outputs


def test_input_that_the_user_names_is_cut_from_what_lies_above() -> None:
    document = describe_built(networks.by_hand, inputs=("Reshape:0",))
    nodes = {node["name"]: node for node in document["nodes"]}
    assert nodes["Reshape"]["inputs"] == []
    assert "x" not in nodes


def test_switch_that_the_user_calls_input_is_one() -> None:
    document = describe_built(networks.by_hand, inputs=("x:0", "dropout:0"))
    assert document["switches"] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"outputs": ("predicton:0",)}, ["'predicton:0'", "prediction"], id="typo"),
        pytest.param({"inputs": ("z:0",)}, ["'z:0'", "input"], id="input"),
        pytest.param({"outputs": ("x:7",)}, ["'x:7'"], id="no-such-output-of-the-node"),
    ],
)
def test_unknown_endpoint_is_refused_with_the_nearest_names(options: Any, words: List[str]) -> None:
    with pytest.raises(EndpointNotFound) as caught:
        describe_built(networks.by_hand, **options)
    assert all(word in str(caught.value) for word in words)


def test_endpoint_in_a_branch_of_training_is_refused() -> None:
    with pytest.raises(EndpointNotFound, match="only training takes"):
        describe_built(networks.branch_reads_output, outputs=("cond/mul:0",))


def test_input_that_the_outputs_do_not_need_is_warned_of() -> None:
    description = described(networks.by_hand, inputs=("x:0", "y:0"))
    assert description.warnings == ("The outputs are not computed from y:0.",)


def test_graph_without_layers_has_no_output_and_says_so() -> None:
    def build() -> None:
        tf.compat.v1.get_variable("unused", [3])
        tf.compat.v1.placeholder(tf.float32, [None], name="x")

    description = described(build)
    assert description.document["outputs"] == []
    assert "--outputs" in description.warnings[0]


def test_averages_of_variables_are_no_outputs() -> None:
    # A shadow starts from its variable's value, under a tf.cond with the random initial value.
    def build() -> None:
        image = tf.compat.v1.placeholder(tf.float32, [None, 8, 6, 3], name="x")
        logits = tf.compat.v1.layers.conv2d(image, 4, 3, name="logits")
        tf.nn.softmax(logits, name="probabilities")
        step = tf.compat.v1.train.get_or_create_global_step()
        train = tf.compat.v1.train.AdamOptimizer().minimize(tf.reduce_mean(logits), step)
        with tf.control_dependencies([train]):
            average = tf.train.ExponentialMovingAverage(0.999, step)
            average.apply(tf.compat.v1.trainable_variables())

    document = describe_built(build)
    assert tensors(document["inputs"]) == ["x:0"]
    assert tensors(document["outputs"]) == ["probabilities:0"]


def _segmenter() -> Any:
    image = tf.compat.v1.placeholder(tf.float32, [None, 8, 6, 3], name="x")
    return tf.compat.v1.layers.conv2d(image, 2, 3, padding="same", name="logits")


def _labels() -> Any:
    return tf.compat.v1.placeholder(tf.float32, [None, 8, 6, 2], name="labels")


def dice() -> None:
    # One number an example; the loss sums the output alone, too.
    output, labels, axes = tf.sigmoid(_segmenter(), name="mask"), _labels(), (1, 2, 3)
    both = tf.reduce_sum(output * labels, axes)
    total = tf.reduce_sum(output, axes) + tf.reduce_sum(labels, axes)
    tf.compat.v1.train.AdamOptimizer().minimize(-tf.reduce_mean((2 * both + 1) / (total + 1)))


def squared_dice() -> None:
    output, labels, axes = tf.sigmoid(_segmenter(), name="mask"), _labels(), (1, 2, 3)
    both = tf.reduce_sum(output * labels, axes)
    total = tf.reduce_sum(output * output, axes) + tf.reduce_sum(labels * labels, axes)
    tf.compat.v1.train.AdamOptimizer().minimize(-tf.reduce_mean((2 * both + 1) / (total + 1)))


def normalised_again() -> None:
    output, labels = tf.nn.softmax(_segmenter(), name="mask"), _labels()
    output = tf.clip_by_value(output / tf.reduce_sum(output, -1, keepdims=True), 1e-7, 1 - 1e-7)
    loss = -tf.reduce_sum(labels * tf.math.log(output), -1)
    tf.compat.v1.train.AdamOptimizer().minimize(tf.reduce_mean(loss))


@pytest.mark.parametrize("network", [dice, squared_dice, normalised_again])
def test_loss_of_a_segmentation_is_no_output(network: Any) -> None:
    document = describe_built(network)
    assert tensors(document["inputs"]) == ["x:0"]
    assert tensors(document["outputs"]) == ["mask:0"]


def test_default_of_a_placeholder_is_no_input() -> None:
    # As with a queue's batch, which the author replaces by feeding the placeholder.
    def build() -> None:
        batch = tf.compat.v1.train.batch([tf.zeros([8, 6, 3])], 4)
        image = tf.compat.v1.placeholder_with_default(batch, [None, 8, 6, 3], name="x")
        tf.nn.softmax(tf.compat.v1.layers.conv2d(image, 4, 3), name="probabilities")

    document = describe_built(build)
    assert tensors(document["inputs"]) == ["x:0"]
    assert tensors(document["outputs"]) == ["probabilities:0"]


def test_what_is_printed_is_no_part_of_the_network() -> None:
    def build() -> None:
        logits = _segmenter()
        logits = tf.compat.v1.Print(logits, [tf.reduce_mean(logits)], "mean ", name="printed")
        tf.nn.softmax(logits, name="probabilities")

    document = describe_built(build)
    assert tensors(document["outputs"]) == ["probabilities:0"]
    nodes = {node["name"]: node for node in document["nodes"]}
    assert nodes["printed"]["op"] == "Identity"
    assert "Mean" not in {node["op"] for node in nodes.values()}
    assert document["rewrites"] == [
        {
            "node": "printed",
            "op": "Print",
            "becomes": "logits/BiasAdd:0",
            "why": "tf.Print hands it on",
        }
    ]


def test_signature_comes_before_what_is_found() -> None:
    def build() -> None:
        networks.by_hand()

    document = described(build, signature={"inputs": "Reshape:0", "outputs": "MaxPool:0"}).document
    assert tensors(document["inputs"]) == ["Reshape:0"]
    assert tensors(document["outputs"]) == ["MaxPool:0"]
