"""Nodes inside while loops are told from those outside."""

from __future__ import annotations

import numpy
import tensorflow

from stage_extract.graph.graphdef import parse_graph
from stage_extract.graph.loops import loop_frames

compat = tensorflow.compat.v1


def test_nested_loops():
    with compat.Graph().as_default() as graph:
        start = compat.constant(1.0, name="start")

        def inner(value):
            return compat.while_loop(
                lambda x: x < 8.0, lambda x: compat.add(x, x, name="double"), [value], name="inner"
            )

        outer = compat.while_loop(
            lambda x: x < 50.0,
            lambda x: compat.add(inner(x), 3.0, name="more"),
            [start],
            name="outer",
        )
        compat.negative(outer, name="after")
    frames = loop_frames(parse_graph(graph.as_graph_def()))
    assert frames["outer/inner/double"] == "outer/inner/while_context"
    assert frames["outer/inner/Merge"] == "outer/inner/while_context"
    # What leaves the inner loop is still inside the outer one.
    assert frames["outer/inner/Exit"] == "outer/while_context"
    assert frames["outer/more"] == "outer/while_context"
    assert not {"start", "outer/Exit", "after"} & set(frames)


def test_a_constant_that_only_an_assertion_ties_to_a_loop_stays_in_it(save_graph, run_reference):
    def build():
        x = compat.placeholder("float32", [None, 5], name="x")
        weight = compat.get_variable("weight", [5])

        def step(count, value):
            with tensorflow.control_dependencies([compat.assert_less(count, 9)]):
                return count + 1, compat.expand_dims(value, 1)[:, 0] * weight

        _, made = compat.while_loop(lambda count, _: count < 2, step, [0, x], name="loop")
        compat.identity(made, name="out")

    saved = save_graph(build)
    result, tensors = run_reference(saved, ["x:0"], ["out:0"])
    assert (result.state, result.reason) == ("recorded", None)
    expected = tensors["x:0"] * saved.values["weight"] ** 2
    numpy.testing.assert_allclose(tensors["out:0"], expected, rtol=1e-5)


def test_a_training_flag_in_a_variable_is_off_whatever_the_checkpoint_says(
    save_graph, run_reference
):
    def build():
        x = compat.placeholder("float32", [None, 5], name="x")
        flag = compat.get_variable("is_training", initializer=True, trainable=False)
        weight = compat.get_variable("weight", [5])
        compat.identity(tensorflow.cond(flag, lambda: x, lambda: x * weight), name="out")

    saved = save_graph(build)
    switches = {"is_training:0": False}
    result, tensors = run_reference(saved, ["x:0"], ["out:0"], switches=switches)
    assert (result.state, result.reason) == ("recorded", None)
    expected = tensors["x:0"] * saved.values["weight"]
    numpy.testing.assert_allclose(tensors["out:0"], expected, rtol=1e-5)
