"""Carries arrays between TensorFlow's axes and torch's.

Images have the axes N, H, W, C in TensorFlow (unless the graph says NCHW) and N, C, H, W in torch;
volumes and what convolutions over one axis work on likewise. Every other tensor has the same axes
in both.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from stage_load.channels import LAST_AXIS_KINDS, is_channels_first
from stage_load.export_view import Layer

_LETTERS = {3: "W", 4: "HW", 5: "DHW"}

# Their modules take [N, C, ...] of any rank.
_CHANNEL_KINDS = frozenset(
    {
        "batch_norm",
        "conv1d",
        "conv1d_transpose",
        "depthwise_conv1d",
        "group_norm",
        "instance_norm",
    }
)


def torch_axes(rank: int) -> str:
    """Return the letters of channels first: NCW, NCHW or NCDHW."""
    return f"NC{_LETTERS[rank]}"


def tf_axes(rank: int) -> str:
    """Return the letters of channels last: NWC, NHWC or NDHWC."""
    return f"N{_LETTERS[rank]}C"


def to_torch(value: Tensor, *, moves: bool) -> Tensor:
    """Turn [N, H, W, C] into [N, C, H, W], and other ranks likewise.

    Args:
        value: in TensorFlow's axes.
        moves: whether torch has its channels elsewhere; else it is left alone.
    """
    if not moves:
        return value
    return value.permute(0, -1, *range(1, value.dim() - 1)).contiguous()


def to_tf(value: Tensor, expected: Sequence[int], *, moves: bool) -> Tensor:
    """Turn [N, C, H, W] into [N, H, W, C], and other ranks likewise.

    A model may return channels last by itself, or first where TensorFlow has them last: a tensor
    that has TensorFlow's shape only in the other order is taken so.

    Args:
        value: what the torch model returned.
        expected: the shape of TensorFlow's tensor.
        moves: whether torch has its channels elsewhere.
    """
    if value.dim() not in _LETTERS:
        return value
    moved = value.permute(0, *range(2, value.dim()), 1)
    wanted, other = (moved, value) if moves else (value, moved)
    fits_otherwise = tuple(other.shape) == tuple(expected) != tuple(wanted.shape)
    return other if fits_otherwise else wanted


def layer_to_tf(value: Tensor, layer: Layer, expected: Sequence[int]) -> Tensor:
    """Turn the output of a layer's torch module into TensorFlow's axes.

    TensorFlow 1 convolves sequences as images of height one, whose axis of size one may still be
    there behind the layer.
    """
    if layer.kind in LAST_AXIS_KINDS and len(layer.attributes.get("axes", ())) < 2:
        # A projection into heads: [..., heads, units] is torch's [..., heads * units].
        is_split = value.dim() > 1 and value.shape[:-1] == tuple(expected[:-2])
        return value.reshape(*expected) if is_split else value
    shape = tuple(expected)
    channels_first = is_channels_first(layer.attributes.get("data_format"))
    if value.dim() == 3 and len(shape) == 4:
        places = (2, 3) if channels_first else (1, 2)
        place = next((one for one in places if shape[one] == 1), None)
        if place is not None:
            shape = (*shape[:place], *shape[place + 1 :])
    moves = value.dim() != 3 or layer.kind in _CHANNEL_KINDS
    found = to_tf(value, shape, moves=moves and not channels_first)
    return found.reshape(tuple(expected)) if tuple(found.shape) == shape else found
