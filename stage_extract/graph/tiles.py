"""Where concatenations put the parts of a variable that is cut along several axes."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from stage_extract.graph.graphdef import Graph, Node
from stage_extract.graph.savers import READ_OPS, VARIABLE_OPS
from stage_extract.graph.traverse import behind

CONCATENATIONS = frozenset(("Concat", "ConcatV2"))
# Rows of tiles: one concatenation an axis. More axes than a kernel's are no kernel.
_MAX_DEPTH = 5


class Tiles(NamedTuple):
    """Parts side by side.

    Attributes:
        shape: of all together.
        offsets: variable node -> where it begins.
    """

    shape: Tuple[int, ...]
    offsets: Dict[str, Tuple[int, ...]]


def concatenated(node: Node) -> Tuple[Sequence[str], str]:
    """Give the tensors that a concatenation joins, and its axis."""
    if node.op == "Concat":
        return node.inputs[1:], node.operand(0)
    return node.inputs[:-1], node.inputs[-1] if node.inputs else ""


def find_tiles(graph: Graph, node: Node, depth: int = _MAX_DEPTH) -> Optional[Tiles]:
    """Give the parts that concatenations of concatenations join; None if anything else enters."""
    if node.op in VARIABLE_OPS:
        shape = node.attribute("shape")
        known = shape is not None and all(size is not None and size >= 0 for size in shape)
        return Tiles(tuple(shape), {node.name: (0,) * len(shape)}) if known else None
    if node.op not in CONCATENATIONS or not depth:
        return None
    tensors, axis_tensor = concatenated(node)
    axis_node = graph.producer(axis_tensor)
    axis = axis_node.constant() if axis_node is not None else None
    joined: List[Tiles] = []
    for tensor in tensors:
        source = graph.producer(behind(graph, tensor, READ_OPS))
        tiles = find_tiles(graph, source, depth - 1) if source is not None else None
        if tiles is None:
            return None
        joined.append(tiles)
    if axis is None or axis.size != 1 or not joined:
        return None
    return _side_by_side(joined, int(axis))


def _side_by_side(parts: Sequence[Tiles], axis: int) -> Optional[Tiles]:
    rank = len(parts[0].shape)
    axis = axis + rank if axis < 0 else axis
    if not 0 <= axis < rank:
        return None
    offsets: Dict[str, Tuple[int, ...]] = {}
    begin = 0
    for part in parts:
        others = [size for place, size in enumerate(part.shape) if place != axis]
        wanted = [size for place, size in enumerate(parts[0].shape) if place != axis]
        if len(part.shape) != rank or others != wanted or offsets.keys() & part.offsets.keys():
            return None
        for name, offset in part.offsets.items():
            offsets[name] = (*offset[:axis], offset[axis] + begin, *offset[axis + 1 :])
        begin += part.shape[axis]
    return Tiles((*parts[0].shape[:axis], begin, *parts[0].shape[axis + 1 :]), offsets)
