"""A read-only view of the export's ``graph.json``: variables, layers, nodes and how tensors flow.

Nothing is imported but the standard library, so that models can read a graph without torch. A
tensor is named as TensorFlow names it, ``"node:index"``; a bare node name means its first output.

Nodes that hand their input on unchanged (``PASS_THROUGH_OPS``) are skipped by ``source``,
``producer`` and ``consumers``: ``producer("conv/Identity:0")`` is the convolution itself.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from stage_load.safetensors_header import shared_shape
from stage_load.shared_values import read_only

Shape = tuple["int | None", ...]

PASS_THROUGH_OPS = frozenset(
    {
        "CheckNumerics",
        "EnsureShape",
        "Identity",
        "IdentityN",
        "PreventGradient",
        "Snapshot",
        "StopGradient",
    }
)


@dataclass(frozen=True, slots=True)
class Variable:
    """One tensor of ``variables.safetensors`` and what the graph does with it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    role: str | None
    op_kind: str | None
    source_axes: str | None
    layers: tuple[int, ...]
    order: int | None
    trainable: bool | None
    evidence: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Layer:
    """One application of an operation that reads variables, as the forward pass meets it.

    ``variables`` maps a role (``"kernel"``, ``"bias"``, ``"gamma"`` ...) to a variable's name, and
    ``constants`` a role to the number that stands in the graph instead of a variable.
    ``op_output`` is what the main node computes, ``output`` what a torch module would return, which
    is after the bias. Both are ``None`` when there was no graph to read.
    """

    index: int
    kind: str
    name: str
    op: str | None
    variables: Mapping[str, str]
    constants: Mapping[str, Any]
    input: str | None
    op_output: str | None
    output: str | None
    attributes: Mapping[str, Any]
    activation: str | None
    evidence: str


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the pruned inference graph; ``variable`` is set on nodes that hold one."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    shapes: tuple[Shape | None, ...] | None
    variable: str | None

    def output(self, index: int = 0) -> str:
        """Return the name of the node's output tensor number ``index``."""
        return f"{self.name}:{index}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An input or an output of the model: tensor name, dtype, and shape with ``None`` = unknown."""

    tensor: str
    dtype: str
    shape: Shape | None


def split_tensor(tensor: str) -> tuple[str, int]:
    """Split ``"node:1"`` into ``("node", 1)``; a bare node name means output 0."""
    node, separator, index = tensor.rpartition(":")
    if separator and index.isdigit():
        return node, int(index)
    return tensor, 0


class ExportView:
    """Read-only access to a checked ``graph.json``. Build it with ``ExportView(document)``.

    The document's variables may be objects, or ``Variable`` made of them while they were read.
    """

    inputs: tuple[Endpoint, ...]
    """The model's data inputs, in forward order."""

    outputs: tuple[Endpoint, ...]
    """The model's outputs."""

    layers: tuple[Layer, ...]
    """Applications of operations that read variables, in the order the forward pass meets them."""

    variables: Mapping[str, Variable]
    """Every exported variable by name, sorted."""

    skipped: tuple[Mapping[str, Any], ...]
    """What the export left out: name, dtype, shape, category and reason of each."""

    missing: tuple[Mapping[str, Any], ...]
    """What the graph reads and the checkpoint lacks: variable, dtype, shape and reason of each."""

    reference: Mapping[str, Any]
    """What the reference run recorded, as the contract describes it."""

    rewrites: tuple[Mapping[str, Any], ...]
    """Nodes that the inference graph replaced (dropout, branches not taken), each with why."""

    switches: tuple[Mapping[str, Any], ...]
    """Values that the reference run fixes, such as ``is_training``: tensor, value, why."""

    provenance: Mapping[str, Any]
    """Where the graph came from, or why there is none."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        # The document itself is not kept: of a large export it takes more memory than the view.
        self.inputs = tuple(_endpoint(entry) for entry in document["inputs"])
        self.outputs = tuple(_endpoint(entry) for entry in document["outputs"])
        self.layers = tuple(_layer(entry) for entry in document["layers"])
        variables = (e if isinstance(e, Variable) else variable(e) for e in document["variables"])
        self.variables = MappingProxyType({entry.name: entry for entry in variables})
        self.skipped = tuple(document["skipped"])
        self.missing = tuple(document.get("missing", ()))
        self.rewrites = tuple(document["rewrites"])
        self.switches = tuple(document["switches"])
        self.reference = document["reference"]
        self.provenance = document["source"]
        self._nodes: list[Mapping[str, Any]] = document["nodes"]

    @cached_property
    def nodes(self) -> Mapping[str, Node]:
        """The inference graph's nodes by name, in forward order; empty without a graph."""
        return MappingProxyType({entry["name"]: _node(entry) for entry in self._nodes})

    @property
    def has_graph(self) -> bool:
        """Whether the checkpoint came with a graph; without one, layers are guesses."""
        return self.provenance["graph"] is not None

    def node_of(self, tensor: str) -> Node:
        """Return the node that computes ``tensor``, pass-through nodes included.

        Raises:
            KeyError: no such node in the inference graph.
        """
        return self.nodes[split_tensor(tensor)[0]]

    def source(self, tensor: str) -> str:
        """Follow ``tensor`` back through pass-through nodes and return the tensor that starts it.

        A placeholder with a default counts as a source, not as a pass-through node.
        """
        name, index = split_tensor(tensor)
        while (node := self.nodes.get(name)) is not None and _passes_through(node):
            position = index if node.op == "IdentityN" else 0
            name, index = split_tensor(node.inputs[position])
        return f"{name}:{index}"

    def producer(self, tensor: str) -> Node:
        """Return the node that really computes ``tensor``: ``node_of(source(tensor))``."""
        return self.node_of(self.source(tensor))

    def sources(self, node: Node) -> tuple[str, ...]:
        """Return the node's input tensors, each followed back through pass-through nodes."""
        return tuple(self.source(tensor) for tensor in node.inputs)

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        """Return the nodes that read ``tensor``, directly or through pass-through nodes.

        In forward order, each node once. The pass-through nodes themselves are not listed.
        """
        return self._consumers.get(self.source(tensor), ())

    def shape(self, tensor: str) -> Shape | None:
        """Return the static shape of ``tensor`` in TensorFlow's axes, or ``None`` when unknown."""
        name, index = split_tensor(tensor)
        node = self.nodes.get(name)
        if node is None or node.shapes is None or index >= len(node.shapes):
            return None
        return node.shapes[index]

    def layer_of_output(self, tensor: str) -> Layer | None:
        """Return the layer whose ``output`` is ``tensor`` (pass-through nodes skipped)."""
        return self._layer_by_output.get(self.source(tensor))

    @cached_property
    def _consumers(self) -> Mapping[str, tuple[Node, ...]]:
        found: dict[str, dict[str, Node]] = {}
        for node in self.nodes.values():
            if _passes_through(node):
                continue
            for tensor in self.sources(node):
                found.setdefault(tensor, {})[node.name] = node
        return {tensor: tuple(nodes.values()) for tensor, nodes in found.items()}

    @cached_property
    def _layer_by_output(self) -> Mapping[str, Layer]:
        return {self.source(e.output): e for e in self.layers if e.output is not None}


def _passes_through(node: Node) -> bool:
    return node.op in PASS_THROUGH_OPS and bool(node.inputs)


def _shape(value: Sequence[int | None] | None) -> Shape | None:
    return None if value is None else tuple(value)


def _endpoint(entry: Mapping[str, Any]) -> Endpoint:
    return Endpoint(entry["tensor"], entry["dtype"], _shape(entry["shape"]))


def variable(entry: Mapping[str, Any]) -> Variable:
    """Make a ``Variable`` of its checked entry in ``graph.json``."""
    return Variable(
        name=sys.intern(entry["name"]),
        dtype=sys.intern(entry["dtype"]),
        shape=shared_shape(tuple(entry["shape"])),
        role=_shared(entry["role"]),
        op_kind=_shared(entry["op_kind"]),
        source_axes=_shared(entry["source_axes"]),
        layers=tuple(entry["layers"]),
        order=entry["order"],
        trainable=entry["trainable"],
        evidence=_shared(entry["evidence"]),
        reason=_shared(entry["reason"]),
    )


def _shared(text: str | None) -> str | None:
    """Return the one copy of a text that many entries have."""
    return None if text is None else sys.intern(text)


def _layer(entry: Mapping[str, Any]) -> Layer:
    return Layer(
        index=entry["index"],
        kind=entry["kind"],
        name=entry["name"],
        op=entry["op"],
        variables=MappingProxyType({r: sys.intern(v) for r, v in entry["variables"].items()}),
        constants=read_only(entry.get("constants")),
        input=entry["input"],
        op_output=entry["op_output"],
        output=entry["output"],
        attributes=read_only(entry["attributes"]),
        activation=entry["activation"],
        evidence=entry["evidence"],
    )


def _node(entry: Mapping[str, Any]) -> Node:
    shapes = entry["shapes"]
    return Node(
        name=entry["name"],
        op=entry["op"],
        inputs=tuple(entry["inputs"]),
        attributes=MappingProxyType(dict(entry["attributes"])),
        shapes=None if shapes is None else tuple(_shape(shape) for shape in shapes),
        variable=entry.get("variable"),
    )
