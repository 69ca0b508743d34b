"""What can be known of a graph's tensors without running it: constants, static shapes, origins."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional

from stage_extract.graph.attributes import Shape
from stage_extract.graph.evaluate import Evaluator
from stage_extract.graph.graphdef import Graph, Node
from stage_extract.graph.savers import READ_OPS, VARIABLE_OPS
from stage_extract.graph.shapes import StaticShapes
from stage_extract.graph.traverse import behind


class GraphFacts:
    """One graph, with the values of the tensors that are fed the same in every run.

    Args:
        graph: the graph.
        values: value by name of each tensor that is known beforehand.
    """

    def __init__(self, graph: Graph, values: Mapping[str, Any]) -> None:
        self.graph = graph
        self._evaluator = Evaluator(graph, values)
        self._shapes = StaticShapes(graph)

    def constant(self, node: Node, operand: int) -> Any:
        """Give the value of a node's operand as an array; None if it is not a constant."""
        if operand >= len(node.inputs):
            return None
        return self._evaluator.value(node.inputs[operand])

    def sizes(self, node: Node, operand: int) -> Optional[List[Optional[int]]]:
        """Give a vector of sizes, None for each that only a run tells, or for an unknown length."""
        if operand >= len(node.inputs):
            return None
        return self._evaluator.vector(node.inputs[operand])

    def origin(self, tensor: str) -> Optional[Node]:
        """Follow a tensor back, through ops that hand it on, to the node that makes its value."""
        return self.graph.producer(behind(self.graph, tensor, READ_OPS))

    def static_shape(self, tensor: str) -> Shape:
        """Give the shape that the graph states for a tensor, None for an unknown rank."""
        node = self.graph.producer(tensor)
        if node is not None and node.op in VARIABLE_OPS:
            return self.variable_shape(tensor)
        return self._shapes.of(tensor)

    def variable_shape(self, tensor: str) -> Shape:
        """Give the shape of the variable or constant that a tensor, or a handle, stands for."""
        node = self.origin(tensor)
        if node is None:
            return None
        if node.op == "Const":
            return self._shapes.of(f"{node.name}:0")
        sizes = node.attribute("shape")
        if sizes is None:
            return None
        return tuple(None if size is None or size < 0 else size for size in sizes)
