"""The nodes of the inference graph, from the inputs to the outputs, as plain data."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Optional, Sequence

import numpy

from stage_extract.graph.attributes import (
    json_number,
    plain_value,
    shape_value,
    shortest_float,
    text,
)
from stage_extract.graph.entries import LazyEntries
from stage_extract.graph.graphdef import Graph, Node, node_name
from stage_extract.graph.shapes import StaticShapes
from stage_extract.graph.traverse import forward_order
from stage_extract.graph.variables import VariableTable

# Larger constants are data; they stay out of the JSON, and the node says so.
MAX_JSON_ELEMENTS = 1024
# What TensorFlow writes for itself: colocation, recorded shapes.
_PRIVATE_PREFIX = "_"


def inference_nodes(graph: Graph, inputs: Iterable[str], outputs: Iterable[str]) -> List[Node]:
    """Give the nodes that the outputs need, each after its inputs; fed nodes without theirs."""
    fed = {node_name(tensor) for tensor in inputs}
    order = forward_order(graph, outputs, lambda node: node.name in fed)
    return [node.rewired(node.op, ()) if node.name in fed else node for node in order]


def nodes_to_json(nodes: Sequence[Node], table: VariableTable, shapes: StaticShapes) -> LazyEntries:
    """Give nodes as the contract's `nodes`."""
    return LazyEntries(nodes, lambda _, node: _node_to_json(node.copied(), table, shapes))


def _node_to_json(node: Node, table: VariableTable, shapes: StaticShapes) -> Dict[str, Any]:
    entry: Dict[str, Any] = {
        "name": node.name,
        "op": node.op,
        "inputs": list(node.inputs),
        "attributes": _attributes(node),
        "shapes": _shapes(node, shapes),
    }
    variable = table.name_of(node.name)
    if variable is not None:
        entry["variable"] = variable
    return entry


def _attributes(node: Node) -> Dict[str, Any]:
    if node.op != node.proto.op:
        # An Identity that stands for another op keeps only the type of what it hands on.
        kept = node.attribute("T")
        return {} if kept is None else {"T": kept}
    found = {
        key: json_value(plain_value(node.proto.attr[key]))
        for key in sorted(node.proto.attr)
        if not key.startswith(_PRIVATE_PREFIX) and key != "value"
    }
    if node.op == "Const":
        found.update(_constant(node))
    return found


def _constant(node: Node) -> Dict[str, Any]:
    tensor = node.proto.attr["value"].tensor
    value = node.constant()
    if value is None or value.size > MAX_JSON_ELEMENTS:
        sizes = shape_value(tensor.tensor_shape)
        return {"value": None, "value_reason": f"a constant of shape {list(sizes or ())}"}
    if value.dtype == object:
        return {"value": _nested(value, text)}
    if numpy.issubdtype(value.dtype, numpy.complexfloating):
        return {"value": None, "value_reason": "a complex constant"}
    if value.dtype == numpy.float32:
        return {"value": _nested(value, lambda one: json_number(shortest_float(one)))}
    return {"value": _nested(value, json_number)}


def _nested(value: Any, convert: Any) -> Any:
    if value.dtype.kind == "V" or str(value.dtype) == "bfloat16":
        value = value.astype(numpy.float32)
    flat = [convert(one) for one in value.reshape(-1).tolist()]
    for size in reversed(value.shape[1:]):
        count = len(flat) // size if size else 0
        flat = [flat[index * size : (index + 1) * size] for index in range(count)]
    return flat if value.shape else flat[0]


def json_value(value: Any) -> Any:
    """Give a plain attribute as JSON can hold it."""
    if isinstance(value, list):
        return [json_value(one) for one in value]
    return json_number(value)


def _shapes(node: Node, shapes: StaticShapes) -> Optional[List[Any]]:
    count = 1
    if node.op == node.proto.op and node.has_shapes():
        count = len(node.proto.attr["_output_shapes"].list.shape)
    found = [shapes.of_output(node, index) for index in range(count)]
    if not any(shape is not None for shape in found):
        return None
    return [None if shape is None else list(shape) for shape in found]
