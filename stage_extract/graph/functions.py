"""Functions and functional control flow, written out as plain nodes.

TensorFlow lowers such graphs in the same way before it runs them (core/common_runtime:
inline_function_utils.cc, lower_if_op.cc, lower_while_op.cc): a call becomes the nodes of its
function, an If becomes Switch and Merge, a While becomes the loop of TensorFlow 1.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Set

from stage_extract.graph.control_flow import Lowerer
from stage_extract.graph.function_library import (
    IF_OPS,
    FunctionLibrary,
    FunctionUnusable,
    first_difference,
)
from stage_extract.graph.graphdef import Graph, MetaGraph, Node, node_name, tensor_name
from stage_extract.graph.machinery import is_update

# Functions may call one twice that calls another twice: what is written out can be beyond measure.
MOST_NODES = 500_000
MOST_CHARACTERS = 100_000_000
MOST_DEPTH = 40


class Size(NamedTuple):
    """What a function becomes when it is written out: nodes, and characters of their names."""

    nodes: int
    characters: int


def lower_functions(meta: MetaGraph) -> MetaGraph:
    """Write out the functions that a graph's nodes run.

    The first output of a call keeps its name ("call:0"); `renamed` tells what stands for the
    others. A call that cannot be written out stays as it is; `refused` tells why.
    """
    library = FunctionLibrary(meta.proto)
    calls = [node for node in meta.graph if library.called(node)]
    if not calls:
        return meta
    sizes = _Sizes(library)
    refused: Dict[str, str] = {}
    room = Size(MOST_NODES, MOST_CHARACTERS)
    for node in calls:
        size = sizes.of_call(node)
        if size is not None:
            room = Size(room.nodes - size.nodes, room.characters - size.characters)
        if min(room) < 0:
            refused[node.name] = (
                f"the graph's functions, written out, are more than {MOST_NODES} nodes"
            )
    lowerer = Lowerer(meta.graph, library, sizes.problem, refused)
    nodes = lowerer.run()
    kept = _needed(meta, nodes, lowerer)
    graph = Graph({name: node for name, node in nodes.items() if name in kept})
    return meta._replace(graph=graph, original=meta.graph, renamed=lowerer.renamed, refused=refused)


def _needed(meta: MetaGraph, nodes: Dict[str, Node], lowerer: Lowerer) -> Set[str]:
    """Give the nodes that the graph's own nodes, its author or an update of a state ask for.

    Functions often compute more than their caller reads; TensorFlow does not run the rest.
    """
    renamed = lowerer.renamed
    pending = [name for name, node in nodes.items() if is_update(node) or node.op == "NoOp"]
    for node in meta.graph:
        # A call is asked for by whoever reads it.
        if node.name not in lowerer.lowered or not meta.graph.successors(node.name):
            pending.append(node.name)
            pending += [node_name(renamed[one]) for one in _later_outputs(node.name, renamed)]
    for signature in meta.proto.signature_def.values():
        for info in signature.outputs.values():
            tensor = tensor_name(info.name)
            pending.append(node_name(renamed.get(tensor, tensor)))
    found: Set[str] = set()
    while pending:
        name = pending.pop()
        if name not in found and name in nodes:
            found.add(name)
            pending.extend(map(node_name, nodes[name].inputs))
            pending.extend(nodes[name].controls)
    return found


def _later_outputs(name: str, renamed: Dict[str, str]) -> List[str]:
    found: List[str] = []
    while f"{name}:{len(found) + 1}" in renamed:
        found.append(f"{name}:{len(found) + 1}")
    return found


class _Sizes:
    """Tells what calls become when they are written out, and which cannot be."""

    def __init__(self, library: FunctionLibrary) -> None:
        self._library = library
        self._sizes: Dict[str, Optional[Size]] = {}
        self._open: List[str] = []
        self._calling_themselves: Set[str] = set()

    def problem(self, node: Node) -> Optional[str]:
        """Say why a call cannot be written out, None if it can."""
        try:
            difference = first_difference(node, self._library)
        except FunctionUnusable as error:
            return str(error)
        if difference is not None:
            return difference
        if node.op in IF_OPS and node.attribute("Tcond") != "bool":
            return "its condition is no truth value"
        for name in self._library.called(node):
            if self._of(name) is None:
                if name in self._calling_themselves:
                    return f"the function '{name}' calls itself"
                return f"the function '{name}' is too large or nested too deeply"
        return None

    def of_call(self, node: Node) -> Optional[Size]:
        """Give the size of a call, None if it cannot be written out."""
        if self.problem(node) is not None:
            return None
        own = len(self._library.called(node)) * 6 * (len(node.inputs) + 1)
        total = Size(own, own * len(node.name))
        for name in self._library.called(node):
            size = self._of(name)
            if size is not None:
                characters = size.characters + size.nodes * (len(node.name) + len("/else"))
                total = Size(total.nodes + size.nodes, total.characters + characters)
        return total

    def _of(self, name: str) -> Optional[Size]:
        if name in self._open:
            self._calling_themselves.update(self._open[self._open.index(name) :])
            return None
        if name not in self._sizes:
            self._open.append(name)
            self._sizes[name] = self._sum(name) if len(self._open) <= MOST_DEPTH else None
            self._open.pop()
        if name in self._calling_themselves:
            return None
        return self._sizes[name]

    def _sum(self, name: str) -> Optional[Size]:
        nodes, characters = 0, 0
        for node in self._library.body(name).nodes:
            nodes, characters = nodes + 1, characters + len(node.name)
            size = self.of_call(node) if self._library.called(node) else None
            if size is not None:
                nodes, characters = nodes + size.nodes, characters + size.characters
        return Size(nodes, characters) if nodes <= MOST_NODES else None
