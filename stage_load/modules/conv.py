"""Convolutions with TensorFlow's SAME padding, for any stride, dilation and size of kernel."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from stage_load.modules.padding import pad_same

Sizes = int | Sequence[int]


class _SamePad(nn.Module):
    """What the classes below have in common; torch's ``padding`` is no argument of theirs."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        *,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            dilation=dilation,
            groups=groups,
            bias=bias,
        )

    def forward(self, input: Tensor) -> Tensor:
        """Pad and convolve ``input`` [N, in, ...]."""
        padded = pad_same(input, self.kernel_size, self.stride, self.dilation)
        result: Tensor = super().forward(padded)
        return result


class SamePadConv1d(_SamePad, nn.Conv1d):
    """[N, in, W] -> [N, out, ceil(W / stride)]"""


class SamePadConv2d(_SamePad, nn.Conv2d):
    """[N, in, H, W] -> [N, out, ceil(H / stride), ceil(W / stride)]"""


class SamePadConv3d(_SamePad, nn.Conv3d):
    """[N, in, D, H, W] -> [N, out, ceil(D / stride), ceil(H / stride), ceil(W / stride)]"""
