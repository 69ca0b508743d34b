"""The reference run never reads or writes what lies outside the graph."""

from __future__ import annotations

import sys

import numpy
import pytest
import tensorflow
from tensorflow.python.framework import function

compat = tensorflow.compat.v1


def reading(path):
    return lambda data: (
        data
        + compat.cast(compat.size(compat.decode_raw(compat.read_file(path), "uint8")), "float32")
    )


def writing(path):
    def build(data):
        # Its own result is used, so that no walk over the data can leave it out.
        with compat.control_dependencies([compat.write_file(path, "written")]):
            return data + compat.constant(1.0)

    return build


def listing(path):
    return lambda data: (
        data + compat.cast(compat.size(tensorflow.raw_ops.MatchingFiles(pattern=path)), "float32")
    )


def restoring(path):
    return lambda data: (
        data
        + tensorflow.raw_ops.RestoreV2(
            prefix=path, tensor_names=["other"], shape_and_slices=[""], dtypes=["float32"]
        )[0]
    )


def printing(path):
    @function.Defun("float32", func_name="printing")
    def printed(data):
        with compat.control_dependencies([compat.print("x", output_stream=f"file://{path}")]):
            return data + compat.constant(1.0)

    return printed


def in_a_function(path):
    @function.Defun("float32", func_name="writing")
    def written(data):
        return writing(path)(data)

    return written


@pytest.mark.parametrize(
    ("effect", "op"),
    [
        pytest.param(reading, "ReadFile", id="read"),
        pytest.param(writing, "WriteFile", id="write"),
        pytest.param(listing, "MatchingFiles", id="list"),
        pytest.param(restoring, "RestoreV2", id="other-checkpoint"),
        pytest.param(in_a_function, "WriteFile", id="inside-a-function"),
    ],
)
def test_what_reaches_outside_is_not_run(save_graph, run_reference, tmp_path, effect, op):
    path = tmp_path / "outside.txt"
    path.write_text("before")

    def build():
        data = compat.placeholder("float32", [2, 3], name="x")
        scale = compat.get_variable("scale", [3], initializer=compat.ones_initializer())
        compat.identity(effect(str(path))(compat.multiply(data, scale)), name="out")

    result, tensors = run_reference(save_graph(build), ["x:0"], ["out:0"])
    assert (result.state, tensors) == ("absent", None)
    assert f"(op {op}) may read or write outside the graph" in result.reason
    assert path.read_text() == "before"


def test_a_print_inside_a_function_is_left_out(save_graph, run_reference, tmp_path):
    path = tmp_path / "outside.txt"
    path.write_text("before")

    def build():
        data = compat.placeholder("float32", [2, 3], name="x")
        scale = compat.get_variable("scale", [3], initializer=compat.ones_initializer())
        compat.identity(printing(str(path))(compat.multiply(data, scale)), name="out")

    result, tensors = run_reference(save_graph(build), ["x:0"], ["out:0"])
    assert (result.state, result.reason) == ("recorded", None)
    [warning] = result.warnings
    assert "could not be compared with the graph as it was saved" in warning
    assert "(op PrintV2) may read or write outside the graph" in warning
    assert path.read_text() == "before"
    numpy.testing.assert_allclose(tensors["out:0"], tensors["x:0"] + 1.0, rtol=1e-6)


def test_ops_with_a_state_of_their_own_are_run(save_graph, run_reference):
    def build():
        data = compat.placeholder("float32", [2, 3], name="x")
        scale = compat.get_variable("scale", [3], use_resource=True)
        checked = compat.check_numerics(compat.Print(data * scale, [data]), "finite")
        printed = compat.print("x", output_stream=sys.stderr)
        with compat.control_dependencies([printed]):
            one = compat.constant(1.0)
        steps = compat.while_loop(
            lambda step, total: step < 2, lambda step, total: (step + 1, total + one), (0, checked)
        )
        compat.identity(steps[1], name="out")

    saved = save_graph(build)
    result, tensors = run_reference(saved, ["x:0"], ["out:0"])
    assert result.state == "recorded"
    expected = tensors["x:0"] * saved.values["scale"] + 2.0
    numpy.testing.assert_allclose(tensors["out:0"], expected, rtol=1e-6)
