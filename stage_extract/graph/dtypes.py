"""Element types of tensors, from the attributes of the node that computes them."""

from __future__ import annotations

from typing import Optional

from stage_extract.graph.graphdef import Node

# Attributes that list the types of all outputs, and those that give the type of each.
_LISTS = ("component_types", "output_types", "Tdense", "Tout", "dtypes")
_SINGLE = (
    "dtype", "DstT", "out_type", "output_type", "value_dtype", "T", "Tparams", "Tvalues", "Tout"
)  # fmt: skip
_BOOLEAN_OPS = frozenset(
    ("Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual", "LogicalNot",
     "LogicalAnd", "LogicalOr", "InTopK", "InTopKV2", "IsFinite", "IsInf", "IsNan", "All", "Any")
)  # fmt: skip
# Their T is the type of what they make a text of.
_TEXT_OPS = frozenset(("AsString", "EncodePng", "SerializeTensor"))


def output_dtype(node: Node, output: int) -> Optional[str]:
    """Give numpy's name of the type of one output, None if the node does not say it."""
    if node.op in _BOOLEAN_OPS:
        return "bool"
    if node.op in _TEXT_OPS:
        return "string"
    for key in _LISTS:
        types = node.attribute(key)
        if isinstance(types, list) and output < len(types):
            return str(types[output])
    for key in _SINGLE:
        name = node.attribute(key)
        if isinstance(name, str):
            return name
    return None
