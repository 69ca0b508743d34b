"""Which of several ends of a graph are outputs.

Two readings of one layer are one output, and so are copies of a network: a graph that holds it
twice, for training and for evaluation, or once for each device, has as many ends. A siamese network
has two as well, but they meet before the loss.
"""

from __future__ import annotations

from typing import Dict, FrozenSet, List, Optional, Sequence, Set, Tuple

from stage_extract.graph.graphdef import Graph, Node, Use, node_name
from stage_extract.graph.heads import ENDING_OPS, Head, Rejected, between
from stage_extract.graph.machinery import is_gradient
from stage_extract.graph.network import Network, is_pipeline
from stage_extract.graph.shapes import StaticShapes
from stage_extract.graph.traverse import ancestors, descendants, forward_order
from stage_extract.graph.variables import VariableTable

_SLICING_OPS = frozenset(
    ("GatherV2", "Slice", "Split", "SplitV", "StridedSlice", "Unpack", "GatherNd", "Gather")
)
# Each head costs two walks over the graph; no model has so many outputs by design.
MAX_HEADS = 64

_Judged = Tuple[List[Head], List[Rejected]]


def choose_readings(
    graph: Graph, heads: Sequence[Head], network: Network, shapes: StaticShapes
) -> _Judged:
    """Choose one of several heads that read the same last layers in different ways.

    Heads that take different slices of a layer are all outputs.
    """
    groups: Dict[FrozenSet[str], List[Head]] = {}
    sliced: Set[FrozenSet[str]] = set()
    for head in heads:
        nodes = between(graph, head.tensor, network)
        key = frozenset(nodes & network.layers)
        groups.setdefault(key, []).append(head)
        if any(_op(graph, name) in _SLICING_OPS for name in nodes):
            sliced.add(key)
    rejected: List[Rejected] = []
    kept: Set[str] = set()
    judged: Dict[str, Head] = {}
    for key, group in groups.items():
        common = _common_end(graph, group, network, shapes)
        if common is not None:
            judged[common.tensor] = common
            rejected.extend(
                Rejected(head.tensor, f"a loss makes it of {common.tensor}")
                for head in group
                if head.tensor != common.tensor
            )
            continue
        best = max(group, key=lambda head: _rank(graph, head))
        chosen = group if key in sliced else [best]
        kept.update(head.tensor for head in chosen)
        rejected.extend(
            Rejected(head.tensor, f"{best.tensor} reads the same layer")
            for head in group
            if head not in chosen
        )
    remaining = [head for head in heads if head.tensor in kept]
    return remaining + list(judged.values()), rejected


def _common_end(
    graph: Graph, heads: Sequence[Head], network: Network, shapes: StaticShapes
) -> Optional[Head]:
    """Give the last tensor behind the layers of which losses make all of these heads.

    A style transfer's picture is smoothed, sliced and looked at by a fixed network; an embedding is
    divided into triplets. The layers themselves are no such tensor: losses judge slices of one.
    """
    if len(heads) < 2 or not all(head.read_by_loss_only for head in heads):
        return None
    behind_layers = [between(graph, head.tensor, network) - network.layers for head in heads]
    shared = set.intersection(*behind_layers)
    common = {name for name in shared if _op(graph, name) not in _SLICING_OPS}
    if not common:
        return None
    tensors = [head.tensor for head in heads]
    last = next(node for node in reversed(forward_order(graph, tensors)) if node.name in common)
    if last.op == "Reshape" and _divides_examples(last, shapes):
        return Head(last.inputs[0], "losses are made of it", True)
    if any(_op(graph, node_name(tensor)) in _SLICING_OPS for tensor in tensors):
        # Slices that are judged one by one are outputs by themselves.
        return None
    return Head(f"{last.name}:0", "losses are made of it", True)


def _divides_examples(reshape: Node, shapes: StaticShapes) -> bool:
    """Tell whether a Reshape makes groups of examples: [n * 3, features] to [n, 3, features]."""
    before, after = shapes.of(reshape.inputs[0]), shapes.of(f"{reshape.name}:0")
    if not before or not after or len(before) != 2 or len(after) != 3:
        return False
    return before[1] is not None and before[1] == after[2]


def _rank(graph: Graph, head: Head) -> Tuple[bool, bool]:
    return (not head.read_by_loss_only, _op(graph, node_name(head.tensor)) in ENDING_OPS)


def choose_towers(
    graph: Graph,
    heads: Sequence[Head],
    network: Network,
    table: VariableTable,
    shapes: StaticShapes,
) -> _Judged:
    """Choose one of several copies of a network, unless they meet in more than a scalar.

    The copy that a placeholder feeds comes before one that a queue feeds.
    """
    if len(heads) < 2:
        return list(heads), []
    above = {head.tensor: ancestors(graph, [head.tensor]) for head in heads[:MAX_HEADS]}
    groups: Dict[Tuple[str, ...], List[Head]] = {}
    for head in heads[:MAX_HEADS]:
        groups.setdefault(_signature(graph, above[head.tensor], network, table), []).append(head)
    rejected = [Rejected(head.tensor, "one of too many ends") for head in heads[MAX_HEADS:]]
    kept: Set[str] = set()
    for group in groups.values():
        copies = {head.tensor: frozenset(above[head.tensor] & network.layers) for head in group}
        if len(set(copies.values())) > 1 and not _meet(graph, group, shapes):
            first = min(group, key=lambda head: _is_fed_by_pipeline(graph, above[head.tensor]))
            why = f"the same network as that of {first.tensor}, once more"
            others = [head for head in group if copies[head.tensor] != copies[first.tensor]]
            rejected.extend(Rejected(head.tensor, why) for head in others)
            group = [head for head in group if head not in others]
        kept.update(head.tensor for head in group)
    return [head for head in heads if head.tensor in kept], rejected


def _signature(
    graph: Graph, names: Set[str], network: Network, table: VariableTable
) -> Tuple[str, ...]:
    """Give what layers a head is computed by: op and variable of each, sorted."""
    found = []
    for name in names & network.layers:
        node = graph.get(name)
        for tensor in node.inputs if node is not None else ():
            origin = table.origin(tensor)
            if origin is not None:
                found.append(f"{_op(graph, name)} {origin.variable}")
    return tuple(sorted(found))


def _meet(graph: Graph, heads: Sequence[Head], shapes: StaticShapes) -> bool:
    """Tell whether tensors larger than a scalar are computed from two of the heads."""

    def follow(use: Use) -> bool:
        return not is_gradient(use.node) and shapes.of(f"{use.node.name}:0") != ()

    seen: Set[str] = set()
    for head in heads:
        readers = [use.node.name for use in graph.consumers(head.tensor) if follow(use)]
        reached = descendants(graph, readers, follow)
        if reached & seen:
            return True
        seen |= reached
    return False


def _is_fed_by_pipeline(graph: Graph, names: Set[str]) -> bool:
    nodes = (graph.get(name) for name in names)
    return any(node is not None and is_pipeline(node) for node in nodes)


def _op(graph: Graph, name: str) -> str:
    node = graph.get(name)
    return "" if node is None else node.op
