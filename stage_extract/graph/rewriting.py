"""Changes that turn a training graph into the graph of its inference."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from stage_extract.graph.graphdef import Graph, Node


class Rewrite(NamedTuple):
    """One node for which an Identity stands from now on, or a fused batch norm in another mode.

    Attributes:
        node: the replaced node; its first output keeps its name.
        op: the op type that it had.
        becomes: the tensor that the Identity hands on.
        why: the reason, for people.
        is_dropout: what is gone dropped elements at random.
        rate: the share that it dropped as the graph says, None if it was fed at run time.
        moving: the moving averages that take the place of a batch's statistics: mean and variance
            of a fused batch norm, which stays one, or the one that the Identity hands on.
    """

    node: str
    op: str
    becomes: str
    why: str
    is_dropout: bool = False
    rate: Optional[float] = None
    moving: Tuple[str, ...] = ()

    def to_json(self) -> Dict[str, Any]:
        """Give the contract's entry of `rewrites`."""
        entry: Dict[str, Any] = {
            "node": self.node,
            "op": self.op,
            "becomes": self.becomes,
            "why": self.why,
        }
        if self.is_dropout:
            entry["rate"] = self.rate
        if self.moving:
            entry["moving"] = list(self.moving)
        return entry


def without_prints(graph: Graph) -> Tuple[Graph, List[Rewrite]]:
    """Let Identity stand for each tf.Print: what it prints is no part of the network."""
    changed: Dict[str, Node] = {}
    rewrites: List[Rewrite] = []
    for node in graph:
        if node.op == "Print" and node.inputs:
            changed[node.name] = node.rewired("Identity", node.inputs[:1])
            rewrites.append(Rewrite(node.name, node.op, node.inputs[0], "tf.Print hands it on"))
    return graph.with_nodes(changed), rewrites
