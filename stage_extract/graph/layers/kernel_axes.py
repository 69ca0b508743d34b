"""Which axes of a variable a matrix product takes for rows, and which for columns."""

from __future__ import annotations

from types import MappingProxyType
from typing import List, Mapping, Optional, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward
from stage_extract.graph.variables import Origin

_Axes = Tuple[int, ...]
# Rows (what comes in) and columns (what comes out), by the axes of the variable as it is stored.
_LETTERS: Mapping[Tuple[_Axes, _Axes], str] = MappingProxyType(
    {
        ((0,), (1,)): "IO",
        ((1,), (0,)): "OI",
        ((0,), (1, 2)): "INK",
        ((1,), (0, 2)): "NIK",
        ((0, 1), (2,)): "NKO",
    }
)


def kernel_axes(forward: Forward, origin: Origin, rank: int, transposed: bool) -> Optional[str]:
    """Give the letters of a variable's axes, None if it becomes no matrix of a dense layer.

    Args:
        origin: the variable, and how it was arranged anew before the product.
        rank: number of its axes.
        transposed: the product swaps rows and columns.
    """
    shape = forward.table.info[origin.variable].shape
    groups: Optional[List[_Axes]] = [(axis,) for axis in range(rank)]
    for node in origin.reshaping:
        sizes = forward.evaluator.vector(node.inputs[1]) if len(node.inputs) == 2 else None
        groups = None if groups is None or sizes is None else _arranged(node, groups, sizes, shape)
    if groups is None or len(groups) != 2:
        return None
    rows, columns = groups[::-1] if transposed else groups
    return _LETTERS.get((rows, columns))


def _arranged(
    node: Node, groups: List[_Axes], sizes: List[Optional[int]], shape: Tuple[int, ...]
) -> Optional[List[_Axes]]:
    if node.op == "Transpose" and sorted(one or 0 for one in sizes) == list(range(len(groups))):
        return [groups[axis or 0] for axis in sizes]
    return _joined(groups, sizes, shape) if node.op == "Reshape" else None


def _joined(
    groups: List[_Axes], sizes: List[Optional[int]], shape: Tuple[int, ...]
) -> Optional[List[_Axes]]:
    """Join neighbouring groups so that they get these sizes, None if they cannot."""
    left, found = list(groups), []
    for place, size in enumerate(sizes):
        joined: _Axes = left.pop(0) if left else ()
        while left and (
            len(left) > len(sizes) - place - 1
            if size in (-1, None)
            else _size(joined, shape) < size
        ):
            joined += left.pop(0)
        if size not in (-1, None, _size(joined, shape)):
            return None
        found.append(joined)
    return found if not left else None


def _size(axes: _Axes, shape: Tuple[int, ...]) -> int:
    size = 1
    for axis in axes:
        size *= shape[axis]
    return size
