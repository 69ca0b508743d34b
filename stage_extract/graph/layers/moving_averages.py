"""Moving averages of batch statistics, as the update ops of a training graph keep them.

An inference graph only reads them; how fast they follow, and which variable belongs to which batch
norm when a graph was saved in training mode only, is known from the ops that update them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Set

from stage_extract.graph.conditions import take_branches
from stage_extract.graph.evaluate import Evaluator
from stage_extract.graph.graphdef import Graph, MetaGraph, Node, node_name
from stage_extract.graph.keys import Naming
from stage_extract.graph.moving_statistics import ASSIGN_OPS
from stage_extract.graph.switches import Switch
from stage_extract.graph.variables import VariableTable
from stage_extract.reader import VariableInfo

# A dozen ops at most lie between a batch's mean, the assignment and its decay.
_MAX_NODES = 64


class Decay(NamedTuple):
    """How much of a moving average stays at each step, or why that is not known."""

    value: Optional[float]
    reason: Optional[str]


class MovingAverages:
    """Looks up updates in the branches that training takes; prepared when first asked.

    Args:
        meta: the graph as it was saved.
        naming: the keys of its variables.
        variables: what the checkpoint holds.
        switches: the values of inference; flags have the opposite value in training.
        averages: variable -> its moving average, which is described in its place.
    """

    def __init__(
        self,
        meta: MetaGraph,
        naming: Naming,
        variables: Sequence[VariableInfo],
        switches: Sequence[Switch],
        averages: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._meta = meta
        self._naming = naming
        self._averages = averages
        self._owners = {average: owner for owner, average in averages.items()}
        self._variables = variables
        self._switches = switches
        self._prepared: Optional[_TrainingGraph] = None

    def decay(self, variable: str) -> Decay:
        """Give the decay of a moving average: v = v * decay + value * (1 - decay)."""
        return self._training().decay(self._owners.get(variable, variable))

    def kept_of(self, statistic: str) -> Optional[str]:
        """Give the variable that keeps the moving average of a tensor, None if there is none."""
        kept = self._training().kept_of(statistic)
        return None if kept is None else self._averages.get(kept, kept)

    def _training(self) -> _TrainingGraph:
        if self._prepared is None:
            values = {
                one.tensor: (not one.value) if isinstance(one.value, bool) else one.value
                for one in self._switches
            }
            graph = take_branches(self._meta.graph, values).graph
            table = VariableTable(graph, self._naming, self._variables)
            self._prepared = _TrainingGraph(graph, table, Evaluator(graph, values))
        return self._prepared


class _TrainingGraph:
    def __init__(self, graph: Graph, table: VariableTable, evaluator: Evaluator) -> None:
        self._graph = graph
        self._table = table
        self._evaluator = evaluator
        self._updates: Dict[str, List[Node]] = {}
        for node in self._graph:
            if node.op in ASSIGN_OPS and len(node.inputs) > 1:
                origin = self._table.origin(node.inputs[0])
                if origin is not None:
                    self._updates.setdefault(origin.variable, []).append(node)

    def decay(self, variable: str) -> Decay:
        updates = [node for node in self._updates.get(variable, ()) if self._is_update(node)]
        if not updates:
            return Decay(None, "the graph does not update the moving averages")
        for node in updates:
            decay = self._decay_in(node, variable)
            if decay is not None:
                return Decay(decay, None)
        return Decay(None, "the decay is computed while training, or in a form that is not known")

    def kept_of(self, statistic: str) -> Optional[str]:
        seen: Set[str] = set()
        pending = [statistic]
        while pending and len(seen) < _MAX_NODES:
            for use in self._graph.consumers(pending.pop(0)):
                if use.node.name in seen:
                    continue
                seen.add(use.node.name)
                if use.node.op in ASSIGN_OPS:
                    origin = self._table.origin(use.node.inputs[0])
                    if origin is not None:
                        return origin.variable
                pending.append(f"{use.node.name}:0")
        return None

    def _is_update(self, node: Node) -> bool:
        """Tell an update from the initialiser and from the restoring of a checkpoint."""
        return bool(self._reads_any_variable(node.inputs[1]))

    def _reads_any_variable(self, tensor: str) -> bool:
        return any(
            self._table.origin(one) is not None
            for node in self._above(tensor)
            for one in (*node.inputs, f"{node.name}:0")
        )

    def _above(self, tensor: str) -> List[Node]:
        """Give the nodes near above a tensor, nearest first, not beyond variables."""
        found: Dict[str, Node] = {}
        pending = [node_name(tensor)]
        while pending and len(found) < _MAX_NODES:
            node = self._graph.get(pending.pop(0))
            if node is None or node.name in found:
                continue
            found[node.name] = node
            if self._table.origin(f"{node.name}:0") is None:
                pending.extend(node_name(one) for one in node.inputs)
        return list(found.values())

    def _decay_in(self, update: Node, variable: str) -> Optional[float]:
        for node in self._above(update.inputs[1]):
            if node.op != "Mul" or len(node.inputs) != 2:
                continue
            for factor, other in (node.inputs, node.inputs[::-1]):
                share = self._evaluator.scalar(factor)
                if not isinstance(share, float) or not 0.0 <= share <= 1.0:
                    continue
                if self._is_difference_from_variable(other):
                    # v -= (v - value) * (1 - decay)
                    return round(1.0 - share, 7)
                origin = self._table.origin(other)
                if origin is not None and origin.variable == variable:
                    # v = v * decay + ...
                    return round(share, 7)
        return None

    def _is_difference_from_variable(self, tensor: str) -> bool:
        node = self._graph.producer(tensor)
        return (
            node is not None
            and node.op == "Sub"
            and any(self._table.origin(one) is not None for one in node.inputs)
        )
