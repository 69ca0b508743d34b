"""Adversarial networks: what one network makes, another one judges.

The critic reads data at one place and, with the same variables, what the generator makes at
another. The output is then what is made, in the middle of the graph, and no second verdict.
"""

from __future__ import annotations

from typing import Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Set, Tuple

from stage_extract.graph.graphdef import Graph, Use, node_name
from stage_extract.graph.heads import Head, Rejected, between
from stage_extract.graph.machinery import SHAPE_OPS, is_gradient
from stage_extract.graph.network import Network, is_random
from stage_extract.graph.shapes import StaticShapes
from stage_extract.graph.traverse import MAX_CHAIN, ancestors, descendants, forward_order
from stage_extract.graph.variables import VariableTable

# The critic's own first steps: they pair and pad what it judges.
_CRITIC_OPS = frozenset(("Concat", "ConcatV2", "MirrorPad", "Pad", "PadV2"))
_ARRANGING_OPS = frozenset(("Identity", "Reshape", "StopGradient"))
# Each pair of heads costs a few walks over the graph.
_MAX_HEADS = 16


class _Way(NamedTuple):
    """How a head is computed: its layers, each with the variables that it reads."""

    layers: Dict[str, FrozenSet[str]]

    def variables(self) -> Set[str]:
        """Give all variables."""
        return {variable for read in self.layers.values() for variable in read}


class CriticFinder:
    """Finds what is judged in one graph.

    Args:
        graph: the rewritten graph.
        network: the model in it.
        table: its variables.
        shapes: its static shapes.
    """

    def __init__(
        self, graph: Graph, network: Network, table: VariableTable, shapes: StaticShapes
    ) -> None:
        self._graph = graph
        self._network = network
        self._table = table
        self._shapes = shapes

    def replace_verdicts(self, heads: Sequence[Head]) -> Tuple[List[Head], List[Rejected]]:
        """Give what was made instead of the verdicts on it; the verdicts on data stay."""
        if not 1 < len(heads) <= _MAX_HEADS:
            return list(heads), []
        ways = {head.tensor: self._way(head.tensor) for head in heads}
        kept = {head.tensor: head for head in heads}
        rejected: List[Rejected] = []
        made: Dict[str, Head] = {}
        for verdict in heads:
            for on_data in heads:
                tensor = self._made(verdict, ways[verdict.tensor], ways[on_data.tensor])
                if tensor is not None and verdict.tensor in kept:
                    made[tensor] = Head(tensor, f"{on_data.tensor} judges its like", False)
                    del kept[verdict.tensor]
                    why = f"the verdict on {tensor}: {on_data.tensor} is the same network"
                    rejected.append(Rejected(verdict.tensor, why))
        for tensor in [one for one in kept if self._goes_round(one, ways[one], list(made))]:
            del kept[tensor]
            rejected.append(Rejected(tensor, "made once more of what was made"))
        found = {**kept, **{tensor: head for tensor, head in made.items() if tensor not in kept}}
        return list(found.values()), rejected

    def _way(self, tensor: str) -> _Way:
        layers = {}
        for name in ancestors(self._graph, [tensor]) & self._network.layers:
            node = self._graph.get(name)
            origins = [self._table.origin(one) for one in node.inputs] if node is not None else []
            layers[name] = frozenset(one.variable for one in origins if one is not None)
        return _Way(layers)

    def _made(self, verdict: Head, way: _Way, on_data: _Way) -> Optional[str]:
        """Give what the verdict is on, None if it is none: then its network reads data alone."""
        critic = on_data.variables()
        if not critic or not critic < way.variables() or set(way.layers) & set(on_data.layers):
            return None
        upper = {name for name, read in way.layers.items() if read and not read <= critic}
        last = between(self._graph, verdict.tensor, self._network) & self._network.layers
        if last & upper or self._is_compared(verdict.tensor):
            return None
        return self._end_of(upper, set(way.layers) - upper, verdict.tensor)

    def _is_compared(self, tensor: str) -> bool:
        """Tell whether the loss of a tensor compares it with data, as that of a decoder does."""
        sources = {node_name(one) for one in self._network.sources}

        def follow(use: Use) -> bool:
            return not is_gradient(use.node) and self._shapes.of(use.tensor) != ()

        reached = descendants(self._graph, [node_name(tensor)], follow)
        for name in reached - {node_name(tensor)}:
            node = self._graph.get(name)
            for other in node.inputs if node is not None else ():
                if node_name(other) in reached | self._network.forward:
                    continue
                above = ancestors(self._graph, [other], lambda one: one.op in SHAPE_OPS)
                found = (self._graph.get(one) for one in above & sources)
                if any(one is not None and not is_random(one) for one in found):
                    return True
        return False

    def _end_of(self, upper: Set[str], critic: Set[str], verdict: str) -> Optional[str]:
        """Follow the last layer of the generator to what it makes: an activation, a sum."""
        order = forward_order(self._graph, [verdict])
        ordered = [node.name for node in order if node.name in upper]
        if not ordered:
            return None
        judged = descendants(self._graph, sorted(critic))
        current = end = ordered[-1]
        for _ in range(MAX_CHAIN):
            readers = [one.node for one in self._graph.successors(current)]
            readers = [node for node in readers if not is_gradient(node)]
            if len(readers) != 1 or readers[0].name in judged or readers[0].op in _CRITIC_OPS:
                break
            current = readers[0].name
            if readers[0].op not in _ARRANGING_OPS:
                end = current
        return f"{end}:0"

    def _goes_round(self, tensor: str, way: _Way, made: Sequence[str]) -> bool:
        """Tell whether a head is made of a made tensor by the networks that made all of them."""
        if tensor in made or not made:
            return False
        above = ancestors(self._graph, [tensor])
        generators: Set[str] = set()
        for one in made:
            generators |= self._way(one).variables()
        return any(node_name(one) in above for one in made) and way.variables() <= generators
