"""TensorFlow's SAME padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Return (before, after) of SAME padding along one axis of length ``size``.

    Where the total is odd, the larger half comes after; torch's ``padding`` is the same on both
    sides. Formula of tensorflow/core/framework/common_shape_fns.cc,
    GetWindowedOutputSizeVerboseV2.
    """
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def pad_same(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    value: float = 0.0,
) -> Tensor:
    """Pad the last axes of ``x``, one for each number of ``kernel``, as SAME asks for its size."""
    axes = range(-1, -len(kernel) - 1, -1)
    sides = [same_padding(x.shape[a], kernel[a], stride[a], dilation[a]) for a in axes]
    margins = [number for pair in sides for number in pair]
    return F.pad(x, margins, value=value) if any(margins) else x


def pair(value: int | Sequence[int]) -> tuple[int, int]:
    """Return (height, width) of what torch takes as one number or two."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])
