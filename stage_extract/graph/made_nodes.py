"""Nodes that are in no file."""

from __future__ import annotations

from typing import Any, Sequence, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.messages import NodeDef

# TensorShapeProtos, one for each output.
Shapes = Sequence[Any]


def made(op: str, name: str, inputs: Tuple[str, ...], **attributes: Any) -> Node:
    """Make a node.

    Args:
        attributes: TensorFlow's own, `T` as the number of a type; and `shapes`, of its outputs.
    """
    proto: Any = NodeDef()
    proto.name, proto.op = name, op
    for shape in attributes.pop("shapes", ()):
        proto.attr["_output_shapes"].list.shape.add().CopyFrom(shape)
    for key, value in attributes.items():
        if key == "T":
            proto.attr[key].type = value
        elif isinstance(value, bool):
            proto.attr[key].b = value
        elif isinstance(value, int):
            proto.attr[key].i = value
        else:
            proto.attr[key].s = value.encode()
    return Node(name, op, inputs, (), proto)


def output_shapes(node: Node) -> Shapes:
    """Give the static shapes of a node's outputs as protocol buffers; none where it has none."""
    for key in ("_output_shapes", "output_shapes"):
        if key in node.proto.attr and len(node.proto.attr[key].list.shape):
            return list(node.proto.attr[key].list.shape)
    return []
