"""Walks over a graph. All are iterative: graphs may be as deep as large, and may have cycles."""

from __future__ import annotations

from typing import Callable, Iterable, List, Optional, Set, Tuple

from stage_extract.graph.graphdef import Graph, Node, Use, node_name

# Ops that hand their first operand on unchanged.
PASS_THROUGH = frozenset(
    (
        "CheckNumerics",
        "EnsureShape",
        "Enter",
        "Exit",
        "Identity",
        "NextIteration",
        "PreventGradient",
        "Print",
        "PrintV2",
        "RefEnter",
        "RefExit",
        "RefIdentity",
        "RefSwitch",
        "Snapshot",
        "StopGradient",
        "Switch",
    )
)


# Longer chains are no chains of a model; the bound keeps a walk from each node of one linear.
MAX_CHAIN = 256


def ancestors(
    graph: Graph, tensors: Iterable[str], stop: Callable[[Node], bool] = lambda node: False
) -> Set[str]:
    """Give the names of all nodes that the tensors are computed from, their own nodes included.

    Args:
        stop: nodes for which this holds are included, what lies above them is not.
    """
    found: Set[str] = set()
    pending = [node_name(tensor) for tensor in tensors]
    while pending:
        name = pending.pop()
        node = graph.get(name)
        if name in found or node is None:
            continue
        found.add(name)
        if not stop(node):
            pending.extend(node_name(tensor) for tensor in node.inputs)
    return found


def descendants(
    graph: Graph, sources: Iterable[str], follow: Callable[[Use], bool] = lambda use: True
) -> Set[str]:
    """Give the names of all nodes that are computed from the given nodes, these included.

    Args:
        sources: names of nodes.
        follow: tells whether the walk goes on through that operand of that consumer.
    """
    found: Set[str] = set()
    pending = [name for name in sources if name in graph]
    while pending:
        name = pending.pop()
        if name in found:
            continue
        found.add(name)
        for use in graph.successors(name):
            if use.node.name not in found and follow(use):
                pending.append(use.node.name)
    return found


def forward_order(
    graph: Graph, outputs: Iterable[str], stop: Callable[[Node], bool] = lambda node: False
) -> List[Node]:
    """Give all nodes that the outputs need, each after its inputs.

    Depth first from the outputs in the order given, the inputs of a node in their order: as a
    forward pass meets the nodes that computes one operand after the other.

    Args:
        stop: nodes for which this holds are included, what lies above them is not.
    """
    order: List[Node] = []
    entered: Set[str] = set()
    for output in outputs:
        pending: List[Tuple[str, bool]] = [(node_name(output), False)]
        while pending:
            name, complete = pending.pop()
            node = graph.get(name)
            if node is None:
                continue
            if complete:
                order.append(node)
            elif name not in entered:
                entered.add(name)
                pending.append((name, True))
                if not stop(node):
                    pending.extend((node_name(tensor), False) for tensor in reversed(node.inputs))
    return order


def behind(graph: Graph, tensor: str, ops: Iterable[str] = PASS_THROUGH, operand: int = 0) -> str:
    """Give the tensor that a chain of ops of the given types hands on."""
    for _ in range(MAX_CHAIN):
        node = graph.producer(tensor)
        if node is None or node.op not in ops or len(node.inputs) <= operand:
            break
        tensor = node.inputs[operand]
    return tensor


def sole_consumer(graph: Graph, tensor: str) -> Optional[Use]:
    """Give the one consumer of a tensor, None if it has none or several."""
    uses = graph.consumers(tensor)
    return uses[0] if len(uses) == 1 else None
