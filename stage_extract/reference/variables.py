"""Where the value of each variable of a graph lies in its checkpoint."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence

from stage_extract.graph.averages import find_averages
from stage_extract.graph.graphdef import Graph, MetaGraph, Node
from stage_extract.graph.keys import find_naming
from stage_extract.graph.savers import VARIABLE_OPS, Slice
from stage_extract.graph.variables import VariableTable
from stage_extract.reader import VariableInfo
from stage_extract.reference.result import ReferenceUnavailable


class VariableSource(NamedTuple):
    """Where the value of a variable node lies in the checkpoint.

    Attributes:
        node: the variable node's name.
        key: the name in the checkpoint.
        slice: TensorFlow's text for a part of the tensor ("10 4 0,5:0,4"); "" for all of it.
    """

    node: str
    key: str
    slice: str


def variable_sources(
    meta: MetaGraph, part: Graph, variables: Sequence[VariableInfo], prefer_ema: bool = False
) -> List[VariableSource]:
    """Find the checkpoint entry of every variable node of a part of a graph.

    Args:
        meta: the whole graph, with its savers and collections.
        part: the nodes that will run.
        variables: what the checkpoint holds.
        prefer_ema: fill variables with their moving averages, where there are any.

    Raises:
        ReferenceUnavailable: a variable is not in the checkpoint.
    """
    naming = find_naming(meta, variables)
    table = VariableTable(meta.graph, naming, variables)
    if prefer_ema:
        averages = find_averages(meta.graph, table)
        table = VariableTable(meta.graph, naming, variables, averages)
    sources = []
    for node in part:
        if node.op not in VARIABLE_OPS:
            continue
        key = table.name_of(node.name)
        if key is None:
            raise ReferenceUnavailable(
                f"the outputs need the variable '{node.name}', which is not in the checkpoint"
            )
        own_slice = naming.saved.slices.get(node.name)
        slice_text = _slice_text(node, own_slice, table.info[key])
        sources.append(VariableSource(node.name, key, slice_text))
    return sources


def _slice_text(node: Node, part: Optional[Slice], whole: VariableInfo) -> str:
    sizes = node.attribute("shape")
    if part is None or part.offset is None or not sizes:
        return ""
    if len(sizes) != len(whole.shape) or tuple(sizes) == whole.shape:
        return ""
    extents = ":".join(f"{start},{size}" for start, size in zip(part.offset, sizes))
    return " ".join(str(size) for size in whole.shape) + " " + extents
