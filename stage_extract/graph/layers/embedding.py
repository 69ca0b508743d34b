"""Tables of vectors that integers index."""

from __future__ import annotations

from typing import List, Union

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward, Layer, NoMatch

_GATHER_OPS = frozenset(("Gather", "GatherV2", "ResourceGather"))
STITCH_OPS = frozenset(("DynamicStitch", "ParallelDynamicStitch"))
_MODULO_OPS = frozenset(("FloorMod", "Mod"))


def match_embedding(forward: Forward, node: Node) -> Union[Layer, NoMatch]:
    """Match a lookup of rows of a table [vocabulary, dimension]."""
    table = forward.plain_variable(node.inputs[0])
    if table.variable is None:
        return NoMatch(table.reason or "")
    shape = forward.table.info[table.variable].shape
    if len(shape) != 2:
        return NoMatch(f"its table has {len(shape)} axes instead of 2")
    if len(node.inputs) > 2 and forward.evaluator.scalar(node.inputs[2]) != 0:
        return NoMatch("it takes other slices than rows")
    return _layer(forward, [node], node, table.variable)


def match_partitioned_embedding(forward: Forward, node: Node) -> Union[Layer, NoMatch]:
    """Match tf.nn.embedding_lookup on a partitioned variable: lookups in each part, stitched."""
    half = len(node.inputs) // 2
    lookups: List[Node] = []
    for tensor in node.inputs[half:]:
        lookup = forward.graph.producer(forward.operand(node, node.inputs.index(tensor)))
        if lookup is None or lookup.op not in _GATHER_OPS:
            return NoMatch("")
        lookups.append(lookup)
    origins = [forward.table.origin(lookup.inputs[0]) for lookup in lookups]
    names = {origin.variable for origin in origins if origin is not None}
    parts = [origin.part for origin in origins if origin is not None]
    if len(names) != 1 or parts != list(range(len(lookups))):
        return NoMatch("")
    if _is_dealt_in_turn(forward, lookups[0]):
        return NoMatch(
            f"its rows are dealt out to {len(parts)} parts in turn (partition_strategy='mod')"
        )
    layer = _layer(forward, lookups, node, names.pop())
    return _as_indexed(forward, layer)


def _as_indexed(forward: Forward, layer: Layer) -> Layer:
    """Take the reshape of the stitched rows to the axes of the indices for the result."""
    use = forward.sole_reader(layer.output)
    if use is None or use.node.op != "Reshape" or use.operand != 0:
        return layer
    output = f"{use.node.name}:0"
    nodes = layer.nodes | {use.node.name}
    return layer._replace(op_output=output, output=output, nodes=nodes)


def _layer(forward: Forward, lookups: List[Node], result: Node, variable: str) -> Layer:
    vocabulary, dimension = forward.table.info[variable].shape
    whole = lookups == [result]
    return Layer(
        kind="embedding",
        op=lookups[0].name,
        variables={"embedding": variable},
        axes={variable: "VD"},
        input=forward.operand(result, 1) if whole else None,
        op_output=f"{result.name}:0",
        output=f"{result.name}:0",
        attributes={"vocabulary": vocabulary, "dimension": dimension},
        nodes=frozenset([result.name, *(lookup.name for lookup in lookups)]),
    )


def _is_dealt_in_turn(forward: Forward, lookup: Node) -> bool:
    """Tell whether row i lies in part i modulo the number of parts, not in consecutive blocks."""
    divided = forward.graph.producer(forward.operand(lookup, 1))
    if divided is None or divided.op != "DynamicPartition":
        return True
    part = forward.graph.producer(forward.operand(divided, 1))
    if part is not None and part.op == "Cast":
        part = forward.graph.producer(forward.operand(part, 0))
    return part is None or part.op in _MODULO_OPS
