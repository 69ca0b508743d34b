"""The shape of an op's first output by those of its operands, for the ops of common networks.

As in tensorflow/core/framework/common_shape_fns.cc. What a rule cannot tell is None: a size, or the
whole shape.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Callable, List, Mapping, Optional, Sequence

from stage_extract.graph.attributes import Shape
from stage_extract.graph.evaluate import Evaluator
from stage_extract.graph.graphdef import Node

Size = Optional[int]
Rule = Callable[[Node, Sequence[Shape], Evaluator], Shape]


def _same(node: Node, shapes: Sequence[Shape], evaluator: Evaluator) -> Shape:
    return shapes[0] if shapes else None


def _same_rank(node: Node, shapes: Sequence[Shape], evaluator: Evaluator) -> Shape:
    """Batches and space are exchanged or cut; channels stay."""
    if not shapes or not shapes[0]:
        return None
    return (*(None for _ in shapes[0][:-1]), shapes[0][-1])


def _broadcast(node: Node, shapes: Sequence[Shape], evaluator: Evaluator) -> Shape:
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes) or not known:
        return None
    rank = max(map(len, known))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in known]
    return tuple(_broadcast_size(sizes) for sizes in zip(*padded))


def _broadcast_size(sizes: Sequence[Size]) -> Size:
    larger = [size for size in sizes if size is not None and size != 1]
    if larger:
        return larger[0]
    return None if None in sizes else 1


def _channel_axis(node: Node, rank: int) -> int:
    return 1 if str(node.attribute("data_format") or "").startswith("NC") else rank - 1


def _windows(node: Node, shape: Sequence[Size], sizes: Sequence[Size]) -> Optional[List[Size]]:
    """Give the sizes behind windows that move over all axes but those of samples and channels."""
    rank = len(shape)
    strides = node.attribute("strides") or [1] * rank
    dilations = node.attribute("dilations") or [1] * rank
    padding = node.attribute("padding")
    if len(strides) != rank or len(dilations) != rank or padding not in ("SAME", "VALID"):
        return None
    found: List[Size] = list(shape)
    space = [axis for axis in range(1, rank) if axis != _channel_axis(node, rank)]
    for axis, size in zip(space, sizes):
        before = shape[axis]
        if before is None or size is None or strides[axis] < 1:
            found[axis] = None
        elif padding == "SAME":
            found[axis] = -(-before // strides[axis])
        else:
            reach = (size - 1) * dilations[axis] + 1
            found[axis] = max(0, -(-(before - reach + 1) // strides[axis]))
    return found


def _convolution(node: Node, shapes: Sequence[Shape], evaluator: Evaluator) -> Shape:
    if len(shapes) < 2 or shapes[0] is None or shapes[1] is None:
        return None
    kernel = shapes[1]
    found = _windows(node, shapes[0], kernel[:-2])
    if found is None or len(kernel) != len(shapes[0]):
        return None
    channels = kernel[-1]
    if node.op == "DepthwiseConv2dNative":
        channels = None if kernel[2] is None or channels is None else kernel[2] * channels
    found[_channel_axis(node, len(found))] = channels
    return tuple(found)


def _pool(node: Node, shapes: Sequence[Shape], evaluator: Evaluator) -> Shape:
    window = node.attribute("ksize")
    if not shapes or shapes[0] is None or not window or len(window) != len(shapes[0]):
        return None
    channel = _channel_axis(node, len(window))
    sizes = [size for axis, size in enumerate(window) if axis not in (0, channel)]
    found = _windows(node, shapes[0], sizes)
    return None if found is None else tuple(found)


def _stated(operand: int) -> Rule:
    """Make the rule of an op that has its output's sizes as an operand."""

    def rule(node: Node, shapes: Sequence[Shape], evaluator: Evaluator) -> Shape:
        sizes = evaluator.vector(node.operand(operand))
        return None if sizes is None else tuple(None if size == -1 else size for size in sizes)

    return rule


def _reshape(node: Node, shapes: Sequence[Shape], evaluator: Evaluator) -> Shape:
    target = evaluator.vector(node.operand(1))
    if target is None:
        return None
    before = shapes[0] if shapes else None
    free = [axis for axis, size in enumerate(target) if size in (-1, None)]
    sizes: List[Size] = [None if size == -1 else size for size in target]
    if len(free) == 1 and before is not None and None not in before:
        total, known = _product(before), _product([size for size in sizes if size is not None])
        if known and total % known == 0:
            sizes[free[0]] = total // known
    return tuple(sizes)


def _product(sizes: Sequence[Size]) -> int:
    product = 1
    for size in sizes:
        product *= size or 0
    return product


def _resize(node: Node, shapes: Sequence[Shape], evaluator: Evaluator) -> Shape:
    sizes = evaluator.vector(node.operand(1))
    if not shapes or shapes[0] is None or len(shapes[0]) != 4:
        return None
    height, width = sizes if sizes is not None and len(sizes) == 2 else (None, None)
    return (shapes[0][0], height, width, shapes[0][3])


def _transpose(node: Node, shapes: Sequence[Shape], evaluator: Evaluator) -> Shape:
    order = evaluator.vector(node.operand(1))
    before = shapes[0] if shapes else None
    if (
        before is None
        or order is None
        or sorted(map(str, order)) != sorted(map(str, range(len(before))))
    ):
        return None
    return tuple(before[axis] for axis in order if axis is not None)


def _pad(node: Node, shapes: Sequence[Shape], evaluator: Evaluator) -> Shape:
    paddings = evaluator.value(node.operand(1))
    before = shapes[0] if shapes else None
    if before is None or paddings is None or paddings.shape != (len(before), 2):
        return None if before is None else tuple(None for _ in before)
    return tuple(
        None if size is None else size + int(first) + int(last)
        for size, (first, last) in zip(before, paddings)
    )


def _join(node: Node, shapes: Sequence[Shape], evaluator: Evaluator) -> Shape:
    first = node.op == "Concat"
    parts = shapes[1:] if first else shapes[:-1]
    axis = evaluator.scalar(node.operand(0 if first else len(node.inputs) - 1))
    ranks = {None if part is None else len(part) for part in parts}
    if axis is None or len(ranks) != 1 or None in ranks:
        return None
    known = [part for part in parts if part is not None]
    place = int(axis) % len(known[0])
    joined = [part[place] for part in known]
    sizes = [next((size for size in axes if size is not None), None) for axes in zip(*known)]
    sizes[place] = None if None in joined else sum(size or 0 for size in joined)
    return tuple(sizes)


def _reduce(node: Node, shapes: Sequence[Shape], evaluator: Evaluator) -> Shape:
    before = shapes[0] if shapes else None
    axes = evaluator.value(node.operand(1))
    if before is None or axes is None:
        return None
    gone = {int(axis) % len(before) for axis in axes.reshape(-1)} if before else set()
    if node.attribute("keep_dims"):
        return tuple(1 if axis in gone else size for axis, size in enumerate(before))
    return tuple(size for axis, size in enumerate(before) if axis not in gone)


def _squeeze(node: Node, shapes: Sequence[Shape], evaluator: Evaluator) -> Shape:
    before = shapes[0] if shapes else None
    axes = node.attribute("squeeze_dims") or []
    if before is None or (not axes and None in before):
        return None
    gone = {axis % len(before) for axis in axes} if before else set()
    gone = gone or {axis for axis, size in enumerate(before) if size == 1}
    return tuple(size for axis, size in enumerate(before) if axis not in gone)


def _expand(node: Node, shapes: Sequence[Shape], evaluator: Evaluator) -> Shape:
    before = shapes[0] if shapes else None
    axis = evaluator.scalar(node.operand(1))
    if before is None or axis is None:
        return None
    place = int(axis) % (len(before) + 1)
    return (*before[:place], 1, *before[place:])


def _product_of_matrices(node: Node, shapes: Sequence[Shape], evaluator: Evaluator) -> Shape:
    if len(shapes) < 2 or shapes[0] is None or shapes[1] is None:
        return None
    left, right = shapes[0], shapes[1]
    if min(len(left), len(right)) < 2:
        return None
    rows = left[-1] if node.attribute("transpose_a") or node.attribute("adj_x") else left[-2]
    turned = node.attribute("transpose_b") or node.attribute("adj_y")
    return (*left[:-2], rows, right[-2] if turned else right[-1])


def _rules(ops: str, rule: Rule) -> Mapping[str, Rule]:
    return dict.fromkeys(ops.split(), rule)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **_rules("FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3", _same),
        **_rules("Assign", _same),
        **_rules("Abs ClipByValue Cast Dropout Floor LRN Rsqrt Sign Reciprocal Erf Round", _same),
        **_rules("Add AddV2 Sub Mul RealDiv Div Maximum Minimum Pow SquaredDifference", _broadcast),
        **_rules("Greater GreaterEqual Less LessEqual Equal NotEqual FloorDiv", _broadcast),
        **_rules("Conv2D Conv3D DepthwiseConv2dNative", _convolution),
        **_rules("MaxPool MaxPoolV2 AvgPool MaxPool3D AvgPool3D", _pool),
        **_rules("Conv2DBackpropInput Conv3DBackpropInputV2 Fill", _stated(0)),
        **_rules("BroadcastTo", _stated(1)),
        **_rules("MatMul BatchMatMul BatchMatMulV2", _product_of_matrices),
        **_rules("Mean Sum Max Min Prod Any All", _reduce),
        **_rules("Pad PadV2 MirrorPad", _pad),
        **_rules("Concat ConcatV2", _join),
        **_rules("SpaceToBatchND BatchToSpaceND", _same_rank),
        **_rules("ResizeBilinear ResizeNearestNeighbor ResizeBicubic ResizeArea", _resize),
        "Reshape": _reshape,
        "Transpose": _transpose,
        "Squeeze": _squeeze,
        "ExpandDims": _expand,
    }
)


def shape_of_output(node: Node, shapes: Sequence[Shape], evaluator: Evaluator) -> Shape:
    """Give the shape of a node's first output, None if nothing is known of it.

    Args:
        shapes: of its operands.
        evaluator: knows small constants.
    """
    rule = RULES.get(node.op)
    return None if rule is None else rule(node, shapes, evaluator)
