"""Carries arrays between TensorFlow's axes and torch's.

Images have the axes N, H, W, C in TensorFlow (unless the graph says NCHW) and N, C, H, W in torch.
Every other tensor has the same axes in both.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from stage_load.export_view import ExportView, Layer

IMAGE_RANK = 4
_CHANNELS_FIRST = "NCHW"

# Their torch counterparts work on the last axis as well, whatever the rank.
_LAST_AXIS_KINDS = frozenset({"dense", "embedding"})


def graph_is_channels_first(export: ExportView) -> bool:
    """Whether the graph computes images as NCHW."""
    formats = [layer.attributes.get("data_format") for layer in export.layers]
    return _CHANNELS_FIRST in formats and "NHWC" not in formats


def image_to_torch(value: Tensor, *, channels_first: bool) -> Tensor:
    """Turn [N, H, W, C] into [N, C, H, W]; leave other ranks alone."""
    if value.dim() != IMAGE_RANK or channels_first:
        return value
    return value.permute(0, 3, 1, 2).contiguous()


def image_to_tf(value: Tensor, expected: Sequence[int], *, channels_first: bool) -> Tensor:
    """Turn [N, C, H, W] into [N, H, W, C]; leave other ranks alone.

    A model may return channels last by itself: a tensor that has TensorFlow's shape already, and
    would lose it, is left alone as well.

    Args:
        value: what the torch model returned.
        expected: the shape of TensorFlow's tensor.
        channels_first: whether the graph itself computes NCHW.
    """
    if value.dim() != IMAGE_RANK or channels_first:
        return value
    moved = value.permute(0, 2, 3, 1)
    if tuple(moved.shape) != tuple(expected) and tuple(value.shape) == tuple(expected):
        return value
    return moved


def layer_to_tf(value: Tensor, layer: Layer, expected: Sequence[int]) -> Tensor:
    """Turn the output of a layer's torch module into TensorFlow's axes."""
    if layer.kind in _LAST_AXIS_KINDS:
        return value
    channels_first = layer.attributes.get("data_format") == _CHANNELS_FIRST
    return image_to_tf(value, expected, channels_first=channels_first)
