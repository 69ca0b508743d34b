"""The flattened image, volume or sequence of features that a matrix product may read."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward

# Ops between a flatten and a matrix product that keep every feature in its place.
_POINTWISE_OPS = frozenset(
    ("Add", "AddV2", "BiasAdd", "Elu", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3",
     "Identity", "LeakyRelu", "Maximum", "Minimum", "Mul", "RealDiv", "Relu", "Relu6", "Selu",
     "Sigmoid", "Softplus", "Softsign", "Sub", "Tanh")
)  # fmt: skip
_FLATTENING_OPS = frozenset(("Reshape", "Squeeze"))
_CONVOLUTION_OPS = frozenset(
    ("Conv2D", "Conv2DBackpropInput", "Conv3D", "Conv3DBackpropInputV2", "DepthwiseConv2dNative")
)
# Ops between a convolution and a flatten that leave the channels where they are.
_CHANNEL_KEEPING_OPS = _POINTWISE_OPS | frozenset(
    ("AvgPool", "AvgPool3D", "BatchToSpaceND", "ConcatV2", "ExpandDims", "MaxPool", "MaxPool3D",
     "Pad", "PadV2", "SpaceToBatchND", "Squeeze", "Transpose")
)  # fmt: skip
# Rank -> with channels last, with channels first.
FORMATS: Mapping[int, Tuple[str, str]] = MappingProxyType(
    {3: ("NWC", "NCW"), 4: ("NHWC", "NCHW"), 5: ("NDHWC", "NCDHW")}
)
_IMAGE_RANK = 4
_MAX_STEPS = 32


def flatten_before(forward: Forward, tensor: str, features: int) -> Optional[Dict[str, Any]]:
    """Give the reshape to rows that lies before a product, None if there is none.

    Of three and five axes only where a convolution has made them: a sequence [N, T, D] keeps its
    axes in torch.

    Args:
        tensor: what the product reads.
        features: how many rows its kernel has.
    """
    for _ in range(_MAX_STEPS):
        node = forward.graph.producer(tensor)
        if node is None or not node.inputs:
            return None
        if node.op in _FLATTENING_OPS:
            before = forward.shapes.of(node.inputs[0])
            makes_rows = forward.shapes.rank(tensor) in (2, None)
            if before is not None and len(before) in FORMATS and makes_rows:
                is_whole = _is_flattened_to(before, features)
                order = axes_format(forward, node.inputs[0], len(before)) if is_whole else None
                shape = {"node": node.name, "shape": list(before), "data_format": order}
                return None if order is None else shape
            if node.op != "Reshape" or before is None or len(before) != 2:
                return None
        elif node.op not in _POINTWISE_OPS:
            return None
        tensor = _data_operand(forward, node)
    return None


def _is_flattened_to(shape: Sequence[Optional[int]], features: int) -> bool:
    """Tell whether each example becomes one row, and not each of its pixels or steps."""
    known = [size for size in shape[1:] if size is not None]
    area = 1
    for size in known:
        area *= size
    if len(known) == len(shape) - 1:
        return area == features
    return area > 0 and features % area == 0 and features != shape[-1]


def _data_operand(forward: Forward, node: Node) -> str:
    """Give the operand of a pointwise op that is neither a variable nor a constant."""
    for tensor in node.inputs:
        if forward.table.origin(tensor) is None and forward.evaluator.value(tensor) is None:
            return tensor
    return node.inputs[0]


def axes_format(forward: Forward, tensor: str, rank: int) -> Optional[str]:
    """Give the order of the axes: as the nearest op above says it that works on the channels."""
    permutations: List[List[Optional[int]]] = []
    first: Optional[bool] = False if rank == _IMAGE_RANK else None
    for _ in range(_MAX_STEPS):
        node = forward.graph.producer(tensor)
        if node is None or not node.inputs:
            break
        if node.op == "Transpose":
            permutations.append(forward.evaluator.vector(node.inputs[1]) or [])
            tensor = node.inputs[0]
            continue
        data_format = node.attribute("data_format")
        # A bias says NHWC of sequences as well.
        if data_format is not None and (rank == _IMAGE_RANK or node.op in _CONVOLUTION_OPS):
            first = str(data_format).startswith("NC")
            for permutation in reversed(permutations):
                first = _permuted(first, permutation)
            break
        if rank != _IMAGE_RANK and node.op not in _CHANNEL_KEEPING_OPS:
            break
        tensor = _transformed(forward, node, rank)
    return None if first is None else FORMATS[rank][first]


def _transformed(forward: Forward, node: Node, rank: int) -> str:
    if rank != _IMAGE_RANK:
        return _data_operand(forward, node)
    operand = 2 if node.op == "Conv2DBackpropInput" else 0
    return node.inputs[min(operand, len(node.inputs) - 1)]


def _permuted(first: bool, permutation: List[Optional[int]]) -> bool:
    """Tell whether the channels are first after a transposition."""
    rank = len(permutation)
    if first and permutation == [0, *range(2, rank), 1]:
        return False
    if not first and permutation == [0, rank - 1, *range(1, rank - 1)]:
        return True
    return first
