"""From any tensor of a graph back to the checkpoint's variable that it hands on."""

from __future__ import annotations

from types import MappingProxyType
from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional, Set, Tuple

from stage_extract.graph.attributes import Shape
from stage_extract.graph.graphdef import Graph, Node, node_name
from stage_extract.graph.keys import Naming
from stage_extract.graph.savers import PART_NAME, READ_OPS, VARIABLE_OPS, Slice
from stage_extract.graph.tiles import CONCATENATIONS, concatenated, find_tiles
from stage_extract.graph.traverse import ENTER_OPS, MAX_CHAIN
from stage_extract.reader import VariableInfo

# Ops that arrange a variable's elements anew, without arithmetic, on the way to its reader.
RESHAPING_OPS = frozenset(("ExpandDims", "Reshape", "Squeeze", "Transpose"))
_TRANSPARENT_OPS = READ_OPS | RESHAPING_OPS | frozenset(("Cast",))


class Origin(NamedTuple):
    """The variable behind a tensor.

    Attributes:
        variable: its name in the checkpoint.
        node: the graph's variable node; the first part's, if the variable is partitioned.
        reshaping: the ops that arranged its elements anew, from the variable on.
        in_loop: the tensor has entered a while loop.
        part: number of the part, if the tensor holds only one part of several; else None.
    """

    variable: str
    node: str
    reshaping: Tuple[Node, ...]
    in_loop: bool
    part: Optional[int]


class Partitions(NamedTuple):
    """How a whole variable of the checkpoint is cut in the graph."""

    axis: int
    names: Tuple[str, ...]


class VariableTable:
    """The variables of a checkpoint, and the nodes of a graph that hold them.

    Args:
        naming: the keys of the graph's variables.
        variables: what is exported.
        averages: variable -> its moving average, which takes its place.
    """

    def __init__(
        self,
        graph: Graph,
        naming: Naming,
        variables: Iterable[VariableInfo],
        averages: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._graph = graph
        self._saved = naming.saved
        self.info: Dict[str, VariableInfo] = {info.name: info for info in variables}
        self._own = {node: key for node, key in naming.keys.items() if key in self.info}
        self._parts = _group_parts(self._own, self._saved.slices)
        self._averages = averages
        self._averaged = {average: name for name, average in averages.items()}
        self._names = {node: averages.get(key, key) for node, key in self._own.items()}
        self._origins: Dict[str, Optional[Origin]] = {}
        self._folded: Set[str] = set()

    @property
    def graph(self) -> Graph:
        """The graph whose nodes it knows."""
        return self._graph

    def add_folded(self, tensor: str, info: VariableInfo) -> None:
        """Take a tensor that is computed from variables for a variable of its own.

        Args:
            tensor: the first output of its node.
            info: what a checkpoint would say of it; the name is free.
        """
        self.info[info.name] = info
        self._names[node_name(tensor)] = info.name
        self._folded.add(node_name(tensor))
        self._origins.clear()

    def free_name(self, name: str) -> str:
        """Give a name that no variable has, like the given one."""
        while name in self.info:
            name += "/folded"
        return name

    def name_of(self, node: str) -> Optional[str]:
        """Give the checkpoint's name for a variable node, None if the checkpoint lacks it."""
        return self._names.get(node)

    def nodes_of(self, variable: str) -> List[str]:
        """Give the nodes that hold a variable of the checkpoint, in order of their parts."""
        return self._parts.get(self.averaged(variable), [])

    def averaged(self, variable: str) -> str:
        """Give the variable whose place a moving average has taken; any other one itself."""
        return self._averaged.get(variable, variable)

    def own_name(self, variable: str) -> Optional[str]:
        """Give a variable's name in the graph, None if the graph lacks it."""
        nodes = self._parts.get(variable, ())
        part = self._saved.slices.get(nodes[0]) if nodes else None
        if not nodes:
            return None
        whole = PART_NAME.match(nodes[0]) if part is not None else None
        return nodes[0] if whole is None else whole["whole"]

    def trainable(self, variable: str) -> Optional[bool]:
        """Tell whether the graph trains a variable, None if it does not say."""
        known = [
            self._saved.trainable[node]
            for node in self.nodes_of(variable)
            if node in self._saved.trainable
        ]
        return any(known) if known else None

    def partitions(self, variable: str) -> Optional[Partitions]:
        """Give how the graph cuts a variable that the checkpoint holds in one piece, else None."""
        nodes = [node for node in self.nodes_of(variable) if node in self._saved.slices]
        if not nodes or nodes == [variable]:
            return None
        # The contract's `partitions` has one axis: of more it would tell something wrong.
        if len(self._cut_axes(nodes)) > 1:
            return None
        return Partitions(self._cut_axis(nodes), tuple(nodes))

    def origin(self, tensor: str) -> Optional[Origin]:
        """Give the variable that a tensor hands on, None if it is computed from anything else."""
        if tensor not in self._origins:
            origin = self._trace(tensor)
            self._origins[tensor] = origin
        return self._origins[tensor]

    def missing(self, tensor: str) -> Optional[str]:
        """Give the variable that a tensor hands on and the checkpoint lacks, None if it has it."""
        node, _, _ = self._walk(tensor)
        if node is None or node.op not in VARIABLE_OPS or node.name in self._names:
            return None
        return node.name

    def is_handing_on(self, node: Node) -> bool:
        """Tell whether a node only hands a variable on to its readers."""
        return (
            node.op in _TRANSPARENT_OPS
            or node.op in VARIABLE_OPS
            or (node.op in CONCATENATIONS and self._is_joining(node))
        )

    def _is_joining(self, concatenation: Node) -> bool:
        """Tell whether a concatenation gives a variable, or a row of the parts of one."""
        if self.origin(f"{concatenation.name}:0") is not None:
            return True
        readers = [use.node for use in self._graph.successors(concatenation.name)]
        return bool(readers) and all(
            one.op in CONCATENATIONS and self.origin(f"{one.name}:0") is not None for one in readers
        )

    def is_rearranged(self, tensor: str) -> bool:
        """Tell whether a tensor hands on a variable in another shape than it is stored in."""
        origin = self.origin(tensor)
        return origin is not None and bool(origin.reshaping)

    def _siblings(self, node: str) -> List[str]:
        """Give the nodes that hold the parts of one variable, in order."""
        return self._parts.get(self._own.get(node, ""), [])

    def _cut_axes(self, nodes: List[str]) -> List[int]:
        offsets = [self._saved.slices[node].offset for node in nodes]
        return [
            axis
            for axis in range(max(len(offset or ()) for offset in offsets))
            if len({offset[axis] for offset in offsets if offset and axis < len(offset)}) > 1
        ]

    def _cut_axis(self, nodes: List[str]) -> int:
        for axis in self._cut_axes(nodes):
            return axis
        shapes = [_variable_shape(self._graph.get(node)) for node in nodes]
        return _differing_axis(shapes, self.info[self._names[nodes[0]]].shape)

    def _trace(self, tensor: str) -> Optional[Origin]:
        node, reshaping, in_loop = self._walk(tensor)
        if node is None:
            return None
        if node.op in CONCATENATIONS and node.name not in self._folded:
            origin = self._joined(node)
            if origin is None:
                return None
            return origin._replace(reshaping=reshaping, in_loop=in_loop or origin.in_loop)
        name = self._names.get(node.name)
        if name is None:
            return None
        nodes = self._siblings(node.name)
        several = len(nodes) > 1 and node.name in self._saved.slices
        part = nodes.index(node.name) if several else None
        return Origin(name, node.name, reshaping, in_loop, part)

    def _walk(self, tensor: str) -> Tuple[Optional[Node], Tuple[Node, ...], bool]:
        """Walk back over transparent ops to the first node that is none."""
        reshaping: List[Node] = []
        in_loop = False
        node = self._graph.producer(tensor)
        for _ in range(MAX_CHAIN):
            if node is None or node.op not in _TRANSPARENT_OPS or not node.inputs:
                break
            if node.name in self._folded:
                break
            in_loop = in_loop or node.op in ENTER_OPS
            if node.op in RESHAPING_OPS:
                reshaping.append(node)
            node = self._graph.producer(node.inputs[0])
        return node, tuple(reversed(reshaping)), in_loop

    def _tiled(self, concatenation: Node) -> Optional[Origin]:
        """Give the variable whose parts along several axes are joined, each in its own place."""
        tiles = find_tiles(self._graph, concatenation)
        if tiles is None:
            return None
        first = min(tiles.offsets, key=lambda name: tiles.offsets[name])
        wanted = {
            name: self._saved.slices[name].offset
            for name in self._siblings(first)
            if name in self._saved.slices
        }
        whole = self.info.get(self._names.get(first, ""))
        if wanted != tiles.offsets or whole is None or whole.shape != tiles.shape:
            return None
        return Origin(whole.name, first, (), False, None)

    def _joined(self, concatenation: Node) -> Optional[Origin]:
        """Give the variable whose parts a concatenation joins again, all of them and in order."""
        tensors, _ = concatenated(concatenation)
        origins = []
        for tensor in tensors:
            node, reshaping, in_loop = self._walk(tensor)
            if node is not None and node.op in CONCATENATIONS:
                return self._tiled(concatenation)
            name = self._names.get(node.name) if node is not None else None
            if node is None or name is None or reshaping:
                return None
            origins.append(Origin(name, node.name, (), in_loop, None))
        if not origins or [one.node for one in origins] != self._siblings(origins[0].node):
            return None
        if len({one.variable for one in origins}) != 1:
            return None
        return origins[0]


def _group_parts(names: Mapping[str, str], slices: Mapping[str, Slice]) -> Dict[str, List[str]]:
    """Give, for each variable of the checkpoint, its nodes in order of their parts."""
    groups: Dict[str, List[str]] = {}
    for node, name in names.items():
        groups.setdefault(name, []).append(node)

    def key(node: str) -> Tuple[int, str]:
        return (slices[node].part if node in slices else 0, node)

    return {name: sorted(nodes, key=key) for name, nodes in groups.items()}


def _variable_shape(node: Optional[Node]) -> Shape:
    sizes = node.attribute("shape") if node is not None else None
    return None if sizes is None else tuple(sizes)


def _differing_axis(shapes: List[Shape], whole: Tuple[int, ...]) -> int:
    for axis, size in enumerate(whole):
        if any(shape and axis < len(shape) and shape[axis] != size for shape in shapes):
            return axis
    return 0
