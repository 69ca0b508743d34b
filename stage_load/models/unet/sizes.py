"""Evaluates the shape arithmetic of a graph: the small integer tensors behind resizes and crops.

A training script writes ``tf.shape(net)[1:3] * 2`` or ``(tf.shape(skip)[1] - tf.shape(net)[1]) //
2``. Given the concrete shapes of the maps, those expressions have values, and the maps that they
were read from are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any

import numpy as np

from stage_load.export_view import ExportView, Node, split_tensor

Shape = tuple[int, ...]
Array = np.ndarray[Any, np.dtype[Any]]


class NotComputable(ValueError):
    """An integer tensor depends on an op that is no shape arithmetic; ``node`` is that op."""

    def __init__(self, node: Node) -> None:
        super().__init__(f"{node.name} ({node.op})")
        self.node = node


class SizeEvaluator:
    """Evaluates tensors of ``view`` by numpy; ``shapes`` holds the maps' shapes in TF's axes."""

    def __init__(self, view: ExportView, shapes: MutableMapping[str, Shape]) -> None:
        self._view = view
        self._shapes = shapes

    def value(self, tensor: str) -> Array:
        """Return the value of an integer or constant tensor.

        Raises:
            NotComputable: an op on the way is no shape arithmetic, or a constant was too large to
            export.
        """
        source = self._view.source(tensor)
        node = self._view.node_of(source)
        if node.op == "Const":
            value = node.attributes.get("value")
            if value is None:
                raise NotComputable(node)
            return np.asarray(value)
        if node.op in ("Shape", "ShapeN"):
            return np.asarray(self._shape_of(node, node.inputs[split_tensor(source)[1]]))
        if node.op not in OPERATIONS:
            raise NotComputable(node)
        result = OPERATIONS[node.op](node, [self.value(given) for given in node.inputs])
        return np.asarray(result[split_tensor(source)[1]] if isinstance(result, list) else result)

    def read_from(self, tensor: str) -> frozenset[str]:
        """Return the maps whose shapes the value of ``tensor`` is computed from."""
        source = self._view.source(tensor)
        node = self._view.node_of(source)
        if node.op in ("Shape", "ShapeN"):
            return frozenset({self._view.source(node.inputs[split_tensor(source)[1]])})
        return frozenset().union(*(self.read_from(given) for given in node.inputs))

    def _shape_of(self, node: Node, tensor: str) -> Shape:
        source = self._view.source(tensor)
        if source in self._shapes:
            return self._shapes[source]
        static = self._view.shape(source)
        if static is None or None in static:
            raise NotComputable(node)
        return tuple(size for size in static if size is not None)


def _strided_slice(node: Node, values: list[Array]) -> Array:
    array, begin, end, strides = values
    return np.asarray(array[slice_index(node, begin, end, strides)])


def slice_index(node: Node, begin: Array, end: Array, strides: Array) -> tuple[Any, ...]:
    """Return a StridedSlice's masks and bounds as a numpy index.

    The bits of the masks are those of tensorflow/core/ops/array_ops.cc, StridedSlice.
    """
    attributes = node.attributes

    def masked(name: str, axis: int) -> bool:
        return bool((attributes.get(name) or 0) >> axis & 1)

    index: list[Any] = []
    for axis in range(len(begin)):
        if masked("ellipsis_mask", axis):
            index.append(Ellipsis)
        elif masked("new_axis_mask", axis):
            index.append(None)
        elif masked("shrink_axis_mask", axis):
            index.append(int(begin[axis]))
        else:
            first = None if masked("begin_mask", axis) else int(begin[axis])
            last = None if masked("end_mask", axis) else int(end[axis])
            index.append(slice(first, last, int(strides[axis])))
    return tuple(index)


def _slice(node: Node, values: list[Array]) -> Array:
    array, begin, size = values
    ends = [None if s == -1 else int(b + s) for b, s in zip(begin, size, strict=True)]
    return np.asarray(array[tuple(slice(int(b), e) for b, e in zip(begin, ends, strict=True))])


def _cast(node: Node, values: list[Array]) -> Array:
    return values[0].astype(node.attributes["DstT"])


def _axis_last(node: Node, values: list[Array]) -> Array:
    return np.concatenate([np.atleast_1d(v) for v in values[:-1]], axis=int(values[-1]))


def _unpack(node: Node, values: list[Array]) -> list[Array]:
    return list(np.moveaxis(values[0], int(node.attributes.get("axis") or 0), 0))


def _squeeze(node: Node, values: list[Array]) -> Array:
    axes = node.attributes.get("squeeze_dims") or None
    return np.squeeze(values[0], axis=tuple(axes) if axes else None)


def _binary(function: Callable[[Any, Any], Any]) -> Callable[[Node, list[Array]], Array]:
    return lambda node, values: np.asarray(function(values[0], values[1]))


def _unary(function: Callable[[Any], Any]) -> Callable[[Node, list[Array]], Array]:
    return lambda node, values: np.asarray(function(values[0]))


OPERATIONS: Mapping[str, Callable[[Node, list[Array]], Array | list[Array]]] = MappingProxyType(
    {
        "Add": _binary(np.add),
        "AddV2": _binary(np.add),
        "Cast": _cast,
        "Ceil": _unary(np.ceil),
        "ConcatV2": _axis_last,
        "ExpandDims": lambda node, values: np.expand_dims(values[0], int(values[1])),
        "Floor": _unary(np.floor),
        "FloorDiv": _binary(np.floor_divide),
        "FloorMod": _binary(np.mod),
        "GatherV2": lambda node, values: np.take(values[0], values[1], axis=int(values[2])),
        "Maximum": _binary(np.maximum),
        "Minimum": _binary(np.minimum),
        "Mul": _binary(np.multiply),
        "Neg": _unary(np.negative),
        "Pack": lambda node, values: np.stack(values, axis=int(node.attributes.get("axis") or 0)),
        "Prod": lambda node, values: np.prod(values[0], axis=tuple(np.atleast_1d(values[1]))),
        "RealDiv": _binary(np.true_divide),
        "Reshape": lambda node, values: values[0].reshape(values[1]),
        "Slice": _slice,
        "Squeeze": _squeeze,
        "StridedSlice": _strided_slice,
        "Sub": _binary(np.subtract),
        "Unpack": _unpack,
    }
)
