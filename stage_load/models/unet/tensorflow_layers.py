"""Torch modules that pad, stride and resize as TensorFlow 1 does.

Tensors are [batch, channels, height, width]. These are for what torch has no argument for;
``step_modules`` uses plain torch modules wherever their padding is the same.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stage_load.models.unet.steps import (
    Margins,
    Pair,
    PerChannel,
    Resize,
    TransposedConvolution,
)


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> Pair:
    """Return (before, after) of TensorFlow's SAME padding along one axis of length ``size``.

    Formula of tensorflow/core/framework/common_shape_fns.cc, GetWindowedOutputSizeVerboseV2.
    """
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def pad_same(x: Tensor, kernel: Pair, stride: Pair, dilation: Pair, value: float = 0.0) -> Tensor:
    """Pad ``x`` [N, C, H, W] as SAME asks for its size."""
    top, bottom = same_padding(x.shape[-2], kernel[0], stride[0], dilation[0])
    left, right = same_padding(x.shape[-1], kernel[1], stride[1], dilation[1])
    return F.pad(x, (left, right, top, bottom), value=value)


class SameConv2d(nn.Conv2d):
    """A convolution whose SAME padding depends on the size or is uneven.

    [N, in, H, W] -> [N, out, ceil(H / stride), ceil(W / stride)]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Convolve ``input`` [N, in, H, W]."""
        kernel, stride, dilation = _pair(self.kernel_size), _pair(self.stride), _pair(self.dilation)
        return super().forward(pad_same(input, kernel, stride, dilation))


class TensorFlowConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution that gives the size that TensorFlow gives.

    [N, in, H, W] -> [N, out, H * stride, W * stride] for SAME; the whole of it is computed, then
    SAME takes its padding off, one row and column more at the end than at the start where it is
    odd.
    """

    def __init__(self, in_channels: int, step: TransposedConvolution) -> None:
        super().__init__(
            in_channels, step.out_channels, step.kernel_size, step.stride, bias=step.bias
        )
        self.tf1_padding = step.padding
        self.takes_skip_size = step.output_size == "skip"

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Up-sample ``input`` [N, in, H, W] to ``output_size`` (h, w), or to H * stride."""
        full = F.conv_transpose2d(input, self.weight, None, self.stride)
        margins: list[int] = []
        for axis in (1, 0):
            size, kernel, stride = input.shape[2 + axis], self.kernel_size[axis], self.stride[axis]
            wanted = (
                self._wanted(size, kernel, stride) if output_size is None else output_size[axis]
            )
            start = 0
            if self.tf1_padding == "SAME":
                start = max((size - 1) * stride + kernel - wanted, 0) // 2
            margins += [-start, wanted + start - full.shape[2 + axis]]
        result = F.pad(full, margins)
        return result if self.bias is None else result + self.bias.view(-1, 1, 1)

    def _wanted(self, size: int, kernel: int, stride: int) -> int:
        # deconv_output_length in tensorflow/python/keras/utils/conv_utils.py.
        return size * stride + (max(kernel - stride, 0) if self.tf1_padding == "VALID" else 0)


class BatchStatisticsNorm2d(nn.BatchNorm2d):
    """A batch norm whose mean and variance are the batch's own in eval mode too.

    In training it is torch's, and moves its averages. ``uses_batch_statistics`` False makes it
    torch's in eval mode as well.
    """

    uses_batch_statistics = True

    def forward(self, input: Tensor) -> Tensor:
        """Normalise ``input`` [N, C, H, W]."""
        if self.training or not self.uses_batch_statistics:
            return super().forward(input)
        # Torch refuses a single value a channel, of which TensorFlow takes the mean.
        variance, mean = torch.var_mean(input, (0, 2, 3), correction=0, keepdim=True)
        normal = (input - mean) * torch.rsqrt(variance + self.eps)
        if not self.affine:
            return normal
        return normal * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)

    def extra_repr(self) -> str:
        """Show the setting in ``print(model)``."""
        settings = f"eps={self.eps}, momentum={self.momentum}, affine={self.affine}"
        uses = f"uses_batch_statistics={self.uses_batch_statistics}"
        return f"{self.num_features}, {settings}, {uses}"


class SameMaxPool2d(nn.MaxPool2d):
    """Max pooling with SAME padding that torch cannot express; the padding is -infinity."""

    def forward(self, input: Tensor) -> Tensor:
        """Pool ``input`` [N, C, H, W]."""
        kernel, stride = _pair(self.kernel_size), _pair(self.stride)
        padded = pad_same(input, kernel, stride, (1, 1), value=float("-inf"))
        return F.max_pool2d(padded, kernel, stride)


class SameAvgPool2d(nn.AvgPool2d):
    """Average pooling with SAME padding; the padding does not count."""

    def forward(self, input: Tensor) -> Tensor:
        """Pool ``input`` [N, C, H, W]."""
        kernel, stride = _pair(self.kernel_size), _pair(self.stride)
        inside = torch.ones_like(input[:1, :1])
        sums = F.avg_pool2d(pad_same(input, kernel, stride, (1, 1)), kernel, stride)
        return sums / F.avg_pool2d(pad_same(inside, kernel, stride, (1, 1)), kernel, stride)


class TensorFlowResize(nn.Module):
    """Nearest or bilinear resize with TensorFlow 1's coordinates.

    [N, C, H, W] -> [N, C, H * factor, W * factor], or to the size given. Without half-pixel
    centres and without aligned corners, the default in TensorFlow 1, output index i reads input
    position i * (in / out); torch's bilinear has no such mode
    (tensorflow/core/kernels/image_resizer_state.h).
    """

    def __init__(self, step: Resize) -> None:
        super().__init__()
        self.method = step.method
        self.factor = step.factor
        self.align_corners = step.align_corners
        self.half_pixel_centers = step.half_pixel_centers
        self.takes_skip_size = step.factor is None

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Resize ``x`` [N, C, H, W]."""
        if output_size is None:
            if self.factor is None:
                raise ValueError("This resize takes the size of a skip: give output_size.")
            output_size = [x.shape[2] * self.factor[0], x.shape[3] * self.factor[1]]
        if self.method == "nearest" and not self.align_corners and not self.half_pixel_centers:
            return F.interpolate(x, size=output_size)
        for axis, size in ((2, output_size[0]), (3, output_size[1])):
            x = self._resize_axis(x, axis, size)
        return x

    def _positions(self, before: int, after: int, device: torch.device) -> Tensor:
        index = torch.arange(after, dtype=torch.float32, device=device)
        if self.align_corners and after > 1:
            return index * ((before - 1) / (after - 1))
        if self.half_pixel_centers:
            return (index + 0.5) * (before / after) - 0.5
        return index * (before / after)

    def _resize_axis(self, x: Tensor, axis: int, after: int) -> Tensor:
        before = x.shape[axis]
        position = self._positions(before, after, x.device)
        if self.method == "nearest":
            if self.half_pixel_centers:
                position = position + 0.5
            nearest = (position + 0.5).floor() if self.align_corners else position.floor()
            return x.index_select(axis, nearest.long().clamp(0, before - 1))
        low = position.floor()
        weight = (position - low).to(x.dtype).view([-1 if a == axis else 1 for a in range(4)])
        first = x.index_select(axis, low.long().clamp(0, before - 1))
        second = x.index_select(axis, (low.long() + 1).clamp(0, before - 1))
        return first + (second - first) * weight

    def extra_repr(self) -> str:
        """Show the settings in ``print(model)``."""
        return f"method={self.method!r}, factor={self.factor}, align_corners={self.align_corners}"


class TensorFlowDepthToSpace(nn.Module):
    """Channels laid out as pixels, in TensorFlow's order: [N, b * b * C, H, W] -> [N, C, H b, W b].

    torch's PixelShuffle takes the block's position from the fastest running channels, TensorFlow
    from the slowest.
    """

    def __init__(self, block_size: int) -> None:
        super().__init__()
        self.block_size = block_size

    def forward(self, x: Tensor) -> Tensor:
        """Rearrange ``x`` [N, b * b * C, H, W]."""
        batch, channels, height, width = x.shape
        block = self.block_size
        parts = x.view(batch, block, block, channels // block**2, height, width)
        rows = parts.permute(0, 3, 4, 1, 5, 2)
        return rows.reshape(batch, channels // block**2, height * block, width * block)

    def extra_repr(self) -> str:
        """Show the settings in ``print(model)``."""
        return f"block_size={self.block_size}"


class ChannelBias(nn.Module):
    """A trained number added to each channel: [N, C, H, W] -> [N, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Add the bias to ``x`` [N, C, H, W]."""
        return x + self.bias.view(-1, 1, 1)


class Rescale(nn.Module):
    """value * scale + offset; constants of the graph, neither trained nor in the state dict."""

    scale: Tensor
    offset: Tensor

    def __init__(self, scale: PerChannel, offset: PerChannel) -> None:
        super().__init__()
        for name, value in (("scale", scale), ("offset", offset)):
            numbers = torch.tensor(value, dtype=torch.float32).view(-1, 1, 1)
            self.register_buffer(name, numbers, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Rescale ``x`` [N, C, H, W]."""
        return x * self.scale + self.offset

    def extra_repr(self) -> str:
        """Show the settings in ``print(model)``."""
        return f"scale={self.scale.flatten().tolist()}, offset={self.offset.flatten().tolist()}"


class Clamp(nn.Module):
    """The nearest number between two bounds, of which either may be absent: tf.clip_by_value."""

    def __init__(self, low: float | None, high: float | None) -> None:
        super().__init__()
        self.low = low
        self.high = high

    def forward(self, x: Tensor) -> Tensor:
        """Clip ``x`` of any shape."""
        return x.clamp(self.low, self.high)

    def extra_repr(self) -> str:
        """Show the bounds in ``print(model)``."""
        return f"low={self.low}, high={self.high}"


def crop_to(x: Tensor, size: Pair, margins: Margins | None) -> Tensor:
    """Cut ``margins`` from ``x`` [N, C, H, W], or leave its middle of ``size`` (height, width)."""
    if margins is None:
        top, left = ((x.shape[2 + axis] - size[axis]) // 2 for axis in (0, 1))
        return x[:, :, top : top + size[0], left : left + size[1]]
    (top, bottom), (left, right) = margins
    return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]


def _pair(value: int | tuple[int, ...]) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
