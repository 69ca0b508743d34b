"""Transposed convolution with TensorFlow's SAME padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class SamePadConvTranspose2d(nn.ConvTranspose2d):
    """[N, in, H, W] -> [N, out, H * stride, W * stride], or to the size that is asked for.

    The whole of it is computed, then SAME takes its padding off: one row and column more at the
    end than at the start where it is odd.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, bias=bias)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Up-sample ``input`` [N, in, H, W] to ``output_size`` (h, w), or to H * stride."""
        full = F.conv_transpose2d(input, self.weight, None, self.stride)
        margins: list[int] = []
        for axis in (1, 0):
            size = input.shape[2 + axis]
            wanted = self.size_of(axis, size) if output_size is None else output_size[axis]
            start = self.cut_before(axis, size, wanted)
            margins += [-start, wanted + start - full.shape[2 + axis]]
        result = F.pad(full, margins)
        return result if self.bias is None else result + self.bias.view(-1, 1, 1)

    def size_of(self, axis: int, size: int) -> int:
        """Return the length that an axis (0: height, 1: width) of ``size`` comes out with."""
        return size * self.stride[axis]

    def cut_before(self, axis: int, size: int, wanted: int) -> int:
        """Return how many rows or columns are taken off the start of an axis."""
        return max((size - 1) * self.stride[axis] + self.kernel_size[axis] - wanted, 0) // 2
