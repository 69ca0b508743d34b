"""The size of an image along one axis, carried through a network without running it."""

from __future__ import annotations

import pytest
import tensorflow

from stage_extract.graph.graphdef import parse_graph
from stage_extract.graph.traverse import forward_order
from stage_extract.reference.graph_facts import GraphFacts
from stage_extract.reference.spatial import SpatialNetwork, Verdict

compat = tensorflow.compat.v1
HEIGHT, WIDTH = 0, 1


def network(build, axis):
    """Carry sizes through what `build` makes of an image of unknown size and 3 channels."""
    with compat.Graph().as_default() as graph:
        x = compat.placeholder("float32", [None, None, None, 3], name="x")
        compat.identity(build(x), name="out")
    nodes = parse_graph(graph.as_graph_def(add_shapes=True))
    return SpatialNetwork(GraphFacts(nodes, {}), forward_order(nodes, ["out:0"]), ["x:0"], axis)


def conv(x, height, width, stride=1, padding="SAME", **kwargs):
    weights = compat.zeros([height, width, int(x.shape[-1]), 3])
    return compat.nn.conv2d(x, weights, strides=stride, padding=padding, **kwargs)


def pooled_and_grown(x):
    small = compat.nn.max_pool2d(x, 2, 2, "VALID")
    weights = compat.zeros([2, 2, 3, 3])
    shape = compat.stack([compat.shape(x)[0], 8, 8, 3])
    grown = compat.nn.conv2d_transpose(small, weights, shape, strides=2)
    return compat.concat([x, grown], 3)


@pytest.mark.parametrize(
    ("build", "axis", "size", "verdict"),
    [
        pytest.param(lambda x: conv(x, 5, 3), HEIGHT, 7, Verdict(True, 0, 7), id="same"),
        pytest.param(
            lambda x: conv(x, 5, 3, padding="VALID"), HEIGHT, 7, Verdict(True, 0, 3), id="valid"
        ),
        pytest.param(
            lambda x: conv(x, 5, 3, padding="VALID"), WIDTH, 7, Verdict(True, 0, 5), id="width"
        ),
        pytest.param(
            lambda x: conv(x, 5, 3, padding="VALID"), HEIGHT, 4, Verdict(False, 0, 0), id="small"
        ),
        pytest.param(
            lambda x: conv(x, 3, 3, padding="VALID", dilations=3),
            HEIGHT,
            10,
            Verdict(True, 0, 4),
            id="dilated",
        ),
        pytest.param(lambda x: conv(x, 3, 3, 2), HEIGHT, 8, Verdict(True, 0, 4), id="stride"),
        pytest.param(lambda x: conv(x, 3, 3, 2), HEIGHT, 9, Verdict(True, 1, 5), id="uneven"),
        pytest.param(
            lambda x: conv(compat.pad(x, [[0, 0], [2, 3], [1, 0], [0, 0]]), 5, 3, padding="VALID"),
            HEIGHT,
            4,
            Verdict(True, 0, 4),
            id="padded-height",
        ),
        pytest.param(
            lambda x: conv(compat.pad(x, [[0, 0], [2, 3], [1, 0], [0, 0]]), 5, 3, padding="VALID"),
            WIDTH,
            4,
            Verdict(True, 0, 3),
            id="padded-width",
        ),
        pytest.param(pooled_and_grown, HEIGHT, 8, Verdict(True, 0, 4), id="skip-joined"),
        # 9 -> 4 -> 8: the joined sizes differ.
        pytest.param(pooled_and_grown, HEIGHT, 9, Verdict(False, 1, 0), id="skip-not-joined"),
        pytest.param(
            lambda x: compat.nn.space_to_depth(x, 4), HEIGHT, 12, Verdict(True, 0, 3), id="blocks"
        ),
        pytest.param(
            lambda x: compat.nn.space_to_depth(x, 4), HEIGHT, 10, Verdict(False, 0, 0), id="rest"
        ),
        pytest.param(
            lambda x: compat.reshape(x, [-1, 75]), HEIGHT, 5, Verdict(True, 0, 5), id="flat"
        ),
        pytest.param(
            lambda x: compat.reshape(x, [-1, 75]), HEIGHT, 6, Verdict(False, 0, 0), id="not-flat"
        ),
    ],
)
def test_verdict(build, axis, size, verdict):
    assert network(build, axis).judge(size) == verdict


@pytest.mark.parametrize(
    ("build", "sizes"),
    [
        pytest.param(lambda x: conv(x, 3, 3), [16, 17, 18], id="any"),
        pytest.param(lambda x: conv(conv(x, 3, 3, 2), 3, 3, 2), [16, 20, 24], id="multiples"),
        pytest.param(lambda x: conv(x, 3, 3, 16), [32, 48, 64], id="two-pixels-inside"),
        pytest.param(lambda x: conv(x, 41, 41, padding="VALID"), [42, 43, 44], id="large-window"),
        # One row a pixel: that is no flattening, and says nothing of the size.
        pytest.param(
            lambda x: compat.reshape(conv(x, 9, 9, 9), [-1, 3]), [18, 27, 36], id="pixels"
        ),
        # The only size that keeps the batch, smaller than what is preferred.
        pytest.param(lambda x: compat.reshape(x, [-1, 75]), [5], id="one"),
    ],
)
def test_good_sizes(build, sizes):
    assert network(build, HEIGHT).good_sizes(3) == sizes
