"""The part of a MetaGraph that computes some tensors, cut where values are fed.

The nodes are the model's own, Switch and Merge included, so that what runs is the model as it was
saved. Only what does not take part in the values is left out: device names, colocation, recorded
shapes, and control edges that only order side effects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence, Set, Tuple

from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework import dtypes

from stage_extract.graph.graphdef import Graph, MetaGraph, Node, node_name
from stage_extract.graph.loops import loop_frames
from stage_extract.reference.called import called_functions, check_recursion
from stage_extract.reference.later_attributes import drop_later_attributes
from stage_extract.reference.result import ReferenceUnavailable

PLACEHOLDER_OPS = frozenset({"Placeholder", "PlaceholderV2"})
# Ops that only change a state or write something: a node that waits for one reads nothing from it.
_SIDE_EFFECT_PREFIXES = (
    "Apply",
    "Assert",
    "Assign",
    "Print",
    "QueueEnqueue",
    "ResourceApply",
    "ResourceScatter",
    "ResourceSparseApply",
    "Save",
    "ScatterUpdate",
    "SparseApply",
)
# Colocation and recorded shapes describe the whole graph, of which only a part is imported.
_DROPPED_ATTRIBUTES = ("_class", "_output_shapes")
_FEED_SCOPE = "reference_feed"


@dataclass(frozen=True)
class Subgraph:
    """A part of a graph that can be imported and run.

    Attributes:
        graph: the original nodes of the part, without those whose outputs are fed.
        graph_def: what to import: the part, with a Placeholder for each fed tensor.
        producer_ops: OpList of the TensorFlow that wrote the graph, None if it does not say.
        feed_names: the tensor to feed in `graph_def`, by its original name; only those that matter.
        fetch_names: the tensor to fetch instead of one that has been substituted.
        turned: the nodes that run with their channels last, though the graph has them first.
    """

    graph: Graph
    graph_def: Any
    producer_ops: Any
    feed_names: Mapping[str, str]
    fetch_names: Mapping[str, str]
    turned: Tuple[str, ...] = ()


def cut_subgraph(
    meta: MetaGraph,
    feeds: Mapping[str, str],
    fetches: Sequence[str],
    substitutions: Mapping[str, str],
) -> Subgraph:
    """Cut out the part of a graph that computes `fetches` from `feeds`.

    Args:
        meta: the whole graph.
        feeds: numpy's dtype name by name of each tensor that will be fed.
        fetches: names of the tensors to compute.
        substitutions: tensor -> the tensor that its readers get instead.

    Raises:
        ReferenceUnavailable: the part needs a node that is missing, or a placeholder that nobody
            feeds.
    """
    graph = _substituted(meta.graph, substitutions)
    fetch_names = {tensor: _resolved(tensor, substitutions) for tensor in fetches}
    wanted = list(fetch_names.values())
    frames = loop_frames(graph)
    names = _upstream(graph, wanted, set(feeds), frames)
    part = Graph({node.name: node for node in graph if node.name in names})
    fed_here = [tensor for tensor in feeds if part.consumers(tensor) or tensor in wanted]
    feed_names = {tensor: f"{_FEED_SCOPE}/{at}:0" for at, tensor in enumerate(fed_here)}
    graph_def = graph_pb2.GraphDef()
    graph_def.versions.CopyFrom(meta.proto.graph_def.versions)
    for tensor in fed_here:
        _add_placeholder(graph_def, feed_names[tensor], feeds[tensor])
    for node in part:
        controls = _kept_controls(graph, node, frames)
        _add_node(graph_def, node, controls, feed_names)
    _add_functions(graph_def, meta.proto.graph_def.library)
    stated_ops = meta.proto.meta_info_def.stripped_op_list
    return Subgraph(part, graph_def, stated_ops if stated_ops.op else None, feed_names, fetch_names)


def _resolved(tensor: str, substitutions: Mapping[str, str]) -> str:
    seen: Set[str] = set()
    while tensor in substitutions and tensor not in seen:
        seen.add(tensor)
        tensor = substitutions[tensor]
    return tensor


def _substituted(graph: Graph, substitutions: Mapping[str, str]) -> Graph:
    changed = {}
    for tensor in substitutions:
        for node, _, _ in graph.consumers(tensor):
            inputs = tuple(_resolved(name, substitutions) for name in node.inputs)
            changed[node.name] = node.rewired(node.op, inputs)
    return graph.with_nodes(changed)


def _upstream(
    graph: Graph, tensors: Sequence[str], fed: Set[str], frames: Mapping[str, str]
) -> Set[str]:
    found: Set[str] = set()
    waiting = [node_name(tensor) for tensor in tensors if tensor not in fed]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        node = graph.get(name)
        if node is None:
            raise ReferenceUnavailable(f"the graph reads a node '{name}' that is not in it")
        if node.op in PLACEHOLDER_OPS:
            raise ReferenceUnavailable(
                f"the outputs need the placeholder '{name}', which is not among the inputs: "
                f"add it with --inputs, or choose outputs that do not need it with --outputs"
            )
        found.add(name)
        waiting += [node_name(tensor) for tensor in node.inputs if tensor not in fed]
        waiting += _kept_controls(graph, node, frames)
    return found


def _kept_controls(graph: Graph, node: Node, frames: Mapping[str, str]) -> Tuple[str, ...]:
    if node.inputs:
        # Its data already ties the node to its branch of a cond or its frame of a loop; what else
        # it waits for is an assertion, a summary or an update of a state.
        return ()
    kept = [name for name in node.controls if not _is_idle_control(graph.get(name))]
    if not kept and node.controls and node.controls[0] in frames:
        # A constant in a loop is tied to it by the assertion alone: by what that asserts, then.
        asserted = graph.get(node.controls[0])
        kept = [node_name(tensor) for tensor in asserted.inputs[:1]] if asserted else []
    return tuple(kept)


def _is_idle_control(source: Any) -> bool:
    if source is None or source.op in PLACEHOLDER_OPS:
        return True
    return bool(source.op.startswith(_SIDE_EFFECT_PREFIXES))


def _add_functions(graph_def: Any, library: Any) -> None:
    """Copy the functions that the part calls: a broken one elsewhere does no harm."""
    functions = {one.signature.name: one for one in library.function}
    called = {name: functions[name] for name in called_functions(graph_def.node, functions)}
    check_recursion(called)
    for function in called.values():
        graph_def.library.function.add().CopyFrom(function)


def _add_placeholder(graph_def: Any, tensor: str, dtype: str) -> None:
    node = graph_def.node.add(name=node_name(tensor), op="Placeholder")
    node.attr["dtype"].type = dtypes.as_dtype(dtype).as_datatype_enum
    node.attr["shape"].shape.unknown_rank = True


def _add_node(
    graph_def: Any, node: Node, controls: Sequence[str], feed_names: Mapping[str, str]
) -> None:
    copy = graph_def.node.add()
    copy.CopyFrom(node.proto)
    copy.name, copy.device = node.name, ""
    for attribute in _DROPPED_ATTRIBUTES:
        if attribute in copy.attr:
            del copy.attr[attribute]
    drop_later_attributes(copy)
    del copy.input[:]
    copy.input.extend(feed_names.get(tensor, tensor) for tensor in node.inputs)
    copy.input.extend(f"^{name}" for name in controls)
