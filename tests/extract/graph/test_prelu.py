"""PReLU in every spelling is one layer, and the described slope computes what TensorFlow does."""

from __future__ import annotations

from typing import Any, Callable

import numpy
import pytest
import tensorflow as tf

from tests.extract.graph.graph_case import describe_built
from tests.extract.graph.values import described_values

v1 = tf.compat.v1
SIZES = (2, 7, 9, 6)


def images() -> Any:
    return v1.placeholder(tf.float32, [None, *SIZES[1:]], name="x")


def keras(shared_axes: Any) -> Callable[[Any, Any], Any]:
    return lambda x, alpha: tf.keras.layers.PReLU(shared_axes=shared_axes)(x)


FORMS = {
    "keras": keras([1, 2]),
    "half-of-x-less-its-size": lambda x, alpha: tf.nn.relu(x) + alpha() * (x - abs(x)) * 0.5,
    "relu-of-both-signs": lambda x, alpha: tf.nn.relu(x) - alpha() * tf.nn.relu(-x),
    "where-below": lambda x, alpha: v1.where(tf.less(x, 0.0), alpha() * x, x),
    "where-above": lambda x, alpha: v1.where(x >= 0, x, x * alpha()),
    "maximum-and-minimum": lambda x, alpha: tf.maximum(0.0, x) + alpha() * tf.minimum(0.0, x),
    "only-sizes": lambda x, alpha: 0.5 * (x + abs(x)) + 0.5 * alpha() * (x - abs(x)),
}


@pytest.mark.parametrize("form", FORMS)
def test_one_layer_of_each_form(form: str) -> None:
    document, values = described_values(
        lambda: FORMS[form](images(), lambda: v1.get_variable("alpha", [6])), SIZES
    )
    [layer] = document["layers"]
    assert (layer["kind"], layer["input"]) == ("prelu", "x:0")
    alpha = values[layer["variables"]["alpha"]]
    x = values["x:0"]
    expected = numpy.where(x > 0, x, alpha.reshape(6) * x)
    numpy.testing.assert_allclose(values[layer["output"]], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "build",
    [
        # Equal to PReLU only where the slope is below one.
        pytest.param(lambda x, a: tf.maximum(a * x, x), id="maximum-of-both"),
        pytest.param(lambda x, a: tf.nn.relu(x) + a * tf.nn.relu(-x), id="slope-negated"),
        pytest.param(lambda x, a: tf.nn.relu(x) - a * tf.nn.relu(x), id="one-sign-only"),
        pytest.param(lambda x, a: v1.where(x < 0, x, a * x), id="slope-above-zero"),
        pytest.param(lambda x, a: v1.where(x < 1, a * x, x), id="bend-elsewhere"),
    ],
)
def test_what_computes_something_else_is_none(build: Callable[[Any, Any], Any]) -> None:
    layers = describe_built(lambda: build(images(), v1.get_variable("a", [6])))["layers"]
    assert [layer["kind"] for layer in layers] == ["other"]


def scalar() -> Any:
    x = images()
    return tf.nn.relu(x) - v1.get_variable("a", []) * tf.nn.relu(-x)


@pytest.mark.parametrize(
    ("build", "word"),
    [
        pytest.param(lambda: keras(None)(images(), None), "from pixel to pixel", id="full-shape"),
        pytest.param(scalar, "a scalar", id="scalar"),
    ],
)
def test_slopes_that_torch_lacks_are_told(build: Callable[[], Any], word: str) -> None:
    [layer] = describe_built(build)["layers"]
    assert layer["kind"] == "other"
    assert word in layer["reason"]
