"""A MetaGraphDef as a light graph of immutable nodes, parsed without registering any op.

`import_meta_graph` refuses graphs with ops that this TensorFlow does not know; a protocol buffer
can always be read.
"""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy

from stage_extract.graph import attributes
from stage_extract.graph.attributes import Shape
from stage_extract.messages import DecodeError, GraphDef, MetaGraphDef, NodeDef


class GraphUnreadable(ValueError):
    """The bytes are no MetaGraphDef; the message says what is wrong with them."""


class Node:
    """One operation. Never changed after it was made; `rewired` gives a changed copy.

    Attributes:
        name: unique in its graph.
        op: TensorFlow's op type.
        inputs: the tensors it computes from, as "node:index".
        controls: the nodes that must run before it.
        proto: the NodeDef it was read from.
    """

    __slots__ = ("controls", "inputs", "name", "op", "proto")

    def __init__(
        self,
        name: str,
        op: str,
        inputs: Tuple[str, ...],
        controls: Tuple[str, ...],
        proto: NodeDef,
    ) -> None:
        self.name = name
        self.op = op
        self.inputs = inputs
        self.controls = controls
        self.proto = proto

    def attribute(self, key: str) -> Any:
        """Give one attribute as a plain value, None if the node has none of that name and type."""
        if key not in self.proto.attr:
            return None
        return attributes.typed_value(key, self.proto.attr[key])

    def operand(self, index: int) -> str:
        """Give the tensor at one operand; "", which names none, where the node has fewer."""
        return self.inputs[index] if 0 <= index < len(self.inputs) else ""

    def constant(self) -> Optional[numpy.ndarray]:
        """Give the value of a Const node; None for any other node and for very large constants."""
        if self.op != "Const" or "value" not in self.proto.attr:
            return None
        return attributes.tensor_value(self.proto.attr["value"].tensor)

    def shape_attribute(self, output: int) -> Shape:
        """Give the static shape of one output as the graph's author had it, None if unknown."""
        shapes = self.proto.attr["_output_shapes"].list.shape if self.has_shapes() else ()
        return attributes.shape_value(shapes[output]) if output < len(shapes) else None

    def has_shapes(self) -> bool:
        """Tell whether the graph was saved with the static shapes of this node's outputs."""
        return "_output_shapes" in self.proto.attr

    def copied(self) -> Node:
        """Give a copy with a NodeDef of its own.

        What is read from a NodeDef stays in memory for as long as that lives.
        """
        proto = NodeDef()
        proto.CopyFrom(self.proto)
        return Node(self.name, self.op, self.inputs, self.controls, proto)

    def rewired(self, op: str, inputs: Tuple[str, ...]) -> Node:
        """Give a copy with another op and other data inputs, and without control inputs."""
        return Node(self.name, op, inputs, (), self.proto)


class Use(NamedTuple):
    """One operand of one node: who reads a tensor."""

    node: Node
    operand: int
    tensor: str


class Graph:
    """Nodes by name, in the order of the file, and who consumes them."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes = dict(nodes)
        self._successors: Optional[Dict[str, List[Use]]] = None

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, name: str) -> Optional[Node]:
        """Give a node by its name, None if the graph lacks it."""
        return self._nodes.get(name)

    def producer(self, tensor: str) -> Optional[Node]:
        """Give the node that computes a tensor, None if the graph lacks it."""
        return self._nodes.get(node_name(tensor))

    def successors(self, name: str) -> Sequence[Use]:
        """Give who reads any output of a node, in the order of the file."""
        if self._successors is None:
            self._successors = {}
            for node in self:
                for operand, tensor in enumerate(node.inputs):
                    source = node_name(tensor)
                    if source not in self._successors:
                        producer = self._nodes.get(source)
                        self._successors[source if producer is None else producer.name] = []
                    self._successors[source].append(Use(node, operand, tensor))
        return self._successors.get(name, ())

    def has_tensor(self, tensor: str) -> bool:
        """Tell whether a node of that name has an output of that number, as far as it says."""
        node = self.producer(tensor)
        if node is None:
            return False
        shapes = node.proto.attr["_output_shapes"].list.shape if node.has_shapes() else None
        return shapes is None or output_index(tensor) < len(shapes)

    def consumers(self, tensor: str) -> List[Use]:
        """Give who reads one tensor, in the order of the file."""
        return [use for use in self.successors(node_name(tensor)) if use.tensor == tensor]

    def with_nodes(self, changed: Mapping[str, Node]) -> Graph:
        """Give a graph in which some nodes are replaced: this one, where none are."""
        if not changed:
            return self
        return Graph({name: changed.get(name, node) for name, node in self._nodes.items()})


class MetaGraph(NamedTuple):
    """What a .meta file holds.

    Attributes:
        graph: the nodes.
        proto: the whole MetaGraphDef, for collections and signatures.
        original: the nodes as they were saved, where functions have been written out in `graph`.
        renamed: output of a call that was written out -> the tensor that stands for it.
        refused: calls that could not be written out, and why.
    """

    graph: Graph
    proto: MetaGraphDef
    original: Optional[Graph] = None
    renamed: Mapping[str, str] = MappingProxyType({})
    refused: Mapping[str, str] = MappingProxyType({})

    @property
    def producer(self) -> int:
        """The GraphDef version of the TensorFlow that wrote the graph."""
        return int(self.proto.graph_def.versions.producer)

    def tensor(self, reference: str) -> str:
        """Give "node" or "node:1" of the file as the tensor that stands for it in `graph`."""
        name = tensor_name(reference)
        return self.renamed.get(name, name)


def node_name(tensor: str) -> str:
    """Give the node of "node:index"."""
    return tensor.rpartition(":")[0]


def output_index(tensor: str) -> int:
    """Give the index of "node:index"."""
    return int(tensor.rpartition(":")[2])


def tensor_name(reference: str) -> str:
    """Give a NodeDef input ("node", "node:1") as "node:index"."""
    head, colon, index = reference.rpartition(":")
    if colon and index.isdigit():
        return f"{head}:{int(index)}"
    return reference + ":0"


def parse_meta_graph(content: bytes) -> MetaGraph:
    """Read the bytes of a .meta file.

    Raises:
        GraphUnreadable: they are no MetaGraphDef, it has no nodes, or two of one name.
    """
    proto = MetaGraphDef()
    try:
        # protobuf stops at a stray end mark, and only warns of the bytes behind it.
        if proto.ParseFromString(content) != len(content):
            raise DecodeError("there are bytes behind its end")
    except (DecodeError, RuntimeError) as error:
        raise GraphUnreadable(f"its {len(content)} bytes are no MetaGraphDef ({error})") from error
    return to_meta_graph(proto)


def to_meta_graph(proto: MetaGraphDef) -> MetaGraph:
    """Give a decoded MetaGraphDef with its nodes.

    Raises:
        GraphUnreadable: it has no nodes, or two of one name.
    """
    if not proto.graph_def.node:
        raise GraphUnreadable("it holds no nodes")
    return MetaGraph(parse_graph(proto.graph_def), proto)


def parse_graph(graph_def: GraphDef) -> Graph:
    """Read a GraphDef.

    Raises:
        GraphUnreadable: two nodes have one name.
    """
    nodes: Dict[str, Node] = {}
    for proto in graph_def.node:
        if proto.name in nodes:
            raise GraphUnreadable(f"two of its nodes are called {proto.name!r}")
        nodes[proto.name] = _node(proto)
    return Graph(nodes)


def _node(proto: NodeDef) -> Node:
    inputs: List[str] = []
    controls: List[str] = []
    for reference in proto.input:
        if reference.startswith("^"):
            controls.append(reference[1:])
        else:
            # One string for all readers of a tensor.
            inputs.append(sys.intern(tensor_name(reference)))
    return Node(proto.name, sys.intern(proto.op), tuple(inputs), tuple(controls), proto)
