"""Nodes inside while loops are told from those outside."""

from __future__ import annotations

import tensorflow

from stage_extract.graph.graphdef import parse_graph
from stage_extract.reference.loops import loop_frames

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
