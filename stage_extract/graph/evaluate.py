"""What is known of a graph without running it: small tensors made of constants and switches."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set

import numpy

from stage_extract.graph import attributes
from stage_extract.graph.graphdef import Graph, Node
from stage_extract.graph.traverse import PASS_THROUGH, behind
from stage_extract.messages.tensors import MAX_AXES

Array = Any
# Fill and broadcasts may ask for any size; a predicate or a vector of gammas never does.
MAX_ELEMENTS = attributes.MAX_CONSTANT_ELEMENTS

# Variables hold what the checkpoint says.
_INITIALISED_OPS = frozenset(("IsVariableInitialized", "VarIsInitializedOp"))

_UNARY: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "LogicalNot": numpy.logical_not,
        "Neg": numpy.negative,
        "Sqrt": numpy.sqrt,
        # In the operand's precision, which before version 2 numpy does not keep with a 1.0.
        "Rsqrt": lambda value: numpy.reciprocal(numpy.sqrt(value)),
        "Reciprocal": numpy.reciprocal,
        "Inv": numpy.reciprocal,
        "Square": numpy.square,
        "Exp": numpy.exp,
        "Log": numpy.log,
        "Abs": numpy.abs,
        "Floor": numpy.floor,
        "Rank": lambda value: numpy.asarray(value.ndim, numpy.int32),
        "Shape": lambda value: numpy.asarray(value.shape, numpy.int32),
        "Size": lambda value: numpy.asarray(value.size, numpy.int32),
        "ZerosLike": numpy.zeros_like,
        "OnesLike": numpy.ones_like,
    }
)

_BINARY: Mapping[str, Callable[[Array, Array], Array]] = MappingProxyType(
    {
        "LogicalAnd": numpy.logical_and,
        "LogicalOr": numpy.logical_or,
        "LogicalXor": numpy.logical_xor,
        "Equal": numpy.equal,
        "NotEqual": numpy.not_equal,
        "Less": numpy.less,
        "LessEqual": numpy.less_equal,
        "Greater": numpy.greater,
        "GreaterEqual": numpy.greater_equal,
        "Add": numpy.add,
        "AddV2": numpy.add,
        "Sub": numpy.subtract,
        "Mul": numpy.multiply,
        "RealDiv": numpy.divide,
        "FloorDiv": numpy.floor_divide,
        "FloorMod": numpy.mod,
        "Maximum": numpy.maximum,
        "Minimum": numpy.minimum,
        "Pow": numpy.power,
    }
)


def _old_division(left: Array, right: Array) -> Array:
    whole = numpy.issubdtype(left.dtype, numpy.integer)
    return numpy.trunc(left / right).astype(left.dtype) if whole else left / right


def _fill(sizes: Array, value: Array) -> Optional[Array]:
    if sizes.ndim != 1 or (sizes < 0).any() or float(numpy.prod(sizes, dtype=float)) > MAX_ELEMENTS:
        return None
    return numpy.full(tuple(int(size) for size in sizes), value)


def _range(start: Array, limit: Array, delta: Array) -> Optional[Array]:
    if delta == 0 or abs((limit - start) / delta) > MAX_ELEMENTS:
        return None
    return numpy.arange(start, limit, delta, dtype=start.dtype)


def _concat(*operands: Array) -> Array:
    return numpy.concatenate(operands[:-1], axis=int(operands[-1]))


# Every function gets all operands of the node; None means "not to be known".
_OPS: Mapping[str, Callable[..., Optional[Array]]] = MappingProxyType(
    {
        **_UNARY,
        **_BINARY,
        "Div": _old_division,
        "Fill": _fill,
        "Reshape": lambda value, sizes: value.reshape([int(size) for size in sizes]),
        "ExpandDims": lambda value, axis: numpy.expand_dims(value, int(axis)),
        "ConcatV2": _concat,
        "Range": _range,
        "Select": numpy.where,
        "Prod": lambda value, axes: numpy.prod(value, axis=tuple(numpy.ravel(axes))),
        "Mean": lambda value, axes: numpy.mean(value, axis=tuple(numpy.ravel(axes))),
        "Sum": lambda value, axes: numpy.sum(value, axis=tuple(numpy.ravel(axes))),
    }
)


class Evaluator:
    """Evaluates tensors of one graph under the values of some of its tensors.

    Whatever is not a constant expression of at most `MAX_ELEMENTS` elements is None.
    """

    def __init__(self, graph: Graph, values: Mapping[str, Any]) -> None:
        self._graph = graph
        self._known: Dict[str, Optional[Array]] = {
            tensor: numpy.asarray(value) for tensor, value in values.items()
        }

    def value(self, tensor: str) -> Optional[Array]:
        """Give the value of a tensor as an array, None if it cannot be known without running."""
        pending = [tensor]
        entered: Set[str] = set()
        while pending:
            current = pending[-1]
            if current in self._known:
                pending.pop()
                continue
            node = self._graph.producer(current)
            missing = self._missing(node) if node is not None else []
            # The second visit with something still missing means a cycle: nothing is known in it.
            if node is None or not missing or current in entered:
                self._known[current] = self._compute(node, current)
                pending.pop()
            else:
                entered.add(current)
                pending.extend(missing)
        return self._known[tensor]

    def scalar(self, tensor: str) -> Any:
        """Give the value of a tensor of one element as a Python value, else None."""
        value = self.value(tensor)
        if value is None or value.size != 1 or value.dtype == object:
            return None
        item = value.reshape(()).item()
        if value.dtype == numpy.float32:
            return attributes.shortest_float(item)
        return item

    def vector(self, tensor: str) -> Optional[List[Optional[int]]]:
        """Give a vector of sizes; those that are not known before the run are None."""
        value = self.value(tensor)
        if value is not None:
            sizes = value.ndim == 1 and numpy.issubdtype(value.dtype, numpy.integer)
            return [int(size) for size in value] if sizes else None
        node = self._graph.producer(behind(self._graph, tensor))
        if node is None or node.op != "Pack" or len(node.inputs) > MAX_AXES:
            return None
        sizes = [self.scalar(operand) for operand in node.inputs]
        return [size if isinstance(size, int) else None for size in sizes]

    def _missing(self, node: Node) -> List[str]:
        """Give the operands that must be known first; none for a node that cannot be evaluated."""
        if node.op in PASS_THROUGH or node.op == "PlaceholderWithDefault":
            needed: Sequence[str] = node.inputs[:1]
        elif node.op in _OPS or node.op in _SPECIAL:
            needed = node.inputs
        else:
            return []
        missing = [operand for operand in needed if operand not in self._known]
        # One unknown operand is enough to make the node unknown: the others need no work.
        unknown = any(operand in self._known and self._known[operand] is None for operand in needed)
        return [] if unknown else list(reversed(missing))

    def _compute(self, node: Optional[Node], tensor: str) -> Optional[Array]:
        if node is None:
            return None
        if node.op == "Const":
            return node.constant()
        if node.op in _INITIALISED_OPS:
            return numpy.asarray(True)
        if node.op in PASS_THROUGH or node.op == "PlaceholderWithDefault":
            return self._known.get(node.inputs[0]) if node.inputs else None
        if node.op not in _OPS and node.op not in _SPECIAL:
            return None
        operands = [self._known.get(operand) for operand in node.inputs]
        if not tensor.endswith(":0") or any(operand is None for operand in operands):
            return None
        return _apply(node, operands)


def _cast(node: Node, operands: Sequence[Array]) -> Optional[Array]:
    target = node.attribute("DstT")
    return operands[0].astype(target) if target in _NUMPY_TYPES else None


def _pack(node: Node, operands: Sequence[Array]) -> Array:
    return numpy.stack(operands, axis=node.attribute("axis") or 0)


def _squeeze(node: Node, operands: Sequence[Array]) -> Array:
    axes = node.attribute("squeeze_dims")
    return numpy.squeeze(operands[0], axis=tuple(axes) if axes else None)


def _strided_slice(node: Node, operands: Sequence[Array]) -> Optional[Array]:
    """Slice leading axes, without ellipsis or new axes: what graphs do to shapes and paddings."""
    value, begin, end, stride = operands
    if (node.attribute("ellipsis_mask") or 0) or (node.attribute("new_axis_mask") or 0):
        return None
    masks = [node.attribute(f"{key}_mask") or 0 for key in ("begin", "end", "shrink_axis")]
    index: List[Any] = []
    for axis in range(len(begin)):
        open_begin, open_end, shrinks = (mask >> axis & 1 for mask in masks)
        if shrinks:
            index.append(int(begin[axis]))
        else:
            first = None if open_begin else int(begin[axis])
            last = None if open_end else int(end[axis])
            index.append(slice(first, last, int(stride[axis])))
    return value[tuple(index)]


_NUMPY_TYPES = frozenset(
    ("bool", "int8", "uint8", "int16", "uint16", "int32", "int64", "float16", "float32", "float64")
)
# Ops that need their attributes as well.
_SPECIAL: Mapping[str, Callable[[Node, Sequence[Array]], Optional[Array]]] = MappingProxyType(
    {"Cast": _cast, "Pack": _pack, "Squeeze": _squeeze, "StridedSlice": _strided_slice}
)


def _apply(node: Node, operands: Sequence[Array]) -> Optional[Array]:
    try:
        if _result_size(node, operands) > MAX_ELEMENTS:
            return None
        with numpy.errstate(all="ignore"):
            if node.op in _SPECIAL:
                result = _SPECIAL[node.op](node, operands)
            else:
                result = _OPS[node.op](*operands)
    except (ArithmeticError, IndexError, TypeError, ValueError):
        # A graph that no TensorFlow could run: operands that do not fit the op.
        return None
    return None if result is None else numpy.asarray(result)


def _result_size(node: Node, operands: Sequence[Array]) -> int:
    """Bound the elements of a result before it is made."""
    if node.op in _BROADCASTING and len(operands) <= MAX_AXES:
        return int(numpy.broadcast(*operands).size)
    return sum(int(operand.size) for operand in operands)


_BROADCASTING = frozenset((*_BINARY, "Div", "Select"))
