"""Static shapes of tensors, without TensorFlow's own inference.

The Saver writes the shapes that TensorFlow inferred beside each node; a graph exported otherwise
has none, and only what a node itself or a rule (see `shape_rules`) tells for certain is given then.
"""

from __future__ import annotations

from typing import Dict, Optional, Set

from stage_extract.graph.attributes import Shape, shape_value
from stage_extract.graph.evaluate import Evaluator
from stage_extract.graph.graphdef import Graph, Node, output_index
from stage_extract.graph.savers import VARIABLE_OPS
from stage_extract.graph.shape_rules import shape_of_output
from stage_extract.graph.switches import PLACEHOLDER_OPS
from stage_extract.graph.traverse import PASS_THROUGH, forward_order

# Pointwise ops with one operand of the result's shape.
_SAME_SHAPE_OPS = PASS_THROUGH | frozenset(
    (
        "BiasAdd", "Cast", "Elu", "Exp", "LeakyRelu", "Log", "LogSoftmax", "Neg", "ReadVariableOp",
        "Relu", "Relu6", "Selu", "Sigmoid", "Softmax", "Softplus", "Softsign", "Sqrt", "Square",
        "Tanh", "ZerosLike", "OnesLike",
    )
)  # fmt: skip


class StaticShapes:
    """Looks shapes up in one graph; in one that was saved without any, infers them by rules."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: Dict[str, Shape] = {}
        if not any(node.has_shapes() for node in graph):
            self._infer()

    def _infer(self) -> None:
        evaluator = Evaluator(self._graph, {})
        for node in forward_order(self._graph, [f"{node.name}:0" for node in self._graph]):
            operands = [self.of(tensor) for tensor in node.inputs]
            shape = shape_of_output(node, operands, evaluator)
            if shape is not None:
                self._known[f"{node.name}:0"] = shape

    def of(self, tensor: str) -> Shape:
        """Give the static shape of a tensor, None for an unknown rank."""
        chain = []
        seen: Set[str] = set()
        current = tensor
        shape: Shape = None
        while current not in seen:
            seen.add(current)
            if current in self._known:
                shape = self._known[current]
                break
            chain.append(current)
            node = self._graph.producer(current)
            if node is None:
                break
            shape = _own_shape(node, output_index(current))
            if shape is not None or node.op not in _SAME_SHAPE_OPS or not node.inputs:
                break
            current = node.inputs[0]
        self._known.update((one, shape) for one in chain)
        return shape

    def of_output(self, node: Node, output: int) -> Shape:
        """Give the static shape of one output, read from this node where it says it itself."""
        shape = _own_shape(node, output)
        return shape if shape is not None else self.of(f"{node.name}:{output}")

    def rank(self, tensor: str) -> Optional[int]:
        """Give the number of axes of a tensor, None if unknown."""
        shape = self.of(tensor)
        return None if shape is None else len(shape)


def _own_shape(node: Node, output: int) -> Shape:
    if node.has_shapes():
        shape = node.shape_attribute(output)
        # A resource handle is a scalar; what it stands for has the shape that matters.
        if shape is not None and node.op != "VarHandleOp":
            return shape
    if node.op == "Const" and "value" in node.proto.attr:
        # Of a constant of any size, weights among them.
        return shape_value(node.proto.attr["value"].tensor.tensor_shape)
    if node.op in PLACEHOLDER_OPS or node.op in VARIABLE_OPS:
        sizes = node.attribute("shape")
        return tuple(sizes) if sizes else None
    return None
