"""Tells which tensors torch models take and return with their channels before the spatial axes.

TensorFlow's images [N, H, W, C] are [N, C, H, W] in torch. Of rank 3 and 5 only what a convolution
reads or computes is moved so: a sequence [N, T, D] has the same axes in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from stage_load.export_view import ExportView, Layer, Node, split_tensor

IMAGE_RANK = 4
_RANKS = {3: "1d", 5: "3d"}

# Their torch counterparts work on the last axis as well, whatever the rank.
LAST_AXIS_KINDS = frozenset({"dense", "embedding", "gru", "layer_norm", "lstm"})
# Ops behind which an axis is no longer where it was.
_MOVING_OPS = frozenset({"BatchMatMul", "BatchMatMulV2", "Gather", "GatherV2", "MatMul", "Reshape"})
_MOVING_OPS |= {"Transpose"}


def is_channels_first(data_format: object) -> bool:
    """Whether an op's data_format is NCHW, or the like of another rank."""
    return str(data_format).startswith("NC")


def graph_is_channels_first(export: ExportView) -> bool:
    """Whether the graph itself computes with channels first, as in NCHW."""
    formats = [layer.attributes.get("data_format") for layer in export.layers]
    known = [is_channels_first(one) for one in formats if one is not None]
    return bool(known) and all(known)


def moves_channels(export: ExportView, tensor: str, rank: int) -> bool:
    """Whether torch has a tensor's channels first while TensorFlow has them last.

    Args:
        export: the graph.
        tensor: one of its inputs, outputs or other tensors.
        rank: its number of axes.
    """
    if graph_is_channels_first(export):
        return False
    if rank == IMAGE_RANK:
        return True
    if rank not in _RANKS:
        return False
    return _is_computed_by_convolution(export, tensor, rank) or _feeds(export, tensor, rank)


def _feeds(export: ExportView, tensor: str, rank: int) -> bool:
    """Whether a convolution over as many axes reads a tensor, perhaps with its axes in place."""
    readers: dict[str, list[Layer]] = {}
    for layer in export.layers:
        if layer.input is not None:
            readers.setdefault(export.source(layer.input), []).append(layer)

    def following(current: str) -> Iterable[str]:
        for node in export.consumers(current):
            if _keeps_axes(export, node, rank):
                yield node.output()

    def kinds(current: str) -> Iterable[str]:
        return (layer.kind for layer in readers.get(current, ()))

    return _nearest_is_convolution(export.source(tensor), rank, kinds, following)


def _is_computed_by_convolution(export: ExportView, tensor: str, rank: int) -> bool:
    """Whether the nearest layer above that works on the channels is a convolution."""

    def preceding(current: str) -> Iterable[str]:
        node = export.nodes.get(split_tensor(current)[0])
        if node is not None and _keeps_axes(export, node, rank):
            yield from export.sources(node)

    def kinds(current: str) -> Iterable[str]:
        layer = export.layer_of_output(current)
        return () if layer is None else (layer.kind,)

    return _nearest_is_convolution(export.source(tensor), rank, kinds, preceding)


def _nearest_is_convolution(
    tensor: str,
    rank: int,
    kinds: Callable[[str], Iterable[str]],
    neighbours: Callable[[str], Iterable[str]],
) -> bool:
    """Walk from tensor to tensor, to the first layers that say what the last axis is."""
    waiting, seen = [tensor], {tensor}
    while waiting:
        current = waiting.pop(0)
        found = list(kinds(current))
        if any(_RANKS[rank] in kind for kind in found):
            return True
        if any(kind in LAST_AXIS_KINDS for kind in found):
            return False
        for other in neighbours(current):
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return False


def _keeps_axes(export: ExportView, node: Node, rank: int) -> bool:
    shape = export.shape(node.output())
    return node.op not in _MOVING_OPS and (shape is None or len(shape) == rank)
