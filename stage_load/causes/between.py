"""What lies between two layers and has no weights: pooling, resizing, activations, joining."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stage_load.causes.activation import ACTIVATIONS
from stage_load.causes.cause import Suspect
from stage_load.causes.changed_input import changed_input_cause
from stage_load.causes.graph_input import input_before_padding
from stage_load.causes.graph_values import (
    GraphValues,
    NotComputable,
    Operation,
    on_image,
    resize_method,
    window,
)
from stage_load.export_view import Node
from stage_load.modules import TF1Resize
from stage_load.safetensors_reader import SafetensorsReader
from stage_load.verdict import Cause

# (what a module does instead, the operation that does it)
Variant = tuple[str, Operation]


_MOST_JOINED = 4
_MOST_NODES = 200
"""So many nodes without a recorded layer among them are no passage between two layers."""


def between_cause(suspect: Suspect, reference: SafetensorsReader) -> Cause | None:
    """Compute the layer's input as the graph does, then with what modules often do instead.

    ``None`` where the input is TensorFlow's own: then the layer itself is to blame.
    """
    view = suspect.export.view
    tensor, _ = input_before_padding(view, suspect.layer)
    if tensor is None:
        return None
    graph = GraphValues(view, reference)
    nodes = graph.nodes_before(tensor)
    if len(nodes) > _MOST_NODES:
        return None
    try:
        expected = graph.value(tensor)
        if suspect.is_same(suspect.given, expected.numpy()):
            return None
        changed = changed_input_cause(suspect, expected)
        if changed is not None:
            return changed
        for node in nodes.values():
            for told, operation in _variants(node):
                if _explains(suspect, GraphValues(view, reference, {node.name: operation}), tensor):
                    return _cause(node, told)
    except NotComputable:
        pass
    return _perhaps(suspect, nodes)


def _explains(suspect: Suspect, changed: GraphValues, tensor: str) -> bool:
    try:
        value = changed.value(tensor)
    except NotComputable:
        return False
    return suspect.is_same(suspect.given, np.asarray(value))


def _cause(node: Node, told: str) -> Cause:
    kind, what = _described(node)
    return Cause(kind, node.name, f"{what}; the module {told}", _REMEDIES[kind], True)


def _perhaps(suspect: Suspect, nodes: Mapping[str, Node]) -> Cause | None:
    """Name what lies before the layer, and may differ, where nothing could be shown."""
    told = [_described(node) for node in nodes.values() if next(_variants(node), None)]
    told = [entry for entry in told if entry[0] in ("pooling", "resize")]
    if not told:
        return None
    kind, what = told[0]
    text = f"before {suspect.layer.name}, {what}"
    return Cause(kind, suspect.path, text, _REMEDIES[kind], False)


def _described(node: Node) -> tuple[str, str]:
    """Return the kind of cause, and what the graph does."""
    if node.op in ("MaxPool", "AvgPool"):
        sizes = ["x".join(map(str, window(node, name))) for name in ("ksize", "strides")]
        padding = node.attributes["padding"]
        what = f"{node.op} of {sizes[0]} with stride {sizes[1]} pads as {padding}"
        return "pooling", f"the graph's {what} ({node.name})"
    if node.op.startswith("Resize"):
        corners = bool(node.attributes.get("align_corners"))
        centers = bool(node.attributes.get("half_pixel_centers"))
        how = f"align_corners={corners}, half_pixel_centers={centers}"
        return "resize", f"the graph's {node.op} has {how} ({node.name})"
    if node.op == "ConcatV2":
        return "joining", f"the graph's {node.name} joins in another order"
    return "activation", f"the graph computes {node.op} ({node.name})"


_REMEDIES: Mapping[str, str] = {
    "activation": "Compute what the graph does",
    "joining": "Join the tensors in the graph's order",
    "pooling": "Use stage_load.modules.SamePadMaxPool2d or SamePadAvgPool2d for SAME, and "
    "padding=0 for VALID",
    "resize": "Use stage_load.modules.TF1Resize with these settings",
}


def _variants(node: Node) -> Iterator[Variant]:
    if node.op in ("MaxPool", "AvgPool"):
        yield from _pool_variants(node)
    elif node.op.startswith("Resize"):
        yield from _resize_variants(node)
    elif node.op == "ConcatV2":
        yield from _join_variants(node)
    elif node.op in ACTIVATIONS:
        yield "does not", lambda n, inputs: inputs[0]
        yield "takes torch's LeakyReLU of 0.01", lambda n, inputs: F.leaky_relu(inputs[0], 0.01)


def _join_variants(node: Node) -> Iterator[Variant]:
    """Every order of a few tensors; the last input is the axis."""
    count = len(node.inputs) - 1
    if count <= _MOST_JOINED:
        for order in list(permutations(range(count)))[1:]:
            told = ", ".join(str(place + 1) for place in order)
            yield f"joins them in the order {told}", _joined(order)


def _joined(order: Sequence[int]) -> Operation:
    return lambda node, inputs: torch.cat([inputs[i] for i in order], int(inputs[-1]))


def _pool_variants(node: Node) -> Iterator[Variant]:
    kernel, stride = window(node, "ksize"), window(node, "strides")
    half = (kernel[0] // 2, kernel[1] // 2)
    settings = [((0, 0), False), (half, False), ((0, 0), True), (half, True)]
    for padding, ceil in settings:
        told = f"pads {padding[0]} and {padding[1]} on both sides, ceil_mode={ceil}"
        if node.op == "MaxPool":
            yield told, _pooled(_max_pool(kernel, stride, padding, ceil))
            continue
        for counts in (True, False):
            also = f"{told}, count_include_pad={counts}"
            yield also, _pooled(_average_pool(kernel, stride, padding, ceil, counts))


Pair = tuple[int, int]


def _max_pool(kernel: Pair, stride: Pair, padding: Pair, ceil: bool) -> Callable[..., Tensor]:
    return torch.nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)


def _average_pool(
    kernel: Pair, stride: Pair, padding: Pair, ceil: bool, counts: bool
) -> Callable[..., Tensor]:
    return torch.nn.AvgPool2d(kernel, stride, padding, ceil, counts)


def _pooled(module: Callable[..., Tensor]) -> Operation:
    return lambda node, inputs: on_image(node, inputs[0], module)


def _resize_variants(node: Node) -> Iterator[Variant]:
    own = (
        bool(node.attributes.get("align_corners")),
        bool(node.attributes.get("half_pixel_centers")),
    )
    method = resize_method(node)
    for other in (method, "bilinear", "nearest", "bicubic"):
        for corners, centers in ((False, True), (True, False), (False, False)):
            if (other, (corners, centers)) != (method, own):
                told = f"resizes {other} with align_corners={corners}, half_pixel_centers={centers}"
                yield (
                    told,
                    _resized(
                        TF1Resize(
                            None, None, other, align_corners=corners, half_pixel_centers=centers
                        )
                    ),
                )


def _resized(module: TF1Resize) -> Operation:
    def resize(node: Node, inputs: Sequence[Tensor]) -> Tensor:
        x, shape = inputs
        size = (int(shape[1]), int(shape[2]))
        resized: Tensor = module(x.permute(0, 3, 1, 2), size)
        return resized.permute(0, 2, 3, 1)

    return resize
