"""Walks over a graph. All are iterative: graphs may be as deep as large, and may have cycles."""

from __future__ import annotations

from typing import Callable, Dict, Iterable, List, Set, Tuple

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
MERGE_OPS = frozenset(("Merge", "RefMerge"))
# A loop is entered, sends values back to its Merge, and is left by these.
ENTER_OPS = frozenset(("Enter", "RefEnter"))
LOOP_BACK_OPS = frozenset(("NextIteration", "RefNextIteration"))
EXIT_OPS = frozenset(("Exit", "RefExit"))
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
    outputs = list(outputs)
    loops = _Loops(graph, ancestors(graph, outputs, stop))
    order: List[Node] = []
    entered: Set[str] = set()
    roots = [node_name(tensor) for tensor in outputs] + loops.senders()
    pending: List[Tuple[str, bool]] = [(name, False) for name in reversed(roots)]
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
                pending.extend((one, False) for one in reversed(loops.needed_first(node)))
    return order


class _Loops:
    """The loops of TensorFlow 1: Enter, Merge, Switch, a body, NextIteration, back to Merge, Exit.

    A body counts as lying before the Exit of its loop, and what it sends back as no input.
    """

    def __init__(self, graph: Graph, names: Set[str]) -> None:
        self._graph = graph
        self._senders: Dict[str, List[str]] = {}
        for node in graph:
            if node.name in names and node.op in MERGE_OPS:
                back = [one for one in node.inputs if self._is_sent_back(one)]
                senders = self._senders.setdefault(self._frame(node), []) if back else []
                senders.extend(node_name(one) for one in back)

    def senders(self) -> List[str]:
        """Give all NextIteration nodes of the loops."""
        return [name for names in self._senders.values() for name in names]

    def needed_first(self, node: Node) -> List[str]:
        """Give the nodes that come before a node."""
        found = [node_name(one) for one in node.inputs if not self._is_sent_back(one)]
        if node.op in EXIT_OPS and node.inputs and self._senders:
            switch = self._graph.producer(node.inputs[0])
            merge = self._graph.producer(switch.inputs[0]) if switch and switch.inputs else None
            if merge is not None:
                found.extend(self._senders.get(self._frame(merge), ()))
        return found

    def _is_sent_back(self, tensor: str) -> bool:
        producer = self._graph.producer(tensor)
        return producer is not None and producer.op in LOOP_BACK_OPS

    def _frame(self, merge: Node) -> str:
        for tensor in merge.inputs:
            enter = self._graph.producer(tensor)
            if enter is not None and enter.op in ENTER_OPS:
                return str(enter.attribute("frame_name"))
        return merge.name


def behind(graph: Graph, tensor: str, ops: Iterable[str] = PASS_THROUGH, operand: int = 0) -> str:
    """Give the tensor that a chain of ops of the given types hands on."""
    for _ in range(MAX_CHAIN):
        node = graph.producer(tensor)
        if node is None or node.op not in ops or len(node.inputs) <= operand:
            break
        tensor = node.inputs[operand]
    return tensor
