"""Fills the variables of an imported graph from the checkpoint.

The graph's own restore op is not used: it fills every variable of the training program, and its
name differs from graph to graph.
"""

from __future__ import annotations

from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import tensorflow
from tensorflow.python import pywrap_tensorflow

from stage_extract.graph.graphdef import Graph, MetaGraph, Node
from stage_extract.graph.saved_names import VARIABLE_OPS, Slice, find_saved_names
from stage_extract.graph.variables import VariableTable
from stage_extract.reader import VariableInfo
from stage_extract.reference.result import ReferenceUnavailable

# TensorFlow holds what one restore op reads until all of it is assigned.
RESTORE_GROUP_BYTES = 64 * 2**20


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


def checkpoint_variables(prefix: str) -> List[VariableInfo]:
    """Give what a checkpoint holds, as TensorFlow's reader sees it, sorted by name."""
    reader = pywrap_tensorflow.NewCheckpointReader(prefix)
    dtypes: Mapping[str, Any] = reader.get_variable_to_dtype_map()
    shapes: Mapping[str, Sequence[int]] = reader.get_variable_to_shape_map()
    return [
        VariableInfo(name, dtypes[name].name, tuple(shape))
        for name, shape in sorted(shapes.items())
    ]


def variable_sources(
    meta: MetaGraph, part: Graph, variables: Sequence[VariableInfo]
) -> List[VariableSource]:
    """Find the checkpoint entry of every variable node of a part of a graph.

    Args:
        meta: the whole graph, with its savers and collections.
        part: the nodes that will run.
        variables: what the checkpoint holds.

    Raises:
        ReferenceUnavailable: a variable is not in the checkpoint.
    """
    saved = find_saved_names(meta)
    table = VariableTable(meta.graph, saved, variables)
    sources = []
    for node in part:
        if node.op not in VARIABLE_OPS:
            continue
        key = table.name_of(node.name)
        if key is None:
            raise ReferenceUnavailable(
                f"the outputs need the variable '{node.name}', which is not in the checkpoint"
            )
        slice_text = _slice_text(node, saved.slices.get(node.name), table.info[key])
        sources.append(VariableSource(node.name, key, slice_text))
    return sources


def _slice_text(node: Node, part: Optional[Slice], whole: VariableInfo) -> str:
    sizes = node.attribute("shape")
    if part is None or part.offset is None or part.whole != whole.name or not sizes:
        return ""
    if len(sizes) != len(whole.shape) or tuple(sizes) == whole.shape:
        return ""
    extents = ":".join(f"{start},{size}" for start, size in zip(part.offset, sizes))
    return " ".join(str(size) for size in whole.shape) + " " + extents


def add_restore_ops(graph: Any, prefix: str, sources: Sequence[VariableSource]) -> List[List[Any]]:
    """Add ops to a TensorFlow graph that fill its variables from a checkpoint.

    Returns:
        Groups of ops, to be run one group after the other so that only `RESTORE_GROUP_BYTES` (or
        one larger variable) are held twice.
    """
    with graph.as_default():
        return [_add_restore_group(graph, prefix, group) for group in _groups(graph, sources)]


def _groups(graph: Any, sources: Sequence[VariableSource]) -> List[List[VariableSource]]:
    groups: List[List[VariableSource]] = []
    room = 0
    for source in sources:
        size = _size_bytes(graph.get_operation_by_name(source.node))
        if not groups or size is None or size > room:
            groups.append([])
            room = RESTORE_GROUP_BYTES
        groups[-1].append(source)
        room -= size or 0
    return groups


def _size_bytes(operation: Any) -> Optional[int]:
    elements = tensorflow.TensorShape(operation.get_attr("shape")).num_elements()
    return None if elements is None else int(elements * operation.get_attr("dtype").size)


def _add_restore_group(graph: Any, prefix: str, group: Sequence[VariableSource]) -> List[Any]:
    operations = [graph.get_operation_by_name(source.node) for source in group]
    values: Tuple[Any, ...] = tensorflow.raw_ops.RestoreV2(
        prefix=prefix,
        tensor_names=[source.key for source in group],
        shape_and_slices=[source.slice for source in group],
        dtypes=[operation.get_attr("dtype").base_dtype for operation in operations],
    )
    assigned = []
    for operation, value in zip(operations, values):
        variable = operation.outputs[0]
        if operation.type == "VarHandleOp":
            assigned.append(tensorflow.raw_ops.AssignVariableOp(resource=variable, value=value))
        else:
            assigned.append(tensorflow.raw_ops.Assign(ref=variable, value=value).op)
    return assigned
