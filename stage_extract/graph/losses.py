"""From a tensor that only a loss or a metric reads, back to the model's output that it judges."""

from __future__ import annotations

from typing import Callable, List, Optional, Sequence, Set

from stage_extract.graph.graphdef import Graph, Node, Use
from stage_extract.graph.network import CROSS_ENTROPY_OPS
from stage_extract.graph.shapes import StaticShapes
from stage_extract.graph.traverse import PASS_THROUGH, behind

# What a decision hands on is no longer what the model computes, only what people read off it.
DECISION_OPS = frozenset(
    (
        "ArgMax", "ArgMin", "CTCBeamSearchDecoder", "CTCGreedyDecoder", "Equal", "Greater",
        "GreaterEqual", "InTopK", "InTopKV2", "IsFinite", "IsInf", "IsNan", "Less", "LessEqual",
        "LogicalAnd", "LogicalNot", "LogicalOr", "Multinomial", "NonMaxSuppression",
        "NonMaxSuppressionV2", "NonMaxSuppressionV3", "NotEqual", "Rint", "Round", "TopK", "TopKV2",
        "Unique", "Where",
    )
)  # fmt: skip
# These compare what they read with the labels: what they read is the output.
COMPARING_OPS = CROSS_ENTROPY_OPS | frozenset(("CTCLoss", "Sub", "SquaredDifference"))
_DIFFERENCES = frozenset(("Sub", "SquaredDifference"))
_LOSS_UNARY_OPS = frozenset(
    ("Abs", "Exp", "Expm1", "Log", "Log1p", "LogSoftmax", "Neg", "Pow", "Rsqrt", "Softplus", "Sqrt",
     "Square")
)  # fmt: skip
_REDUCTIONS = frozenset(("Max", "Mean", "Min", "Sum"))
# The best of several values is read off for each example.
_EXTREMES = frozenset(("Max", "Min"))
COMBINING_OPS = frozenset(
    ("Add", "AddN", "AddV2", "Div", "Maximum", "Minimum", "Mul", "RealDiv", "Select", "Sub")
)
_ADD_OPS = frozenset(("Add", "AddV2"))
_MAX_STEPS = 64


class LossReader:
    """Finds what a loss judges.

    Args:
        graph: the rewritten graph.
        shapes: its static shapes.
        derived: tells whether a tensor follows from the layers.
        inner: tells whether a node is one that must not be looked behind: a layer.
    """

    def __init__(
        self,
        graph: Graph,
        shapes: StaticShapes,
        derived: Callable[[str], bool],
        inner: Callable[[Node], bool],
    ) -> None:
        self._graph = graph
        self._shapes = shapes
        self._derived = derived
        self._inner = inner

    def judged(self, tensor: str, readers: Sequence[Use]) -> List[str]:
        """Give the outputs behind a tensor that only losses and metrics read.

        Args:
            tensor: the last label-free tensor on its way.
            readers: what reads it: ops that see labels, or that reduce it to a scalar.
        """
        if any(use.node.op in COMPARING_OPS for use in readers):
            return [self.unflattened(tensor)]
        # The target of a temporal difference: reward + 0.9 * value.
        is_share = all(use.node.op in _ADD_OPS for use in readers)
        found: List[str] = []
        seen: Set[str] = set()
        pending = [(tensor, False)]
        for _ in range(_MAX_STEPS):
            if not pending:
                break
            current, after_loss = pending.pop(0)
            if current in seen:
                continue
            seen.add(current)
            node = self._graph.producer(current)
            operands = self._steps(node, after_loss) if node is not None else None
            if operands is None or node is None:
                judged = self._unscaled(current) if is_share and current == tensor else current
                found.append(self.unflattened(judged))
            else:
                closed = node.op in _DIFFERENCES and self._compares_data(node)
                for operand in operands:
                    if closed and not self._is_lossy(operand):
                        found.append(self.unflattened(self._unscaled(operand)))
                    else:
                        pending.append((operand, True))
        return list(dict.fromkeys(found))

    def _steps(self, node: Node, after_loss: bool) -> Optional[List[str]]:
        """Give the operands to go on to, None if the node's own output is what is judged."""
        if self._inner(node):
            return None
        if self._is_normalised(node):
            # Keras divides probabilities by their sum once more before it takes their logarithm.
            first = self._graph.producer(behind(self._graph, node.inputs[0]))
            again = first is not None and (first.op == "Softmax" or self._is_normalised(first))
            return [node.inputs[0]] if again else None
        operands = [tensor for tensor in node.inputs if self._derived(tensor)]
        if not operands:
            return None
        if _is_unary_loss(node) or (node.op in PASS_THROUGH and after_loss):
            return operands
        if node.op in _EXTREMES and self._is_one_per_example(node):
            return operands
        lossy = any(self._is_lossy(one) or self._overlaps_labels(one) for one in operands)
        if node.op in _REDUCTIONS:
            return operands if lossy and self._is_one_per_example(node) else None
        if node.op in _DIFFERENCES:
            squared = node.op == "SquaredDifference"
            return operands if after_loss or lossy or squared else None
        if node.op in COMBINING_OPS:
            clipped = after_loss and len(operands) == 1
            return operands if clipped or lossy else None
        return None

    def _is_normalised(self, node: Node) -> bool:
        """Tell whether a node divides values by their own norm or sum: l2_normalize, softmax."""
        if node.op not in ("Div", "Mul", "RealDiv") or len(node.inputs) != 2:
            return False
        if not all(self._derived(tensor) for tensor in node.inputs):
            return False
        first = self._graph.producer(node.inputs[0])
        if node.op != "Mul" and first is not None and first.op == "Exp":
            return True
        result = self._shapes.of(f"{node.name}:0")
        sizes = [self._shapes.of(tensor) for tensor in node.inputs]
        if not result or any(not size for size in sizes):
            return False
        return any(size is not None and size[-1] == 1 != result[-1] for size in sizes)

    def _unscaled(self, tensor: str) -> str:
        """Give x of 1 + x, 2 * x and the like."""
        for _ in range(_MAX_STEPS):
            node = self._graph.producer(tensor)
            if node is None or node.op not in COMBINING_OPS or self._inner(node):
                break
            others = [one for one in node.inputs if not self._derived(one)]
            if len(node.inputs) - len(others) != 1 or any(
                self._shapes.of(one) != () for one in others
            ):
                break
            tensor = next(one for one in node.inputs if self._derived(one))
        return tensor

    def _compares_data(self, node: Node) -> bool:
        """Tell whether a difference is one of two tensors, not one from a constant margin."""
        return all(
            self._graph.producer(behind(self._graph, tensor)) is not None
            and self._shapes.of(tensor) != ()
            for tensor in node.inputs
        )

    def _is_one_per_example(self, node: Node) -> bool:
        shape = self._shapes.of(f"{node.name}:0")
        return shape is not None and all(size == 1 for size in shape[1:])

    def _overlaps_labels(self, tensor: str) -> bool:
        """Tell whether a tensor is multiplied by labels as well: the overlap of a dice loss."""
        return any(
            use.node.op == "Mul" and not self._derived(f"{use.node.name}:0")
            for use in self._graph.consumers(tensor)
        )

    def _is_lossy(self, tensor: str) -> bool:
        """Tell whether a tensor is a sum or product of what only losses are made of."""
        pending = [tensor]
        for _ in range(_MAX_STEPS):
            if not pending:
                break
            node = self._graph.producer(behind(self._graph, pending.pop(0)))
            if node is None or self._inner(node) or self._is_normalised(node):
                continue
            if _is_unary_loss(node) or node.op == "SquaredDifference":
                return True
            if node.op in _EXTREMES and self._is_one_per_example(node):
                return True
            if node.op in COMBINING_OPS or node.op in _REDUCTIONS:
                pending.extend(one for one in node.inputs if self._derived(one))
        return False

    def unflattened(self, tensor: str) -> str:
        """Give x of reshape(x, [-1, classes]): only a loss wants the pixels of images in rows."""
        for _ in range(_MAX_STEPS):
            node = self._graph.producer(tensor)
            if node is None or not (node.op == "ExpandDims" or self._merges_examples(node)):
                break
            tensor = node.inputs[0]
        return tensor

    def _merges_examples(self, reshape: Node) -> bool:
        if reshape.op != "Reshape":
            return False
        before = self._shapes.of(reshape.inputs[0])
        after = self._shapes.of(f"{reshape.name}:0")
        if before is None or after is None or not before or not after:
            return False
        if len(before) == len(after) == 2:
            # tf.nn.softmax_cross_entropy_with_logits puts one before its op, whatever the rank.
            return True
        if len(before) <= len(after) or len(after) > 2:
            return False
        keeps_last = len(after) == 1 or after[-1] is None or after[-1] == before[-1]
        merged = before[1:-1] if len(after) == 2 else before[1:]
        return keeps_last and any(size != 1 for size in merged)


def _is_unary_loss(node: Node) -> bool:
    is_square = node.op == "Mul" and len(set(node.inputs)) == 1
    return is_square or node.op in _LOSS_UNARY_OPS
