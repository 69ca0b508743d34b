"""Dropout of every form is gone from the inference graph, and the rewrites say so."""

from __future__ import annotations

from typing import Any, Callable, List, Mapping, Optional

import pytest
import tensorflow as tf

from tests.extract.graph.graph_case import describe_built, kinds

v1 = tf.compat.v1
layers = v1.layers


def rows() -> Any:
    return v1.placeholder(tf.float32, [None, 9], name="x")


def then_dense(dropped: Any) -> None:
    layers.dense(dropped, 4, name="last")


def new_form() -> None:
    then_dense(tf.nn.dropout(rows(), rate=0.25))


def old_form() -> None:
    data, keep = rows(), tf.constant(0.75)
    noise = keep + v1.random_uniform(tf.shape(data))
    then_dense(tf.multiply(tf.realdiv(data, keep), tf.floor(noise), name="dropout/mul"))


def form_of_1_13() -> None:
    data, rate = rows(), tf.constant(0.25)
    noise = (1 - rate) + v1.random_uniform(tf.shape(data))
    then_dense(tf.multiply(tf.realdiv(data, 1 - rate), tf.floor(noise)))


def fed_keep() -> None:
    then_dense(tf.nn.dropout(rows(), v1.placeholder(tf.float32, name="keep_prob")))


def under_condition() -> None:
    then_dense(layers.dropout(rows(), 0.4, training=v1.placeholder(tf.bool, name="training")))


def keras_layer() -> None:
    then_dense(tf.keras.layers.Dropout(0.4)(rows(), training=tf.keras.backend.learning_phase()))


def unscaled() -> None:
    # Without the division by keep, dropping nothing would be another function.
    data = rows()
    then_dense(data * tf.floor(0.75 + v1.random_uniform(tf.shape(data))))


def dropouts(document: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    return [one for one in document["rewrites"] if "rate" in one]


@pytest.mark.parametrize(
    ("build", "rate", "words"),
    [
        pytest.param(new_form, 0.25, "hard-coded", id="rate"),
        pytest.param(old_form, 0.25, "hard-coded", id="floor-of-keep-plus-noise"),
        pytest.param(form_of_1_13, 0.25, "hard-coded", id="1.13"),
        pytest.param(fed_keep, None, "keeps everything", id="keep-placeholder"),
        pytest.param(under_condition, 0.4, "training:0 is False", id="tf.cond"),
        pytest.param(keras_layer, 0.4, "keras_learning_phase:0 is False", id="keras"),
    ],
)
def test_dropout_is_replaced_by_its_input(
    build: Callable[[], None], rate: Optional[float], words: str
) -> None:
    document = describe_built(build)
    assert [one["rate"] for one in dropouts(document)] == [rate]
    assert words in dropouts(document)[0]["why"]
    assert kinds(document) == ["dense"]
    assert document["layers"][0]["input"] == "x:0"
    ops = {node["op"] for node in document["nodes"]}
    assert not ops & {"RandomUniform", "Floor", "GreaterEqual", "Switch", "Merge"}


def test_identity_stands_where_the_dropout_was() -> None:
    document = describe_built(old_form)
    nodes = {node["name"]: node for node in document["nodes"]}
    assert nodes["dropout/mul"] == {
        "name": "dropout/mul",
        "op": "Identity",
        "inputs": ["x:0"],
        "attributes": {"T": "float32"},
        "shapes": [[None, 9]],
    }


def test_mask_without_scaling_stays() -> None:
    document = describe_built(unscaled)
    assert document["rewrites"] == []
    assert "RandomUniform" in {node["op"] for node in document["nodes"]}
