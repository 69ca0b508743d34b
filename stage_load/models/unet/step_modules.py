"""Builds the torch module of one step: a plain one where it is TensorFlow's, else a subclass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from stage_load.models.unet import tensorflow_layers as layers
from stage_load.models.unet.steps import (
    TF1_LEAKY_RELU_ALPHA,
    Activation,
    BatchNorm,
    Bias,
    Clamp,
    Convolution,
    DepthToSpace,
    DepthwiseConvolution,
    Dropout,
    Pad,
    Pool,
    Rescale,
    Resize,
    Step,
    TransposedConvolution,
    channels_after,
)
from stage_load.models.unet.tensorflow_layers import (
    BatchStatisticsNorm2d,
    ChannelBias,
    TensorFlowConvTranspose2d,
    TensorFlowDepthToSpace,
    TensorFlowResize,
)
from stage_load.modules import SamePadAvgPool2d, SamePadConv2d, SamePadMaxPool2d

ACTIVATIONS: Mapping[str, Callable[[float | None], nn.Module]] = MappingProxyType(
    {
        "elu": lambda alpha: nn.ELU(),
        "leaky_relu": lambda alpha: nn.LeakyReLU(TF1_LEAKY_RELU_ALPHA if alpha is None else alpha),
        "log_softmax": lambda alpha: nn.LogSoftmax(dim=1),
        "relu": lambda alpha: nn.ReLU(),
        "relu6": lambda alpha: nn.ReLU6(),
        "selu": lambda alpha: nn.SELU(),
        "sigmoid": lambda alpha: nn.Sigmoid(),
        "softmax": lambda alpha: nn.Softmax(dim=1),
        "softplus": lambda alpha: nn.Softplus(),
        "softsign": lambda alpha: nn.Softsign(),
        "swish": lambda alpha: nn.SiLU(),
        "tanh": lambda alpha: nn.Tanh(),
    }
)


def build_step(step: Step, channels: int) -> nn.Module:
    """Build one step as a module that takes [N, channels, H, W]."""
    match step:
        case Convolution() | DepthwiseConvolution():
            return convolution(step, channels)
        case TransposedConvolution():
            return transposed_convolution(step, channels)
        case BatchNorm():
            kind = nn.BatchNorm2d if step.statistics == "moving" else BatchStatisticsNorm2d
            return kind(channels, step.epsilon, step.momentum, affine=step.affine)
        case Activation():
            return activation(step)
        case Dropout():
            return nn.Dropout(step.probability)
        case Pool():
            return pool(step)
        case Resize():
            return TensorFlowResize(step)
        case Bias():
            return ChannelBias(channels)
        case _:
            return without_tensors(step)


def without_tensors(step: Step) -> nn.Module:
    """Build one of the steps that have neither parameters nor a mode of training."""
    match step:
        case DepthToSpace():
            return TensorFlowDepthToSpace(step.block_size)
        case Rescale():
            return layers.Rescale(step.scale, step.offset)
        case Clamp():
            return layers.Clamp(step.low, step.high)
        case Pad():
            return pad(step)
        case _:
            raise ValueError(f"Step {step.kind!r} stands where a block cannot hold it.")


def convolution(step: Convolution | DepthwiseConvolution, in_channels: int) -> nn.Conv2d:
    """Build a convolution: nn.Conv2d where its even padding is TensorFlow's, else a subclass.

    One of each channel by itself has as many groups as channels, in torch.
    """
    totals = [(k - 1) * d for k, d in zip(step.kernel_size, step.dilation, strict=True)]
    even = step.stride == (1, 1) and all(total % 2 == 0 for total in totals)
    arguments: dict[str, Any] = {
        "in_channels": in_channels,
        "out_channels": channels_after((step,), in_channels),
        "kernel_size": step.kernel_size,
        "stride": step.stride,
        "dilation": step.dilation,
        "groups": in_channels if isinstance(step, DepthwiseConvolution) else 1,
        "bias": step.bias,
    }
    if step.padding == "SAME" and not even:
        return SamePadConv2d(**arguments)
    padding = (totals[0] // 2, totals[1] // 2) if step.padding == "SAME" else 0
    return nn.Conv2d(**arguments, padding=padding)


def transposed_convolution(step: TransposedConvolution, in_channels: int) -> nn.Module:
    """Build a transposed convolution: nn.ConvTranspose2d where its crop is TensorFlow's."""
    margins = [k - s for k, s in zip(step.kernel_size, step.stride, strict=True)]
    even = all(margin >= 0 and (step.padding == "VALID" or margin % 2 == 0) for margin in margins)
    if step.output_size == "skip" or not even:
        return TensorFlowConvTranspose2d(in_channels, step)
    padding = (0, 0) if step.padding == "VALID" else (margins[0] // 2, margins[1] // 2)
    return nn.ConvTranspose2d(
        in_channels, step.out_channels, step.kernel_size, step.stride, padding, bias=step.bias
    )


def pool(step: Pool) -> nn.Module:
    """Build a pooling: plain where the window is the stride, else a subclass for SAME."""
    # With window = stride, SAME adds an incomplete window at the end, as ceil_mode does.
    plain = step.padding == "VALID" or step.kernel_size == step.stride
    ceil = step.padding == "SAME"
    if step.method == "max":
        return (
            nn.MaxPool2d(step.kernel_size, step.stride, ceil_mode=ceil)
            if plain
            else SamePadMaxPool2d(step.kernel_size, step.stride)
        )
    return (
        nn.AvgPool2d(step.kernel_size, step.stride, ceil_mode=ceil, count_include_pad=False)
        if plain
        else SamePadAvgPool2d(step.kernel_size, step.stride)
    )


def pad(step: Pad) -> nn.Module:
    """Build a padding of fixed margins."""
    (top, bottom), (left, right) = step.margins
    margins = (left, right, top, bottom)
    return (
        nn.ReflectionPad2d(margins)
        if step.mode == "reflect"
        else nn.ConstantPad2d(margins, step.value)
    )


def activation(step: Activation) -> nn.Module:
    """Build an activation by its name.

    Raises:
        ValueError: the name is not in ``ACTIVATIONS``.
    """
    if step.name not in ACTIVATIONS:
        known = ", ".join(sorted(ACTIVATIONS))
        raise ValueError(f"Activation {step.name!r} is unknown. Known: {known}.")
    return ACTIVATIONS[step.name](step.alpha)
