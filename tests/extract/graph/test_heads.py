"""Attention's projections, written with kernels of three axes, are dense layers with these axes."""

from __future__ import annotations

from typing import Any, Callable

import numpy
import pytest
import tensorflow as tf

from tests.extract.graph.graph_case import describe_built
from tests.extract.graph.values import described_values

v1 = tf.compat.v1
STEPS = (2, 5, 12)


def steps() -> Any:
    return v1.placeholder(tf.float32, [None, *STEPS[1:]], name="x")


def split(x: Any) -> Any:
    return tf.reshape(x, [-1, 5, 3, 4])


def variable(name: str, *shape: int) -> Any:
    return v1.get_variable(name, shape)


def in_with_bias(x: Any) -> Any:
    return tf.einsum("abc,cde->abde", x, variable("k", 12, 2, 7)) + variable("b", 2, 7)


def out_with_bias(x: Any) -> Any:
    return tf.einsum("abde,dec->abc", split(x), variable("k", 3, 4, 7)) + variable("b", 7)


def tensordot_in(x: Any) -> Any:
    return tf.tensordot(x, variable("k", 12, 2, 7), [[2], [0]]) + variable("b", 2, 7)


def tensordot_out(x: Any) -> Any:
    return tf.tensordot(split(x), variable("k", 3, 4, 7), [[2, 3], [0, 1]]) + variable("b", 7)


@pytest.mark.parametrize(
    ("build", "axes", "bias", "formula"),
    [
        pytest.param(in_with_bias, "INK", "NK", "btI,INK->btNK", id="einsum-in"),
        pytest.param(out_with_bias, "NKO", "C", "btNK,NKO->btO", id="einsum-out"),
        pytest.param(tensordot_in, "INK", "NK", "btI,INK->btNK", id="tensordot-in"),
        pytest.param(tensordot_out, "NKO", "C", "btNK,NKO->btO", id="tensordot-out"),
        pytest.param(
            lambda x: tf.einsum("bsd,hdk->bshk", x, variable("k", 2, 12, 7)),
            "NIK",
            None,
            "btI,NIK->btNK",
            id="heads-first",
        ),
        pytest.param(
            lambda x: tf.einsum("btd,dv->btv", x, variable("k", 12, 7)) + variable("b", 7),
            "IO",
            "C",
            "btI,IO->btO",
            id="einsum-of-a-matrix",
        ),
        pytest.param(
            lambda x: v1.layers.dense(x, 7), "IO", "C", "btI,IO->btO", id="layer-on-three-axes"
        ),
    ],
)
def test_projection_is_one_dense_layer(
    build: Callable[[Any], Any], axes: str, bias: Any, formula: str
) -> None:
    document, values = described_values(lambda: build(steps()), STEPS)
    [layer] = document["layers"]
    by_name = {one["name"]: one for one in document["variables"]}
    kernel = layer["variables"]["kernel"]
    assert layer["kind"] == "dense"
    assert by_name[kernel]["source_axes"] == axes
    expected = numpy.einsum(formula, values[layer["input"]], values[kernel])
    if bias is not None:
        assert by_name[layer["variables"]["bias"]]["source_axes"] == bias
        expected = expected + values[layer["variables"]["bias"]]
    actual = values[layer["output"]]
    assert actual.shape == expected.shape
    numpy.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)


def test_joining_heads_is_no_flatten_of_an_image() -> None:
    # BERT: the context [batch, steps, heads, units] goes to a dense layer as rows.
    def build() -> None:
        rows = tf.reshape(split(steps()), [-1, 12])
        v1.layers.dense(rows, 7)

    [layer] = describe_built(build)["layers"]
    assert layer["attributes"]["flatten"] is None


def test_a_matrix_that_cuts_axes_in_two_is_no_layer() -> None:
    def build() -> None:
        matrix = tf.reshape(variable("k", 6, 10, 2), [12, 10])
        tf.matmul(tf.reshape(steps(), [-1, 12]), matrix)

    [layer] = describe_built(build)["layers"]
    assert layer["kind"] == "other"
    assert "rearranged" in layer["reason"]
