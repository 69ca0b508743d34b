"""Which image sizes a network of convolutions and poolings takes well, by arithmetic on one axis.

Trying sizes in TensorFlow is slow, and a size that runs may still be a poor one: a rest that a
stride drops, or one pixel at the bottom of a UNet. So a size is first carried through the graph.
Formulas: tensorflow/core/framework/common_shape_fns.cc (GetWindowedOutputSizeVerbose).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.traverse import PASS_THROUGH
from stage_extract.reference.graph_facts import GraphFacts
from stage_extract.reference.usage import AXIS_KEEPING_OPS, keeps_axes

LARGEST_SIZE = 1024
SMALLEST_SIZE = 16
# One pixel at the coarsest level would hide a transposed kernel behind its padding.
SMALLEST_INNER_SIZE = 2


class Verdict(NamedTuple):
    """How a network takes one size.

    Attributes:
        is_possible: no window is larger than what it slides over, and joined sizes are equal.
        uneven: number of strided windows that leave a rest.
        smallest: the smallest size on the way.
    """

    is_possible: bool
    uneven: int
    smallest: int


class _Effect(NamedTuple):
    """What one node makes of a size; 0 stands for "impossible"."""

    size: int
    uneven: bool = False


# They move the axis to another place or add and drop others; its size stays.
_AXIS_MOVING_OPS = frozenset({"ExpandDims", "Squeeze", "Transpose"})
_Step = Callable[[int], _Effect]
_IMPOSSIBLE = _Effect(0)


class SpatialNetwork:
    """The nodes that act on an image's size along one axis, ready to be walked for many sizes.

    Args:
        facts: the part of the graph that runs.
        ordered: its nodes, each after its inputs.
        images: tensors whose size along the axis is free.
        axis: 0 for the first spatial axis (height), 1 for the second (width).
    """

    def __init__(
        self, facts: GraphFacts, ordered: Sequence[Node], images: Sequence[str], axis: int
    ) -> None:
        self._images = tuple(images)
        self._walk: List[Tuple[str, Tuple[str, ...], _Step]] = []
        reached: Set[str] = set(images)
        for node in ordered:
            carried = tuple(tensor for tensor in node.inputs if tensor in reached)
            step = _step(facts, node, carried, axis)
            if step is not None:
                outputs = (f"{node.name}:0", f"{node.name}:1")[: 2 if node.op == "Switch" else 1]
                reached.update(outputs)
                self._walk += [(output, carried, step) for output in outputs]

    def judge(self, size: int) -> Verdict:
        """Carry one size through the network."""
        sizes: Dict[str, int] = dict.fromkeys(self._images, size)
        uneven, smallest = 0, size
        for output, carried, step in self._walk:
            arriving = {sizes[tensor] for tensor in carried}
            effect = step(arriving.pop()) if len(arriving) == 1 else _IMPOSSIBLE
            if effect.size < 1:
                return Verdict(False, uneven, 0)
            sizes[output] = effect.size
            uneven += effect.uneven
            smallest = min(smallest, effect.size)
        return Verdict(True, uneven, smallest)

    def good_sizes(self, count: int) -> List[int]:
        """Give the smallest sizes that leave no rest, or as few rests as any size does."""
        judged = {size: self.judge(size) for size in range(1, LARGEST_SIZE + 1)}
        roomy = [
            size
            for size, verdict in judged.items()
            if verdict.is_possible
            and size >= SMALLEST_SIZE
            and verdict.smallest >= SMALLEST_INNER_SIZE
        ]
        candidates = roomy or [size for size, verdict in judged.items() if verdict.is_possible]
        fewest = min((judged[size].uneven for size in candidates), default=0)
        return [size for size in candidates if judged[size].uneven == fewest][:count]


def _step(facts: GraphFacts, node: Node, carried: Tuple[str, ...], axis: int) -> Optional[_Step]:
    """Give what a node does to the size; None if nothing arrives or its output has no such axis."""
    if not carried:
        return None
    if node.op in _STEPS:
        # A kernel or a size that itself depends on the image is no image.
        operand = _IMAGE_OPERAND.get(node.op, 0)
        is_image = len(node.inputs) > operand and node.inputs[operand] in carried
        return _STEPS[node.op](facts, node, axis) if is_image else None
    if node.op in AXIS_KEEPING_OPS or node.op in PASS_THROUGH or node.op in _AXIS_MOVING_OPS:
        return _Effect
    return None


def _spatial_value(node: Node, key: str, axis: int, default: int) -> int:
    values = node.attribute(key)
    if not values or len(values) != 4:
        return default
    channels_first = str(node.attribute("data_format")).startswith("NC")
    return int(values[(2 if channels_first else 1) + axis])


def _slide(kernel: int, stride: int, same: bool) -> _Step:
    def step(size: int) -> _Effect:
        if same:
            return _Effect(-(-size // stride), size % stride != 0)
        if size < kernel:
            return _IMPOSSIBLE
        return _Effect((size - kernel) // stride + 1, (size - kernel) % stride != 0)

    return step


def _convolution(facts: GraphFacts, node: Node, axis: int) -> Optional[_Step]:
    kernel_shape = facts.static_shape(node.inputs[1])
    kernel = kernel_shape[axis] if kernel_shape and len(kernel_shape) == 4 else None
    if kernel is None or node.attribute("padding") not in ("SAME", "VALID"):
        return None
    kernel = (kernel - 1) * _spatial_value(node, "dilations", axis, 1) + 1
    stride = _spatial_value(node, "strides", axis, 1)
    return _slide(kernel, stride, node.attribute("padding") == "SAME")


def _pooling(facts: GraphFacts, node: Node, axis: int) -> Optional[_Step]:
    kernel = _spatial_value(node, "ksize", axis, 1)
    stride = _spatial_value(node, "strides", axis, 1)
    return _slide(kernel, stride, node.attribute("padding") == "SAME")


def _transposed_convolution(facts: GraphFacts, node: Node, axis: int) -> Optional[_Step]:
    stride = _spatial_value(node, "strides", axis, 1)
    kernel_shape = facts.static_shape(node.inputs[1])
    kernel = kernel_shape[axis] if kernel_shape and len(kernel_shape) == 4 else None
    if kernel is None:
        return None
    overhang = 0 if node.attribute("padding") == "SAME" else max(kernel - stride, 0)
    return lambda size: _Effect(size * stride + overhang)


def _padding(facts: GraphFacts, node: Node, axis: int) -> Optional[_Step]:
    amounts = facts.constant(node, 1)
    if amounts is None or amounts.shape != (4, 2):
        return None
    # Padding acts on two neighbouring axes: 1 and 2, or 2 and 3 of an image with channels first.
    added = int(amounts[(2 if amounts[3].any() else 1) + axis].sum())
    return lambda size: _Effect(size + added)


def _to_depth(facts: GraphFacts, node: Node, axis: int) -> Optional[_Step]:
    block = int(node.attribute("block_size"))
    return lambda size: _Effect(size // block if size % block == 0 else 0)


def _to_space(facts: GraphFacts, node: Node, axis: int) -> Optional[_Step]:
    block = int(node.attribute("block_size"))
    return lambda size: _Effect(size * block)


def _flatten(facts: GraphFacts, node: Node, axis: int) -> Optional[_Step]:
    """Let only those sizes through with which a reshape to [-1, features] keeps the batch."""
    if keeps_axes(facts, node, 4):
        return _Effect
    target = facts.constant(node, 1)
    shape = facts.static_shape(node.inputs[0])
    if target is None or target.size != 2 or target[0] != -1 or shape is None or len(shape) != 4:
        return None
    features, channels = int(target[1]), shape[3]
    if not channels or features == channels or features % channels:
        return None
    area, other = features // channels, shape[2 - axis]
    return lambda size: _Effect(size if size * (other or size) == area else 0)


_Maker = Callable[[GraphFacts, Node, int], Optional[_Step]]
_STEPS: Mapping[str, _Maker] = MappingProxyType(
    {
        "Conv2D": _convolution,
        "DepthwiseConv2dNative": _convolution,
        "Conv2DBackpropInput": _transposed_convolution,
        "MaxPool": _pooling,
        "AvgPool": _pooling,
        "Pad": _padding,
        "PadV2": _padding,
        "MirrorPad": _padding,
        "SpaceToDepth": _to_depth,
        "DepthToSpace": _to_space,
        "Reshape": _flatten,
    }
)
_IMAGE_OPERAND: Mapping[str, int] = MappingProxyType({"Conv2DBackpropInput": 2})
