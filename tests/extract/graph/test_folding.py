"""Kernels that are computed from variables alone are variables of their own, computed once."""

from __future__ import annotations

import os
from typing import Any, Callable

import numpy
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from stage_extract.reader import VariableInfo
from tests.extract.graph.graph_case import describe_built, describe_meta, saved_variables

v1 = tf.compat.v1


def images() -> Any:
    return v1.placeholder(tf.float32, [2, 7, 9, 3], name="x")


def variable(name: str, *shape: int) -> Any:
    return v1.get_variable(name, shape)


def convolved(kernel: Any) -> Any:
    return tf.nn.conv2d(images(), kernel, strides=[1, 1, 1, 1], padding="SAME")


def weight_norm() -> Any:
    v, g = variable("v", 3, 3, 3, 4), variable("g", 4)
    return convolved(g * v / tf.sqrt(tf.reduce_sum(tf.square(v), [0, 1, 2])))


def standardised() -> Any:
    w = variable("w", 3, 3, 3, 4)
    mean, variance = tf.nn.moments(w, [0, 1, 2], keep_dims=True)
    return convolved((w - mean) / tf.sqrt(variance + 1e-5))


def equalised() -> Any:
    return convolved(variable("w", 3, 3, 3, 4) * 0.25)


def spectral() -> Any:
    """One step of the power iteration, whose result an assignment keeps."""
    w, u = variable("w", 3, 3, 3, 4), v1.get_variable("u", [1, 4], trainable=False)
    matrix = tf.reshape(w, [-1, 4])
    left = tf.nn.l2_normalize(tf.matmul(u, matrix, transpose_b=True))
    right = tf.nn.l2_normalize(tf.matmul(left, matrix))
    sigma = tf.matmul(tf.matmul(left, matrix), right, transpose_b=True)
    with tf.control_dependencies([u.assign(right)]):
        return convolved(tf.reshape(matrix / sigma, [3, 3, 3, 4]))


def padded_table() -> Any:
    rows = tf.concat([tf.zeros([1, 5]), variable("table", 8, 5)[1:]], 0)
    return tf.nn.embedding_lookup(rows, v1.placeholder(tf.int32, [2, 6], name="x"))


@pytest.mark.parametrize(
    ("build", "kind", "shape", "sources"),
    [
        pytest.param(weight_norm, "conv2d", [3, 3, 3, 4], ["g", "v"], id="weight-norm"),
        pytest.param(standardised, "conv2d", [3, 3, 3, 4], ["w"], id="standardised"),
        pytest.param(equalised, "conv2d", [3, 3, 3, 4], ["w"], id="equalised"),
        pytest.param(spectral, "conv2d", [3, 3, 3, 4], ["u", "w"], id="spectral"),
        pytest.param(padded_table, "embedding", [8, 5], ["table"], id="row-of-zeros"),
    ],
)
def test_a_computed_kernel_is_a_variable(
    build: Callable[[], Any], kind: str, shape: Any, sources: Any
) -> None:
    document = describe_built(build)
    [layer] = document["layers"]
    assert layer["kind"] == kind
    by_name = {one["name"]: one for one in document["variables"]}
    [(role, name)] = layer["variables"].items()
    assert by_name[name]["computed_from"] == sources
    assert (by_name[name]["shape"], by_name[name]["role"]) == (shape, role)
    assert sorted(by_name) == sorted([name, *sources])
    for source in sources:
        assert by_name[source]["layers"] == []
        assert by_name[source]["reason"] == f"folded into '{name}', which a layer reads"


def handed_on() -> Any:
    return convolved(tf.cast(tf.identity(variable("w", 3, 3, 3, 4)), tf.float32))


def random() -> Any:
    return convolved(variable("w", 3, 3, 3, 4) + v1.random_normal([3, 3, 3, 4]))


def of_the_input() -> Any:
    return convolved(variable("w", 3, 3, 3, 4) * v1.placeholder(tf.float32, [], name="scale"))


def cut() -> Any:
    """What recurrent cells do with their kernels."""
    first, _ = tf.split(variable("w", 6, 8), 2, 1)
    return tf.matmul(v1.placeholder(tf.float32, [2, 6], name="x"), first)


@pytest.mark.parametrize("build", [handed_on, random, of_the_input, cut])
def test_anything_else_stays_as_it_is(build: Callable[[], Any]) -> None:
    variables = describe_built(build)["variables"]
    assert [one["name"] for one in variables] == ["w"]
    assert not any("computed_from" in one for one in variables)


def test_the_name_is_free() -> None:
    # The checkpoint has a variable that is called as the op that computes the kernel.
    taken = VariableInfo("half", "float32", (4,))
    with tf.Graph().as_default():
        convolved(tf.multiply(variable("w", 3, 3, 3, 4), 0.5, name="half"))
        meta = v1.train.Saver().export_meta_graph().SerializeToString()
        document = describe_meta(meta, [*saved_variables(), taken]).to_json()
    names = [one["name"] for one in document["variables"]]
    assert names == ["half", "half/folded", "w"]
    assert document["layers"][0]["variables"] == {"kernel": "half/folded"}


@pytest.fixture
def saved(tmp_path: Any) -> Any:
    """A checkpoint of `spectral`, its kernel's and vector's values, and TensorFlow's answer."""
    random_values = numpy.random.RandomState(6)
    with tf.Graph().as_default(), v1.Session() as session:
        answer = spectral()
        values = {
            one.op.name: random_values.normal(size=one.shape).astype("float32")
            for one in v1.global_variables()
        }
        for one in v1.global_variables():
            one.load(values[one.op.name], session)
        (tmp_path / "ckpt").mkdir()
        v1.train.Saver().save(session, str(tmp_path / "ckpt" / "model.ckpt"))
        kernel = session.run(answer.op.inputs[1])
    return str(tmp_path / "ckpt"), values, kernel


def test_the_export_holds_what_tensorflow_computes(
    saved: Any, out: str, run_extraction: Any
) -> None:
    folder, values, kernel = saved
    run_extraction(folder, out, reference=True)
    exported = load_file(os.path.join(out, "variables.safetensors"))
    assert set(exported) == {*values, "Reshape_1"}
    for name, value in values.items():
        numpy.testing.assert_array_equal(exported[name], value)
    numpy.testing.assert_allclose(exported["Reshape_1"], kernel, rtol=1e-5)
    # The matrix's largest singular value is not one before.
    assert abs(kernel - values["w"]).max() > 0.1 * abs(values["w"]).max()


def test_two_exports_have_equal_bytes(saved: Any, tmp_path: Any, run_extraction: Any) -> None:
    contents = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        run_extraction(saved[0], str(tmp_path / name))
        contents.append((tmp_path / name / "variables.safetensors").read_bytes())
    assert contents[0] == contents[1]
