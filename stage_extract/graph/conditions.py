"""tf.cond of TensorFlow 1 (Switch and Merge), resolved to the branch that is taken.

The executor's own rule decides: the output of a Switch that is not taken is dead, whatever has a
dead input is dead, and a Merge hands on the one input that is alive.
"""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from stage_extract.graph.evaluate import Evaluator
from stage_extract.graph.graphdef import Graph, Node, node_name, output_index
from stage_extract.graph.rewriting import Rewrite
from stage_extract.graph.traverse import LOOP_BACK_OPS, MERGE_OPS, behind

SWITCH_OPS = frozenset(("RefSwitch", "Switch"))

# Each pass can make a predicate known that lies behind a Merge which the pass before resolved.
_MAX_NESTED_PASSES = 16


class Deadness(NamedTuple):
    """What does not run under the known predicates.

    Attributes:
        causes: dead node -> the predicate (a tensor) that makes it dead.
        taken: Switch node -> the value of its predicate, where that is known.
    """

    causes: Dict[str, str]
    taken: Dict[str, bool]

    def covers(self, tensor: str) -> bool:
        """Tell whether a tensor is never computed."""
        name = node_name(tensor)
        if name in self.causes:
            return True
        return name in self.taken and output_index(tensor) != int(self.taken[name])


def find_dead(graph: Graph, evaluator: Evaluator) -> Deadness:
    """Find the nodes that do not run under the predicates that the evaluator knows."""
    dead = Deadness({}, _known_predicates(graph, evaluator))
    if not dead.taken:
        return dead
    controlled: Dict[str, List[Node]] = {}
    for node in graph:
        for control in node.controls:
            controlled.setdefault(control, []).append(node)
    pending = [reader for name in dead.taken for reader in _untaken_readers(graph, name, dead)]
    while pending:
        node, cause = pending.pop()
        if node.name in dead.causes or (node.op in MERGE_OPS and _live_inputs(graph, node, dead)):
            continue
        dead.causes[node.name] = cause
        pending.extend((use.node, cause) for use in graph.successors(node.name))
        pending.extend((other, cause) for other in controlled.get(node.name, ()))
    return dead


class TakenBranches(NamedTuple):
    """A graph without the branches that do not run.

    Attributes:
        graph: the smaller graph, with an Identity for each resolved Switch and Merge.
        rewrites: what was replaced, in the order of the file.
        removed: the nodes that do not run, and the Switch nodes that led only to them.
    """

    graph: Graph
    rewrites: List[Rewrite]
    removed: FrozenSet[str]


def take_branches(graph: Graph, values: Mapping[str, Any]) -> TakenBranches:
    """Remove what is dead, and let Identity stand for each resolved Switch and Merge.

    Args:
        values: switch tensors -> their values under inference.
    """
    rewrites: List[Rewrite] = []
    removed: Set[str] = set()
    for _ in range(_MAX_NESTED_PASSES):
        evaluator = Evaluator(graph, values)
        dead = find_dead(graph, evaluator)
        changes = {change.node: change for change in _replacements(graph, dead, evaluator)}
        if not changes:
            break
        useless = {name for name in dead.taken if _leads_only_to_dead(graph, name, dead)}
        removed.update(dead.causes, useless)
        rewrites.extend(change for change in changes.values() if change.node not in useless)
        graph = _apply(graph, dead, changes, useless)
    return TakenBranches(graph, rewrites, frozenset(removed))


def _leads_only_to_dead(graph: Graph, name: str, dead: Deadness) -> bool:
    uses = graph.successors(name)
    return bool(uses) and all(
        use.node.name in dead.causes or dead.covers(use.tensor) for use in uses
    )


def _known_predicates(graph: Graph, evaluator: Evaluator) -> Dict[str, bool]:
    known: Dict[str, bool] = {}
    for node in graph:
        if node.op in SWITCH_OPS and len(node.inputs) == 2:
            value = evaluator.scalar(node.inputs[1])
            if value is not None:
                known[node.name] = bool(value)
    return known


def _untaken_readers(graph: Graph, name: str, dead: Deadness) -> Iterator[Tuple[Node, str]]:
    switch = graph.get(name)
    if switch is not None:
        for use in graph.successors(name):
            if dead.covers(use.tensor):
                yield use.node, switch.inputs[1]


def _live_inputs(graph: Graph, merge: Node, dead: Deadness) -> List[str]:
    """Give the inputs that can arrive; a loop sends something back only if it was entered."""
    return [
        tensor
        for tensor in merge.inputs
        if not dead.covers(tensor) and not _is_loop_back(graph, tensor)
    ]


def _is_loop_back(graph: Graph, tensor: str) -> bool:
    producer = graph.producer(tensor)
    return producer is not None and producer.op in LOOP_BACK_OPS


def _replacements(graph: Graph, dead: Deadness, evaluator: Evaluator) -> Iterator[Rewrite]:
    for node in graph:
        if node.name in dead.causes:
            continue
        if node.name in dead.taken:
            why = _describe_predicate(graph, node.inputs[1], evaluator)
            yield Rewrite(node.name, node.op, node.inputs[0], why)
        elif node.op in MERGE_OPS and not any(_is_loop_back(graph, one) for one in node.inputs):
            live = _live_inputs(graph, node, dead)
            lost = [tensor for tensor in node.inputs if dead.covers(tensor)]
            if len(live) == 1 and lost:
                why = _describe_predicate(graph, _cause(graph, lost[0], dead), evaluator)
                yield Rewrite(node.name, node.op, live[0], why)


def _cause(graph: Graph, tensor: str, dead: Deadness) -> str:
    name = node_name(tensor)
    switch = graph.get(name)
    if name in dead.causes or switch is None:
        return dead.causes[name]
    return switch.inputs[1]


def _describe_predicate(graph: Graph, predicate: str, evaluator: Evaluator) -> str:
    return f"{behind(graph, predicate)} is {bool(evaluator.scalar(predicate))}"


def _apply(
    graph: Graph, dead: Deadness, changes: Mapping[str, Rewrite], useless: Set[str]
) -> Graph:
    def renamed(tensor: str) -> str:
        # An Identity has one output, whichever output of the Switch or Merge was read.
        name = node_name(tensor)
        return f"{name}:0" if name in changes else tensor

    nodes: Dict[str, Node] = {}
    for node in graph:
        if node.name in dead.causes or node.name in useless:
            continue
        change: Optional[Rewrite] = changes.get(node.name)
        if change is not None:
            node = node.rewired("Identity", (renamed(change.becomes),))
        elif any(node_name(tensor) in changes for tensor in node.inputs):
            node = node.rewired(node.op, tuple(renamed(tensor) for tensor in node.inputs))
        nodes[node.name] = node
    return Graph(nodes)
