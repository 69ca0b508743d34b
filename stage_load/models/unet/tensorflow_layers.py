"""Torch modules that pad, stride and resize as TensorFlow 1 does.

Tensors are [batch, channels, height, width]. These are for what torch has no argument for;
``step_modules`` uses plain torch modules wherever their padding is the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stage_load.models.unet.steps import (
    Margins,
    Pair,
    PerChannel,
    Resize,
    TransposedConvolution,
)
from stage_load.modules import SamePadConvTranspose2d, TF1Resize


class TensorFlowConvTranspose2d(SamePadConvTranspose2d):
    """A transposed convolution that gives the size that TensorFlow gives, SAME or VALID.

    [N, in, H, W] -> [N, out, H * stride, W * stride] for SAME; VALID takes nothing off.
    """

    def __init__(self, in_channels: int, step: TransposedConvolution) -> None:
        super().__init__(
            in_channels, step.out_channels, step.kernel_size, step.stride, bias=step.bias
        )
        self.tf1_padding = step.padding
        self.takes_skip_size = step.output_size == "skip"

    def size_of(self, axis: int, size: int) -> int:
        """Return what deconv_output_length does in tensorflow/python/keras/utils/conv_utils.py."""
        extra = max(self.kernel_size[axis] - self.stride[axis], 0)
        return super().size_of(axis, size) + (extra if self.tf1_padding == "VALID" else 0)

    def cut_before(self, axis: int, size: int, wanted: int) -> int:
        """Return how many rows or columns are taken off the start of an axis."""
        return super().cut_before(axis, size, wanted) if self.tf1_padding == "SAME" else 0


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


class TensorFlowResize(TF1Resize):
    """The resize of a step, by its factor or to the size of a skip."""

    def __init__(self, step: Resize) -> None:
        super().__init__(
            scale_factor=step.factor,
            method=step.method,
            align_corners=step.align_corners,
            half_pixel_centers=step.half_pixel_centers,
        )
        self.takes_skip_size = step.factor is None


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
