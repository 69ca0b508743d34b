"""Pointwise functions of cells: gates, activations, clipping."""

from __future__ import annotations

from types import MappingProxyType
from typing import FrozenSet, List, Mapping, NamedTuple, Optional, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward
from stage_extract.graph.layers.recurrent.affine import Affine, read_affine
from stage_extract.graph.layers.recurrent.columns import STEP_OPS, Cuts, whole_of
from stage_extract.graph.traverse import behind

ACTIVATIONS: Mapping[str, str] = MappingProxyType(
    {
        "Elu": "elu",
        "Relu": "relu",
        "Relu6": "relu6",
        "Selu": "selu",
        "Sigmoid": "sigmoid",
        "Softplus": "softplus",
        "Softsign": "softsign",
        "Tanh": "tanh",
    }
)
# tf.keras.backend.hard_sigmoid of TensorFlow 1.15: clip(0.2 x + 0.5, 0, 1).
_HARD_SIGMOID_SLOPE = 0.2
_HARD_SIGMOID_OFFSET = 0.5
_ADD_OPS = frozenset(("Add", "AddV2"))
_MAX_CUTS = 4


class Gate(NamedTuple):
    """A function of a sum.

    Attributes:
        function: its name, as Keras calls it.
        affine: the sum.
        nodes: the nodes that compute it.
    """

    function: str
    affine: Affine
    nodes: FrozenSet[str]


class Clipped(NamedTuple):
    """A tensor within [-bound, bound]."""

    tensor: str
    bound: Optional[float]
    nodes: Tuple[str, ...]


def read_gate(forward: Forward, tensor: str) -> Optional[Gate]:
    """Read a tensor as a function of a sum; the columns may be taken before or after it."""
    cuts: Cuts = ()
    nodes: List[str] = []
    for _ in range(_MAX_CUTS):
        tensor = behind(forward.graph, tensor, STEP_OPS)
        whole = whole_of(forward, tensor)
        if whole is None:
            break
        nodes.append(tensor.rpartition(":")[0])
        tensor, cuts = whole[0], (whole[1], *cuts)
    inner = read_function(forward, tensor)
    if inner is None:
        return None
    affine = read_affine(forward, inner[1], cuts)
    if affine is None or not affine.products:
        return None
    return Gate(inner[0], affine, affine.nodes.union(nodes, inner[2]))


def read_function(forward: Forward, tensor: str) -> Optional[Tuple[str, str, Tuple[str, ...]]]:
    """Give (function, its argument, nodes) of a pointwise function, None if it is none."""
    node = forward.graph.producer(behind(forward.graph, tensor, STEP_OPS))
    if node is None:
        return None
    if node.op in ACTIVATIONS:
        return ACTIVATIONS[node.op], node.operand(0), (node.name,)
    return _hard_sigmoid(forward, node)


def _hard_sigmoid(forward: Forward, node: Node) -> Optional[Tuple[str, str, Tuple[str, ...]]]:
    nodes: List[str] = []
    tensor = f"{node.name}:0"
    steps = (
        (frozenset(("Maximum",)), 0.0),
        (frozenset(("Minimum",)), 1.0),
        (_ADD_OPS, _HARD_SIGMOID_OFFSET),
        (frozenset(("Mul",)), _HARD_SIGMOID_SLOPE),
    )
    for ops, number in steps:
        found = _with_number(forward, tensor, ops)
        if found is None or found[1] != number:
            return None
        nodes.append(tensor.rpartition(":")[0])
        tensor = found[0]
    return "hard_sigmoid", tensor, tuple(nodes)


def _with_number(forward: Forward, tensor: str, ops: FrozenSet[str]) -> Optional[Tuple[str, float]]:
    """Give the other operand and the number of an op that combines a tensor with a number."""
    node = forward.graph.producer(behind(forward.graph, tensor, STEP_OPS))
    if node is None or node.op not in ops or len(node.inputs) != 2:
        return None
    for index in (1, 0):
        number = forward.evaluator.scalar(node.operand(index))
        if number is not None:
            return behind(forward.graph, node.operand(1 - index), STEP_OPS), float(number)
    return None


def clipped(forward: Forward, tensor: str) -> Clipped:
    """Give what reads a tensor as clip_by_value(tensor, -bound, bound), else the tensor itself."""
    for use in forward.readers(tensor):
        if use.node.op != "Minimum":
            continue
        upper = _with_number(forward, f"{use.node.name}:0", frozenset(("Minimum",)))
        for outer in forward.readers(f"{use.node.name}:0"):
            lower = _with_number(forward, f"{outer.node.name}:0", frozenset(("Maximum",)))
            if upper is not None and lower is not None and lower[1] == -upper[1]:
                names = (use.node.name, outer.node.name)
                return Clipped(f"{outer.node.name}:0", upper[1], names)
    return Clipped(tensor, None, ())
