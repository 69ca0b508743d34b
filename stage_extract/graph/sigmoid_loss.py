"""tf.nn.sigmoid_cross_entropy_with_logits, which TensorFlow 1 spells out in a dozen ops."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Set

from stage_extract.graph.graphdef import Graph, Node, Use
from stage_extract.graph.traverse import descendants


class SigmoidLoss(NamedTuple):
    """One spelled-out sigmoid cross entropy: max(x, 0) - x * z + log(1 + exp(-abs(x))).

    Attributes:
        logits: the tensor x.
        inside: the ops that compute the loss from x.
    """

    logits: str
    inside: Set[str]


def find_sigmoid_losses(graph: Graph) -> List[SigmoidLoss]:
    """Find all of them, in the order of the file."""
    found = []
    for node in graph:
        if node.op == "Log1p":
            loss = _match(graph, node)
            if loss is not None:
                found.append(loss)
    return found


def _match(graph: Graph, log1p: Node) -> Optional[SigmoidLoss]:
    exponent = _operand(graph, log1p, 0, "Exp")
    # -abs(x) is spelled select(x >= 0, -x, x).
    chosen = _operand(graph, exponent, 0, "Select")
    negated = _operand(graph, chosen, 1, "Neg")
    if chosen is None or negated is None or negated.inputs[0] != chosen.inputs[2]:
        return None
    logits = negated.inputs[0]
    sums = [use.node for use in graph.successors(log1p.name) if use.node.op in ("Add", "AddV2")]
    if not sums:
        return None
    scope = log1p.name.rpartition("/")[0] + "/"

    def within(use: Use) -> bool:
        return use.node.name.startswith(scope)

    readers = [use.node.name for use in graph.consumers(logits) if within(use)]
    return SigmoidLoss(logits, descendants(graph, readers, within) | {sums[0].name})


def _operand(graph: Graph, node: Optional[Node], operand: int, op: str) -> Optional[Node]:
    if node is None or len(node.inputs) <= operand:
        return None
    producer = graph.producer(node.inputs[operand])
    return producer if producer is not None and producer.op == op else None
