"""One application of variables in the forward pass, and what those who look for it share."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import (
    Any,
    FrozenSet,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from stage_extract.graph.evaluate import Evaluator
from stage_extract.graph.graphdef import Graph, Node, Use
from stage_extract.graph.shapes import StaticShapes
from stage_extract.graph.traverse import behind
from stage_extract.graph.variables import Origin, VariableTable

# Shapes of a vector of channels that broadcasts over images or rows; 1 is an axis of size one.
_VECTOR_AXES = {1: "C", 2: "1C", 3: "11C", 4: "111C", 5: "1111C"}
_CHANNELS_FIRST_AXES = {3: "1C1", 4: "1C11", 5: "1C111"}

# Pointwise ops that torch models write behind a layer.
ACTIVATIONS = frozenset(
    ("Elu", "LeakyRelu", "LogSoftmax", "Relu", "Relu6", "Selu", "Sigmoid", "Softmax", "Softplus",
     "Softsign", "Tanh")
)  # fmt: skip

# Scopes that TensorFlow opens inside a layer: tf.cond, tf.nn.batch_normalization, tf.tensordot,
# tf.contrib.layers.instance_norm.
_OWN_SCOPES = re.compile(r"(/(cond|batchnorm|instancenorm|Tensordot)(_\d+)?)+$")

# One for all layers, so that tens of thousands of them do not hold an empty dict each.
NO_CONSTANTS: Mapping[str, Any] = MappingProxyType({})


class Layer(NamedTuple):
    """One application of variables.

    Attributes:
        kind: an op kind of the contract.
        op: the node that reads the (first) variable.
        variables: role -> variable of the checkpoint.
        axes: variable -> letters of its axes.
        constants: role -> number or list of numbers that stands where a variable could.
        input: the tensor that the layer transforms.
        op_output: the result before a bias that follows directly.
        output: the result after it.
        attributes: as the contract lists them for the kind.
        activation: type of the pointwise op that alone reads the output.
        reason: why the layer is of kind "other".
        nodes: the nodes that the layer consists of.
    """

    kind: str
    op: str
    variables: Mapping[str, str]
    axes: Mapping[str, str]
    input: Optional[str]
    op_output: str
    output: str
    attributes: Mapping[str, Any]
    nodes: FrozenSet[str]
    constants: Mapping[str, Any] = NO_CONSTANTS
    activation: Optional[str] = None
    reason: Optional[str] = None

    def scope(self) -> str:
        """Give the name of the layer: the scope of its op, or the op itself if it has no scope."""
        scope = _OWN_SCOPES.sub("", self.op.rpartition("/")[0])
        return scope or self.op


class NoMatch(NamedTuple):
    """Why a node that reads a variable is no layer of a known kind."""

    reason: str


class Forward:
    """The forward pass as the matchers see it.

    Attributes:
        graph: the pruned inference graph; only its own nodes count as consumers.
        order: its nodes, each after its inputs.
        table: the variables.
        shapes: static shapes.
        evaluator: constants under the switches of inference.
        saved: the graph as it was saved, with what restores its variables.
    """

    def __init__(
        self,
        order: Sequence[Node],
        table: VariableTable,
        shapes: StaticShapes,
        evaluator: Evaluator,
        saved: Graph,
    ) -> None:
        self.graph = Graph({node.name: node for node in order})
        self.order = list(order)
        self.table = table
        self.shapes = shapes
        self.evaluator = evaluator
        self.saved = saved

    def plain_variable(self, tensor: str) -> Plain:
        """Give the variable behind a tensor if it arrives whole and as it is stored."""
        origin = self.table.origin(tensor)
        if origin is None:
            return Plain(None, "its kernel is computed in the graph, not read from a variable")
        reason = why_not_plain(origin)
        if reason is None and origin.reshaping:
            ops = ", ".join(node.op for node in origin.reshaping)
            reason = f"its variable is rearranged first ({ops})"
        return Plain(None if reason else origin.variable, reason)

    def vector(self, tensor: str) -> Optional[Tuple[str, str]]:
        """Give (variable, axes) of a vector of channels, however it is shaped for broadcasting."""
        origin = self.table.origin(tensor)
        if origin is None or why_not_plain(origin) is not None:
            return None
        if any(node.op == "Transpose" for node in origin.reshaping):
            return None
        axes = vector_axes(self.table.info[origin.variable].shape)
        return None if axes is None else (origin.variable, axes)

    def operand(self, node: Node, index: int) -> str:
        """Give the tensor behind an operand, Identity and the like left out."""
        return behind(self.graph, node.operand(index))

    def readers(self, tensor: str) -> List[Use]:
        """Give who reads a tensor in the pruned graph, looking through Identity."""
        found: List[Use] = []
        pending = [tensor]
        while pending:
            for use in self.graph.consumers(pending.pop()):
                if use.node.op == "Identity":
                    pending.append(f"{use.node.name}:0")
                else:
                    found.append(use)
        return found

    def sole_reader(self, tensor: str) -> Optional[Use]:
        """Give the one op that reads a tensor, None if there are several or none."""
        uses = self.readers(tensor)
        return uses[0] if len(uses) == 1 else None


class Plain(NamedTuple):
    """A variable that arrives as it is stored, or why none does."""

    variable: Optional[str]
    reason: Optional[str]


def why_not_plain(origin: Origin) -> Optional[str]:
    """Give why a variable cannot be taken as a layer's own, None if it can."""
    if origin.in_loop:
        return "inside a while loop"
    if origin.part is not None:
        return f"reads part {origin.part} of a partitioned variable"
    return None


def vector_axes(shape: Sequence[Optional[int]]) -> Optional[str]:
    """Give the axes of a vector of channels, None if the shape is not one."""
    if len(shape) >= 3 and shape[1] != 1 and all(size == 1 for size in (shape[0], *shape[2:])):
        return _CHANNELS_FIRST_AXES.get(len(shape))
    if len(shape) not in _VECTOR_AXES or any(size != 1 for size in shape[:-1]):
        return None
    return _VECTOR_AXES[len(shape)]


def is_channels_first(vector: str) -> bool:
    """Tell whether a vector with these axes broadcasts over images [N, C, ...]."""
    return vector in _CHANNELS_FIRST_AXES.values()


def spatial_places(data_format: str) -> List[int]:
    """Give the numbers of the spatial axes: [1, 2] for NHWC."""
    return [place for place, letter in enumerate(data_format) if letter not in "NC"]


def spatial_sizes(values: Any, data_format: str) -> Optional[List[int]]:
    """Give the spatial entries of a list with one entry an axis, None if it is not such a list."""
    if not isinstance(values, list) or len(values) != len(data_format):
        return None
    sizes = [values[place] for place in spatial_places(data_format)]
    if any(not isinstance(size, int) or size < 1 for size in sizes):
        return None
    return sizes
