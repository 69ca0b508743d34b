"""Attributes of another type than their names have: as good as absent, and no reason to stop."""

from __future__ import annotations

import pytest

from stage_extract.graph.graphdef import parse_graph
from stage_extract.messages import GraphDef


def node_with(**attributes):
    """A node with attributes that a function each has filled."""
    graph_def = GraphDef()
    node = graph_def.node.add()
    node.name, node.op = "a", "Conv2D"
    for name, fill in attributes.items():
        fill(node.attr[name])
    found = parse_graph(graph_def).get("a")
    assert found is not None
    return found


def number(value):
    return lambda attribute: setattr(attribute, "i", value)


def flag(value):
    return lambda attribute: setattr(attribute, "b", value)


def text(value):
    return lambda attribute: setattr(attribute, "s", value)


def element(value):
    return lambda attribute: setattr(attribute, "type", value)


def listed(kind, *values):
    return lambda attribute: getattr(attribute.list, kind).extend(values)


@pytest.mark.parametrize(
    ("name", "fill", "expected"),
    [
        pytest.param("strides", listed("i", 1, 2), [1, 2], id="list-of-numbers"),
        pytest.param("strides", number(2), None, id="number-for-a-list"),
        pytest.param("strides", listed("s", b"2"), None, id="list-of-texts"),
        pytest.param("padding", text(b"SAME"), "SAME", id="text"),
        pytest.param("padding", number(1), None, id="number-for-a-text"),
        pytest.param("axis", number(-1), -1, id="number"),
        pytest.param("axis", text(b"-1"), None, id="text-for-a-number"),
        pytest.param("keep_dims", flag(True), True, id="flag"),
        pytest.param("keep_dims", listed("b", True), None, id="list-for-a-flag"),
        pytest.param("T", element(1), "float32", id="type"),
        pytest.param("T", listed("type", 1, 3), ["float32", "int32"], id="types"),
        pytest.param("T", listed("i", 1, 3), None, id="numbers-for-types"),
        pytest.param("of_a_custom_op", number(5), 5, id="a-name-that-is-not-read"),
    ],
)
def test_only_the_type_that_a_name_has_is_taken(name, fill, expected):
    assert node_with(**{name: fill}).attribute(name) == expected


def test_an_operand_that_is_not_there_has_no_name():
    node = node_with()
    assert [node.operand(index) for index in (-1, 0, 3)] == ["", "", ""]
