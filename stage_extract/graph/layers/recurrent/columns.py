"""Parts of a matrix or vector along its last axis, as Split, Slice and StridedSlice take them."""

from __future__ import annotations

from typing import NamedTuple, Optional, Sequence, Tuple, Union

from stage_extract.graph.graphdef import Node, output_index
from stage_extract.graph.layers.layer import Forward, why_not_plain
from stage_extract.graph.traverse import ENTER_OPS, behind

# Ops of a cell that hand on what they get; not Exit: what a loop leaves behind is another thing.
STEP_OPS = frozenset(
    ("CheckNumerics", "EnsureShape", "Identity", "PreventGradient", "RefIdentity", "RefSwitch",
     "Snapshot", "StopGradient", "Switch")
)  # fmt: skip
_HANDING_OPS = STEP_OPS | ENTER_OPS
_MAX_CUTS = 8


class Part(NamedTuple):
    """One of several equal parts."""

    place: int
    parts: int


class Span(NamedTuple):
    """The columns from `start` to `stop`; None stands for the last one."""

    start: int
    stop: Optional[int]


# What is cut out of a tensor, the outermost cut first.
Cuts = Tuple[Union[Part, Span], ...]


class Columns(NamedTuple):
    """Columns of a variable.

    Attributes:
        variable: its name in the checkpoint.
        row: index along the first axis, where one row of a matrix is taken as a vector; else None.
        start: the first column.
        stop: the column behind the last one.
    """

    variable: str
    row: Optional[int]
    start: int
    stop: int


def resolve(cuts: Cuts, width: int) -> Optional[Tuple[int, int]]:
    """Give the (start, stop) that cuts leave of so many columns, None if they do not fit."""
    start, stop = 0, width
    for cut in cuts:
        size = stop - start
        if isinstance(cut, Part):
            if size % cut.parts:
                return None
            size //= cut.parts
            start, stop = start + cut.place * size, start + (cut.place + 1) * size
        else:
            first = cut.start + size if cut.start < 0 else cut.start
            last = size if cut.stop is None else cut.stop
            last = last + size if last < 0 else last
            if not 0 <= first < last <= size:
                return None
            start, stop = start + first, start + last
    return start, stop


def whole_of(forward: Forward, tensor: str) -> Optional[Tuple[str, Union[Part, Span]]]:
    """Give the tensor that a tensor is cut from along its last axis, and the cut."""
    node = forward.graph.producer(tensor)
    if node is None:
        return None
    if node.op == "Split" and len(node.inputs) == 2:
        if not _is_last_axis(forward, node.operand(1), forward.evaluator.scalar(node.operand(0))):
            return None
        return node.operand(1), Part(output_index(tensor), int(node.attribute("num_split") or 1))
    if node.op == "SplitV" and len(node.inputs) == 3:
        return _split_by_sizes(forward, node, output_index(tensor))
    if node.op == "Slice" and len(node.inputs) == 3:
        return _slice(forward, node)
    if node.op == "StridedSlice" and len(node.inputs) == 4:
        return _strided_slice(forward, node)
    return None


def variable_columns(
    forward: Forward, tensor: str, cuts: Cuts = ()
) -> Optional[Tuple[Columns, Tuple[str, ...]]]:
    """Give the columns of a variable that a tensor holds, and the nodes that take them out.

    The variable may have entered a loop, and may be a matrix of which one row is taken.
    """
    nodes: Tuple[str, ...] = ()
    row: Optional[int] = None
    for _ in range(_MAX_CUTS):
        origin = forward.table.origin(tensor)
        if origin is not None:
            if origin.reshaping or why_not_plain(origin._replace(in_loop=False)) is not None:
                return None
            shape = forward.table.info[origin.variable].shape
            span = resolve(cuts, shape[-1]) if shape else None
            if span is None or len(shape) > 2:
                return None
            return Columns(origin.variable, row, *span), nodes
        tensor = behind(forward.graph, tensor, _HANDING_OPS)
        node = forward.graph.producer(tensor)
        whole = whole_of(forward, tensor)
        if node is None:
            return None
        nodes = (*nodes, node.name)
        if whole is not None:
            tensor, cuts = whole[0], (whole[1], *cuts)
        elif node.op == "Unpack" and not node.attribute("axis") and row is None:
            tensor, row = node.operand(0), output_index(tensor)
        else:
            return None
    return None


def _is_last_axis(forward: Forward, tensor: str, axis: Optional[int]) -> bool:
    rank = forward.shapes.rank(tensor)
    # The states and gates of cells are matrices.
    return axis is not None and axis in (-1, (rank or 2) - 1)


def _split_by_sizes(
    forward: Forward, node: Node, output: int
) -> Optional[Tuple[str, Union[Part, Span]]]:
    sizes = forward.evaluator.vector(node.operand(1))
    if not _is_last_axis(forward, node.operand(0), forward.evaluator.scalar(node.operand(2))):
        return None
    known = [size for size in sizes or () if size is not None and size >= 0]
    if not sizes or len(known) != len(sizes) or output >= len(known):
        return None
    start = sum(known[:output])
    return node.operand(0), Span(start, start + known[output])


def _slice(forward: Forward, node: Node) -> Optional[Tuple[str, Union[Part, Span]]]:
    begin = forward.evaluator.vector(node.operand(1))
    size = forward.evaluator.vector(node.operand(2))
    if not begin or not size or len(begin) != len(size) or None in begin or size[-1] is None:
        return None
    if any(begin[:-1]) or any(one != -1 for one in size[:-1]):
        return None
    start = begin[-1] or 0
    return node.operand(0), Span(start, None if size[-1] == -1 else start + size[-1])


def _strided_slice(forward: Forward, node: Node) -> Optional[Tuple[str, Union[Part, Span]]]:
    begin, end, stride = (forward.evaluator.vector(node.operand(index)) for index in (1, 2, 3))
    if not begin or not end or not stride or None in (*begin, *end) or set(stride) != {1}:
        return None
    last = len(begin) - 1
    masks = {key: int(node.attribute(f"{key}_mask") or 0) for key in _MASKS}
    if masks["ellipsis"] or masks["new_axis"] or masks["shrink_axis"]:
        return None
    if not _is_last_axis(forward, node.operand(0), last):
        return None
    whole_axes = (1 << last) - 1
    if masks["begin"] & masks["end"] & whole_axes != whole_axes:
        return None
    start = 0 if masks["begin"] >> last & 1 else begin[last]
    return node.operand(0), Span(start or 0, None if masks["end"] >> last & 1 else end[last])


_MASKS: Sequence[str] = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
