"""tf.cond of TensorFlow 1 is resolved to the branch that inference takes."""

from __future__ import annotations

from typing import Any, Callable, List

import pytest
import tensorflow as tf

from tests.extract.graph.graph_case import describe_built

v1 = tf.compat.v1
layers = v1.layers


def rows() -> Any:
    return v1.placeholder(tf.float32, [None, 9], name="x")


def training() -> Any:
    return v1.placeholder(tf.bool, name="is_training")


def one_condition() -> None:
    data = layers.dense(rows(), 4, name="d")
    tf.cond(training(), lambda: tf.nn.relu(data), lambda: tf.tanh(data), name="choice")


def nested() -> None:
    data, is_training = layers.dense(rows(), 4, name="d"), training()
    tf.cond(
        is_training,
        lambda: tf.nn.relu(data),
        lambda: tf.cond(is_training, lambda: tf.sigmoid(data), lambda: tf.tanh(data)),
        name="choice",
    )


def predicate_behind_condition() -> None:
    # The second predicate is known only when the first condition is resolved.
    data, is_training = layers.dense(rows(), 4, name="d"), training()
    second = tf.cond(is_training, lambda: tf.constant(True), lambda: tf.constant(False))
    tf.cond(second, lambda: tf.nn.relu(data), lambda: tf.tanh(data), name="choice")


def expression() -> None:
    data, step = layers.dense(rows(), 4, name="d"), tf.constant(3)
    off = tf.logical_and(training(), tf.greater(step, 1))
    tf.cond(off, lambda: tf.nn.relu(data), lambda: tf.tanh(data), name="choice")


def constant_branch() -> None:
    # A constant has no data edge to its branch, only a control edge.
    data = layers.dense(rows(), 4, name="d")
    scale = tf.cond(training(), lambda: tf.constant(0.5), lambda: tf.constant(2.0), name="choice")
    tf.tanh(data * scale)


@pytest.mark.parametrize(
    ("build", "absent"),
    [
        pytest.param(one_condition, ["Relu"], id="one"),
        pytest.param(nested, ["Relu", "Sigmoid"], id="nested"),
        pytest.param(predicate_behind_condition, ["Relu"], id="predicate-behind-a-condition"),
        pytest.param(expression, ["Relu"], id="expression"),
        pytest.param(constant_branch, [], id="constants"),
    ],
)
def test_branch_of_inference_is_taken(build: Callable[[], None], absent: List[str]) -> None:
    document = describe_built(build)
    ops = [node["op"] for node in document["nodes"]]
    assert "Tanh" in ops
    assert not set(ops) & {"Switch", "Merge", *absent}


def test_rewrite_names_what_decided() -> None:
    document = describe_built(one_condition)
    merge = next(one for one in document["rewrites"] if one["op"] == "Merge")
    assert merge == {
        "node": "choice/Merge",
        "op": "Merge",
        "becomes": "choice/Tanh:0",
        "why": "is_training:0 is False",
    }


def test_constant_of_the_taken_branch_reaches_its_reader() -> None:
    document = describe_built(constant_branch)
    nodes = {node["name"]: node for node in document["nodes"]}
    source = nodes["choice/Merge"]["inputs"][0].partition(":")[0]
    assert nodes[source]["attributes"]["value"] == 2.0


def test_condition_on_data_stays() -> None:
    def build() -> None:
        data = layers.dense(rows(), 4, name="d")
        positive = tf.reduce_sum(data) > 0
        tf.cond(positive, lambda: tf.nn.relu(data), lambda: tf.tanh(data), name="choice")

    document = describe_built(build)
    assert {"Switch", "Merge", "Relu", "Tanh"} <= {node["op"] for node in document["nodes"]}
    assert [one["tensor"] for one in document["outputs"]] == ["choice/Merge:0"]


def test_loop_is_left_alone() -> None:
    def build() -> None:
        data = layers.dense(rows(), 4, name="d")
        tf.while_loop(lambda i, _: i < 3, lambda i, v: (i + 1, tf.tanh(v)), [0, data])

    ops = {node["op"] for node in describe_built(build, outputs=("while/Exit_1",))["nodes"]}
    assert {"Enter", "Merge", "Switch", "NextIteration", "Exit", "LoopCond"} <= ops
