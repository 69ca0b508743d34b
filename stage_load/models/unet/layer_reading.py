"""Ops that read variables: convolutions, transposed convolutions, batch norm, biases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from stage_load.export_view import Layer, Node
from stage_load.layouts import batch_norm
from stage_load.models.unet.context import Context
from stage_load.models.unet.feature import Feature
from stage_load.models.unet.misfit import FAMILY, misfit
from stage_load.models.unet.shaping import windowed_size
from stage_load.models.unet.steps import (
    TF1_BATCH_NORM_MOMENTUM,
    BatchNorm,
    Bias,
    Convolution,
    DepthwiseConvolution,
    Margins,
    Pad,
    Pair,
    TransposedConvolution,
)
from stage_load.models.unet.up_sampling import (
    check_may_up_sample,
    computed_size,
    takes_skip_size,
)

BATCH_STATISTICS = (
    "The graph's batch norms take mean and variance from the batch, and its training step does not "
    "update their moving averages. This model takes them from the batch too, in eval mode as well. "
    "If the authors updated the averages by other means, model.use_moving_statistics() uses them."
)


def layer_feature(context: Context, node: Node, layer: Layer, given: Feature) -> Feature:
    """Return what ``layer``, which ends at ``node``, makes of the map ``given``.

    Raises:
        ModelDoesNotFit: the layer is of a kind that no UNet of this family has.
    """
    if layer.kind not in KINDS:
        main = context.view.nodes.get(layer.op or node.name, node)
        raise misfit(main, f"is a layer of kind '{layer.kind}'", FAMILY)
    return KINDS[layer.kind](context, node, layer, given)


def _convolution(context: Context, node: Node, layer: Layer, given: Feature) -> Feature:
    attributes = layer.attributes
    in_channels, last = _kernel_channels(context, layer, in_axis=2, out_axis=3)
    _check_channels(context, layer, node, given, in_channels)
    padding, stride = attributes["padding"], _pair(attributes["strides"])
    if padding == "EXPLICIT":
        margins = _margins(attributes["explicit_padding"])
        given = given.then(node.output(), Pad(margins), _padded(given.size, margins))
        padding = "VALID"
    # The kernel's last axis: output channels, or results for each input channel.
    step = (DepthwiseConvolution if layer.kind == "depthwise_conv2d" else Convolution)(
        last,
        kernel_size=_pair(attributes["kernel_size"]),
        stride=stride,
        dilation=_pair(attributes["dilations"]),
        padding=padding,
        bias=_has(layer, "bias"),
    )
    size = windowed_size(given.size, step.kernel_size, stride, step.padding, step.dilation)
    if stride == (1, 1):
        return given.then(node.output(), step, size)
    if not given.is_encoder:
        raise misfit(node, f"is a convolution of stride {stride} after an up-sampling", FAMILY)
    return given.halved(node.output(), step, size)


def _transposed(context: Context, node: Node, layer: Layer, given: Feature) -> Feature:
    attributes = layer.attributes
    in_channels, out_channels = _kernel_channels(context, layer, in_axis=3, out_axis=2)
    _check_channels(context, layer, node, given, in_channels)
    stride, kernel = _pair(attributes["strides"]), _pair(attributes["kernel_size"])
    main = context.view.nodes[layer.op or node.name]
    keeps_size = stride == (1, 1)
    if not keeps_size:
        check_may_up_sample(main, given)
    natural = _natural_size(given.size, kernel, stride, attributes["padding"])
    wanted = computed_size(context, main, main.inputs[0])
    size = (wanted[2], wanted[3]) if given.channels_first else (wanted[1], wanted[2])
    follows_skip = takes_skip_size(context, main, main.inputs[0], given, size, natural)
    step = TransposedConvolution(
        out_channels=out_channels,
        kernel_size=kernel,
        stride=stride,
        padding=attributes["padding"],
        bias=_has(layer, "bias"),
        output_size="skip" if follows_skip else "stride",
    )
    place = given.then if keeps_size else given.up_sampled
    return place(node.output(), step, size)


def _batch_norm(context: Context, node: Node, layer: Layer, given: Feature) -> Feature:
    of_batch = bool(layer.attributes.get("is_training"))
    if of_batch and not {"moving_mean", "moving_variance"} <= layer.variables.keys():
        raise misfit(
            node,
            "is a batch norm that always takes its statistics from the batch and keeps no average "
            "of them",
            "batch norm with moving statistics",
        )
    if of_batch:
        context.assume(BATCH_STATISTICS)
    settings = batch_norm.settings(layer.attributes)
    if "momentum" not in settings:
        context.assume(
            "The graph does not show the decay of the batch norm's moving statistics; torch's "
            f"momentum is set to {TF1_BATCH_NORM_MOMENTUM} (1 - 0.99, TensorFlow's default). "
            "It matters for training only."
        )
    step = BatchNorm(
        epsilon=settings["eps"],
        momentum=settings.get("momentum", TF1_BATCH_NORM_MOMENTUM),
        affine=any(role in layer.variables for role in ("gamma", "beta")),
        statistics="batch" if of_batch else "moving",
    )
    return given.then(node.output(), step)


def _bias(context: Context, node: Node, layer: Layer, given: Feature) -> Feature:
    return given.then(node.output(), Bias())


Reading = Callable[[Context, Node, Layer, Feature], Feature]

KINDS: Mapping[str, Reading] = MappingProxyType(
    {
        "batch_norm": _batch_norm,
        "bias_add": _bias,
        "conv2d": _convolution,
        "conv2d_transpose": _transposed,
        "depthwise_conv2d": _convolution,
    }
)


def _kernel_channels(context: Context, layer: Layer, in_axis: int, out_axis: int) -> Pair:
    shape = context.view.variables[layer.variables["kernel"]].shape
    return shape[in_axis], shape[out_axis]


def _check_channels(
    context: Context, layer: Layer, node: Node, given: Feature, in_channels: int
) -> None:
    if given.channels != in_channels:
        raise misfit(
            context.view.nodes.get(layer.op or node.name, node),
            f"has a kernel for {in_channels} channels and reads a map of {given.channels}",
            "a convolution over all channels of its input",
        )


def _natural_size(size: Pair, kernel: Pair, stride: Pair, padding: str) -> Pair:
    """Size * stride, and what the kernel adds when nothing is padded."""
    extra = [
        max(k - s, 0) if padding == "VALID" else 0 for k, s in zip(kernel, stride, strict=True)
    ]
    return size[0] * stride[0] + extra[0], size[1] * stride[1] + extra[1]


def _has(layer: Layer, role: str) -> bool:
    return role in layer.variables or role in layer.constants


def _padded(size: Pair, margins: Margins) -> Pair:
    return size[0] + sum(margins[0]), size[1] + sum(margins[1])


def _margins(values: Any) -> Margins:
    (top, bottom), (left, right) = values
    return (int(top), int(bottom)), (int(left), int(right))


def _pair(values: Any) -> Pair:
    height, width = values
    return int(height), int(width)
