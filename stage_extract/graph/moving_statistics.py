"""Batch norms that a graph was saved with in training mode, turned to their moving averages.

Training programs often say is_training=True in Python and build another graph for inference; the
.meta file then holds statistics of the batch only. Where the training keeps their moving averages,
those are what its inference reads.
"""

from __future__ import annotations

from typing import Dict, FrozenSet, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from stage_extract.graph.graphdef import Graph, MetaGraph, Node
from stage_extract.graph.machinery import is_gradient, leading_only_to
from stage_extract.graph.rewriting import Rewrite
from stage_extract.graph.savers import READ_OPS, VARIABLE_OPS
from stage_extract.graph.shapes import StaticShapes
from stage_extract.graph.traverse import behind
from stage_extract.messages import NodeDef

ASSIGN_OPS = frozenset(
    ("Assign", "AssignAdd", "AssignSub", "AssignSubVariableOp", "AssignVariableOp")
)
FUSED_OPS = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"))
# What lies between a statistic and the assignment: v - (v - value) * (1 - decay) and its like.
_UPDATING_OPS = frozenset(
    ("Add", "AddV2", "Cast", "Identity", "Mul", "Reshape", "Squeeze", "StopGradient", "Sub")
)
_MAX_NODES = 64
_WHY = "a batch norm saved in training mode: inference takes the moving averages that it keeps"


class WithMovingStatistics(NamedTuple):
    """A graph whose batch norms read their moving averages.

    Attributes:
        graph: the same graph, with other statistics.
        rewrites: what was replaced.
        leftovers: the nodes that computed the statistics of a batch.
    """

    graph: Graph
    rewrites: List[Rewrite]
    leftovers: FrozenSet[str]


def use_moving_statistics(saved: Graph, graph: Graph) -> WithMovingStatistics:
    """Let batch norms in training mode read their moving averages, where the training keeps any.

    Args:
        saved: the graph as it was saved, with its control inputs.
        graph: what is left of it in inference.
    """
    finder = _Finder(saved)
    rewrites: List[Rewrite] = []
    changed: Dict[str, Node] = {}
    spelled: Set[str] = set()
    for node in graph:
        if is_gradient(node):
            continue
        if node.op in FUSED_OPS and node.attribute("is_training") is not False:
            kept = finder.kept(f"{node.name}:1"), finder.kept(f"{node.name}:2")
            if kept[0] is not None and kept[1] is not None:
                moving = (kept[0], kept[1])
                changed[node.name] = in_inference(node, moving)
                rewrites.append(Rewrite(node.name, node.op, f"{node.name}:0", _WHY, moving=moving))
        elif node.op == "SquaredDifference":
            for statistic, moving_tensor in _spelled_out(graph, node, finder):
                one = graph.producer(statistic)
                if one is not None and one.name not in changed:
                    changed[one.name] = one.rewired("Identity", (moving_tensor,))
                    spelled.add(one.name)
                    rewrites.append(
                        Rewrite(one.name, one.op, moving_tensor, _WHY, moving=(moving_tensor,))
                    )
    leading = leading_only_to(graph, lambda node: node.name in spelled, is_gradient)
    return WithMovingStatistics(graph.with_nodes(changed), rewrites, frozenset(leading - spelled))


def with_moving_averages(meta: MetaGraph, batch_norms: Mapping[str, Tuple[str, str]]) -> MetaGraph:
    """Let fused batch norms of a saved graph read their moving averages.

    Args:
        batch_norms: node -> the moving mean and variance that it reads.
    """
    nodes = [node for node in meta.graph if node.name in batch_norms]
    changed = {node.name: in_inference(node, batch_norms[node.name]) for node in nodes}
    return meta._replace(graph=meta.graph.with_nodes(changed))


def in_inference(node: Node, moving: Tuple[str, str]) -> Node:
    """Give a fused batch norm that reads a moving mean and variance instead of the batch's."""
    proto = NodeDef()
    proto.CopyFrom(node.proto)
    proto.attr["is_training"].b = False
    return Node(node.name, node.op, (*node.inputs[:3], *moving), node.controls, proto)


def _spelled_out(graph: Graph, difference: Node, finder: _Finder) -> Iterator[Tuple[str, str]]:
    """Give (statistic, moving average) of tf.nn.moments around (x - mean)^2; both or none."""
    if len(difference.inputs) != 2:
        return
    mean = graph.producer(behind(graph, difference.inputs[1]))
    if mean is None or mean.op != "Mean" or mean.operand(0) != difference.inputs[0]:
        return
    variances = [use.node for use in graph.successors(difference.name) if use.node.op == "Mean"]
    if len(variances) != 1:
        return
    kept_mean = _kept_of_shaped(graph, mean, finder)
    kept_variance = _kept_of_shaped(graph, variances[0], finder)
    if kept_mean is not None and kept_variance is not None:
        yield kept_mean
        yield kept_variance


def _kept_of_shaped(graph: Graph, mean: Node, finder: _Finder) -> Optional[Tuple[str, str]]:
    """Give a mean, or what alone squeezes it, as the rest of the network reads it."""
    shaped = [
        use.node.name
        for use in graph.successors(mean.name)
        if use.node.op in ("Reshape", "Squeeze") and not is_gradient(use.node)
    ]
    statistic = f"{shaped[0] if len(shaped) == 1 else mean.name}:0"
    kept = finder.kept(statistic)
    return None if kept is None else (statistic, kept)


class _Finder:
    """Finds the variable that keeps the moving average of a tensor, if the training updates it."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._shapes = StaticShapes(graph)
        self._waiting: Optional[Dict[str, List[Node]]] = None

    def kept(self, statistic: str) -> Optional[str]:
        """Give the tensor by which the graph reads the moving average of a batch's statistic."""
        seen: Set[str] = set()
        pending = [statistic]
        while pending and len(seen) < _MAX_NODES:
            for use in self._graph.consumers(pending.pop(0)):
                if use.node.name in seen or is_gradient(use.node):
                    continue
                seen.add(use.node.name)
                if use.node.op in ASSIGN_OPS and use.operand == 1:
                    if self._is_run(use.node):
                        return self._read(behind(self._graph, use.node.inputs[0], READ_OPS))
                elif use.node.op in _UPDATING_OPS and self._is_vector(f"{use.node.name}:0"):
                    pending.append(f"{use.node.name}:0")
        return None

    def _is_vector(self, tensor: str) -> bool:
        shape = self._shapes.of(tensor)
        return shape is None or all(size == 1 for size in shape[:-1])

    def _is_run(self, update: Node) -> bool:
        """Tell whether anything waits for an update: some programs make it and never run it."""
        if self._waiting is None:
            self._waiting = {}
            for node in self._graph:
                for control in node.controls:
                    self._waiting.setdefault(control, []).append(node)
        pending = [update.name]
        for name in pending:
            readers = [use.node for use in self._graph.successors(name)]
            for node in readers + self._waiting.get(name, []):
                if node.op not in ("Identity", "ReadVariableOp"):
                    return True
                if node.name not in pending:
                    pending.append(node.name)
        return False

    def _read(self, variable: str) -> Optional[str]:
        node = self._graph.producer(variable)
        if node is None or node.op not in VARIABLE_OPS:
            return None
        wanted = "ReadVariableOp" if node.op == "VarHandleOp" else "Identity"
        for use in self._graph.consumers(f"{node.name}:0"):
            if use.node.op == wanted and not is_gradient(use.node):
                return f"{use.node.name}:0"
        return None if node.op == "VarHandleOp" else f"{node.name}:0"
