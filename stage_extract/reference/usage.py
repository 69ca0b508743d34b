"""What the graph does with an input: which of its axes are an image's, how many channels it needs,
which table its integers index.

Every input is followed forward through the ops that only move its axes, up to the first op that
says what an axis means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Mapping, NamedTuple, Optional, Tuple

from stage_extract.graph.attributes import Shape
from stage_extract.graph.graphdef import Node
from stage_extract.reference.graph_facts import GraphFacts

# For each axis of the tensor at hand, the input's axis it stems from; None for one that was added.
Axes = Tuple[Optional[int], ...]

# After a reshape to another number of axes; the values are still those of the input.
_AXES_LOST: Axes = ()

# These keep every axis in its place: what stands before a first layer, not all of TensorFlow.
AXIS_KEEPING_OPS = frozenset(
    {
        "Abs", "Add", "AddV2", "BiasAdd", "Cast", "CheckNumerics", "ClipByValue", "ConcatV2", "Div",
        "Elu", "Enter", "Exit", "Exp", "FloorDiv", "FusedBatchNorm", "FusedBatchNormV2",
        "FusedBatchNormV3", "Identity", "LeakyRelu", "Log", "LookupTableFind", "Maximum", "Merge",
        "Minimum", "MirrorPad", "Mul", "Neg", "NextIteration", "Pad", "PadV2", "Pow", "RealDiv",
        "Relu", "Relu6", "ReverseV2", "Select", "Sigmoid", "Split", "SplitV", "Sqrt", "Square",
        "StopGradient", "Sub", "Switch", "Tanh",
    }
)  # fmt: skip
_FOLLOWED_TENSORS_LIMIT = 400


# (op, data input that carries an image, data input with the kernel, kernel axis of the channels).
# Conv2DBackpropInput is what TensorFlow calls a transposed convolution.
_WINDOW_OPS: Mapping[Tuple[str, int], Tuple[Optional[int], int]] = {
    ("Conv2D", 0): (1, -2),
    ("DepthwiseConv2dNative", 0): (1, -2),
    ("Conv3D", 0): (1, -2),
    ("Conv2DBackpropInput", 2): (1, -1),
    ("Conv3DBackpropInputV2", 2): (1, -1),
    ("MaxPool", 0): (None, 0),
    ("MaxPoolV2", 0): (None, 0),
    ("AvgPool", 0): (None, 0),
    ("ResizeBilinear", 0): (None, 0),
    ("ResizeNearestNeighbor", 0): (None, 0),
}
# Attributes that say whether the first and the second matrix are transposed.
_MATRIX_OPS: Mapping[Tuple[str, int], Tuple[str, str]] = {
    ("MatMul", 0): ("transpose_a", "transpose_b"),
    ("BatchMatMul", 0): ("adj_x", "adj_y"),
    ("BatchMatMulV2", 0): ("adj_x", "adj_y"),
}
_TABLE_OPS = {("Gather", 1), ("GatherV2", 1), ("ResourceGather", 1)}


@dataclass(frozen=True)
class WindowUse:
    """A convolution or pooling reads the input.

    Attributes:
        rank: number of axes of the tensor that it reads.
        spatial: the input's axes along which the window moves; None for one added on the way.
        channel: the input's axis of the channels, likewise.
        batch: the input's axis of the examples, likewise.
        channels: how many channels the kernel wants; None for a pooling.
    """

    rank: int
    spatial: Axes
    channel: Optional[int]
    batch: Optional[int]
    channels: Optional[int]


@dataclass(frozen=True)
class InputUse:
    """What the graph asks of one input.

    Attributes:
        window: the first convolution or pooling on its way, if any.
        features: size of the last axis that a matrix product or a fixed reshape asks for.
        vocabulary: rows of the smallest table, or depth of the one-hot code, that it indexes.
    """

    window: Optional[WindowUse] = None
    features: Optional[int] = None
    vocabulary: Optional[int] = None


class _Moved(NamedTuple):
    """The axes of a node's output, None for an unknown rank."""

    axes: Optional[Axes]


def input_use(facts: GraphFacts, tensor: str, shape: Shape) -> InputUse:
    """Follow one input to the ops that give its axes a meaning.

    Args:
        facts: the part of the graph that runs.
        tensor: the input's name.
        shape: its sizes as far as known; None for an unknown rank.
    """
    windows: List[WindowUse] = []
    features: List[int] = []
    vocabularies: List[int] = []
    start = tuple(range(len(shape))) if shape is not None else None
    waiting: List[Tuple[str, Optional[Axes]]] = [(tensor, start)]
    seen = {tensor}
    while waiting and len(seen) < _FOLLOWED_TENSORS_LIMIT:
        name, axes = waiting.pop(0)
        for node, operand, _ in facts.graph.consumers(name):
            if (node.op, operand) in _WINDOW_OPS:
                windows += _window_use(facts, node, operand, axes)
            vocabularies += _vocabulary(facts, node, operand)
            if axes != _AXES_LOST:
                features += _features(facts, node, operand)
            moved = _moved(facts, node, operand, axes)
            for output in _outputs(node) if moved is not None else ():
                if moved is not None and output not in seen:
                    seen.add(output)
                    waiting.append((output, moved.axes))
    return InputUse(
        windows[0] if windows else None,
        features[0] if features else None,
        min(vocabularies) if vocabularies else None,
    )


def _window_use(
    facts: GraphFacts, node: Node, operand: int, axes: Optional[Axes]
) -> List[WindowUse]:
    rank = 5 if node.op.startswith("Conv3D") else 4
    axes = tuple(range(rank)) if axes is None else axes
    if len(axes) != rank:
        return []
    kernel, channel_axis = _WINDOW_OPS[(node.op, operand)]
    channels = None
    if kernel is not None:
        kernel_shape = facts.static_shape(node.inputs[kernel])
        channels = kernel_shape[channel_axis] if kernel_shape else None
    channel_first = str(node.attribute("data_format")).startswith("NC")
    spatial = axes[2:] if channel_first else axes[1:-1]
    return [WindowUse(rank, spatial, axes[1 if channel_first else -1], axes[0], channels)]


def _vocabulary(facts: GraphFacts, node: Node, operand: int) -> List[int]:
    if (node.op, operand) in _TABLE_OPS:
        # The handle of a resource has a shape of its own, which is not the table's.
        table = facts.variable_shape(node.inputs[0]) or facts.static_shape(node.inputs[0])
        if table and table[0] is not None:
            return [table[0]]
    if (node.op, operand) == ("OneHot", 0):
        depth = facts.constant(node, 1)
        return [] if depth is None else [int(depth)]
    return []


def _features(facts: GraphFacts, node: Node, operand: int) -> List[int]:
    if (node.op, operand) in _MATRIX_OPS:
        first, second = _MATRIX_OPS[(node.op, operand)]
        kernel = facts.static_shape(node.inputs[1])
        rows = kernel[-1 if node.attribute(second) else -2] if kernel else None
        return [] if rows is None or node.attribute(first) else [rows]
    if (node.op, operand) == ("Reshape", 0):
        target = facts.constant(node, 1)
        # [-1, 28, 28, 1]: the batch stays open, so an example has 784 values.
        if target is not None and target.size > 1 and target[0] == -1 and (target[1:] > 0).all():
            return [int(target[1:].prod())]
    return []


def _moved(facts: GraphFacts, node: Node, operand: int, axes: Optional[Axes]) -> Optional[_Moved]:
    if node.op in AXIS_KEEPING_OPS:
        return _Moved(axes)
    if operand != 0:
        return None
    if node.op == "Reshape":
        is_kept = axes is not None and keeps_axes(facts, node, len(axes))
        return _Moved(axes if is_kept else _AXES_LOST)
    if not axes:
        return None
    if node.op == "Transpose":
        order = facts.constant(node, 1)
        fits = order is not None and order.size == len(axes)
        return _Moved(tuple(axes[int(axis)] for axis in order)) if fits else None
    if node.op == "ExpandDims":
        place = facts.constant(node, 1)
        return None if place is None else _Moved(_with_new_axis(axes, int(place)))
    if node.op == "Squeeze" and node.attribute("squeeze_dims"):
        dropped = {int(axis) % len(axes) for axis in node.attribute("squeeze_dims")}
        return _Moved(tuple(axis for at, axis in enumerate(axes) if at not in dropped))
    return None


def keeps_axes(facts: GraphFacts, node: Node, rank: int) -> bool:
    """Tell whether a Reshape only states anew what it gets, as in reshape(x, [-1, h, w, 3]).

    Its inner sizes are then not known beforehand: they were taken from the tensor itself.
    """
    sizes = facts.sizes(node, 1)
    return sizes is not None and len(sizes) == rank > 2 and None in sizes[1:]


def _with_new_axis(axes: Axes, place: int) -> Axes:
    place = place if place >= 0 else len(axes) + 1 + place
    return (*axes[:place], None, *axes[place:])


def _outputs(node: Node) -> List[str]:
    if node.op in ("Switch", "RefSwitch"):
        count = 2
    elif node.op in ("Split", "SplitV"):
        count = int(node.attribute("num_split") or 1)
    else:
        count = 1
    return [f"{node.name}:{index}" for index in range(count)]
