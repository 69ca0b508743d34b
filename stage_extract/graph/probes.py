"""Steps that Keras writes before a recurrent loop, to see the shape of what the loop will give.

Nothing reads them (tensorflow/python/keras/backend.py, `output_time_zero` in `rnn`), so they look
like ends of the network.
"""

from __future__ import annotations

from typing import List, Sequence, Set, Tuple

from stage_extract.graph.graphdef import Graph, node_name
from stage_extract.graph.heads import Head, Rejected
from stage_extract.graph.traverse import ENTER_OPS, EXIT_OPS, ancestors
from stage_extract.graph.variables import VariableTable

# op -> the operand with the sequence
_SCATTER_OPS = {"TensorArrayScatterV2": 2, "TensorArrayScatterV3": 2, "TensorListFromTensor": 0}
_WHY = "a trial step of a recurrent loop: nothing reads it"


def without_probes(
    graph: Graph, heads: Sequence[Head], table: VariableTable
) -> Tuple[List[Head], List[Rejected]]:
    """Drop heads that are a step of a loop, written once more before it, that nothing reads."""
    loops = _Loops(graph, table)
    kept: List[Head] = []
    rejected: List[Rejected] = []
    for head in heads:
        if loops.have_probe(head.tensor):
            rejected.append(Rejected(head.tensor, _WHY))
        else:
            kept.append(head)
    return kept, rejected


class _Loops:
    """What enters the while loops of a graph."""

    def __init__(self, graph: Graph, table: VariableTable) -> None:
        self._graph = graph
        self._table = table
        self._variables: Set[str] = set()
        self._states: Set[str] = set()
        self._sequences: Set[str] = set()
        for node in graph:
            if node.op in ENTER_OPS and node.inputs:
                origin = table.origin(f"{node.name}:0")
                if origin is None:
                    self._states.add(node_name(node.inputs[0]))
                else:
                    self._variables.add(origin.variable)
            elif node.op in _SCATTER_OPS and len(node.inputs) > _SCATTER_OPS[node.op]:
                self._sequences.add(node_name(node.inputs[_SCATTER_OPS[node.op]]))

    def have_probe(self, tensor: str) -> bool:
        """Tell whether a tensor starts from a loop's state or sequence, and has its variables."""
        if not self._variables or self._graph.consumers(tensor):
            return False
        ends = self._states | self._sequences
        above = ancestors(self._graph, [tensor], lambda node: node.name in ends)
        nodes = [node for node in map(self._graph.get, above - ends) if node is not None]
        if any(node.op in EXIT_OPS for node in nodes):
            return False
        origins = [self._table.origin(one) for node in nodes for one in node.inputs]
        mine = {origin.variable for origin in origins if origin is not None}
        return bool(mine) and mine <= self._variables and bool(above & ends)
