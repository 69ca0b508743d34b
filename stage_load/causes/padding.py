"""Convolutions that pad, stride or dilate in another way than the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from stage_load.causes.cause import Suspect
from stage_load.causes.graph_input import Margins, input_before_padding
from stage_load.modules import SamePadConv2d, SamePadConvTranspose2d, same_padding
from stage_load.verdict import Cause

Sizes = tuple[int, ...]


def padding_cause(suspect: Suspect) -> Cause | None:
    """Compute the convolution as the graph does, on what the module was given."""
    if isinstance(suspect.module, nn.ConvTranspose2d):
        return _transposed(suspect, suspect.module)
    if isinstance(suspect.module, nn.Conv2d):
        return _convolution(suspect, suspect.module)
    return None


def _convolution(suspect: Suspect, module: nn.Conv2d) -> Cause | None:
    attributes = suspect.layer.attributes
    strides, dilations = _sizes(attributes, "strides"), _sizes(attributes, "dilations")
    if strides is None or dilations is None or not _fits(suspect, module):
        return None
    for given in _possible_inputs(suspect):
        margins = _graph_margins(suspect, module, given)
        if margins is None:
            return None
        padded = F.pad(given, _flat(margins))
        if any(
            size < (kernel - 1) * step + 1
            for size, kernel, step in zip(
                padded.shape[2:], module.kernel_size, dilations, strict=True
            )
        ):
            continue
        value = F.conv2d(padded, module.weight, module.bias, strides, 0, dilations, module.groups)
        if suspect.agrees(value):
            return _convolution_cause(suspect, module, given, margins)
    return None


def _convolution_cause(
    suspect: Suspect, module: nn.Conv2d, given: Tensor, margins: Margins
) -> Cause:
    attributes = suspect.layer.attributes
    wanted = [("stride", module.stride, "strides"), ("dilation", module.dilation, "dilations")]
    other = [
        f"{word} {tuple(attributes[name])}, the module {tuple(own)}"
        for word, own, name in wanted
        if tuple(own) != tuple(attributes[name])
    ]
    if other:
        text = f"the graph's convolution has {' and '.join(other)}"
        return Cause("stride", suspect.path, text, "Give the module the graph's numbers", True)
    height, width = given.shape[2:]
    same = attributes["padding"] == "SAME"
    stride = "x".join(map(str, attributes["strides"]))
    how = f"TensorFlow's SAME padding with stride {stride}" if same else "the graph"
    own = _own_padding(module)
    if given.shape != suspect.given.shape:
        own = f"is given {suspect.given.shape[2]}x{suspect.given.shape[3]}, padded before it"
    text = f"{how} pads {_told(margins)} on {height}x{width}, the module {own}"
    return Cause("padding", suspect.path, text, _remedy(module, margins, same=same), True)


def _remedy(module: nn.Conv2d, margins: Margins, *, same: bool) -> str:
    if same:
        kernel = module.kernel_size[0] if len(set(module.kernel_size)) == 1 else module.kernel_size
        stride = module.stride[0] if len(set(module.stride)) == 1 else module.stride
        sizes = f"{module.in_channels}, {module.out_channels}, {kernel}, {stride}"
        return f"Use stage_load.modules.SamePadConv2d({sizes}, ...)"
    (top, bottom), (left, right) = margins
    if (top, left) == (bottom, right):
        return f"Use padding=({top}, {left})"
    return f"Use padding=0 after nn.ZeroPad2d(({left}, {right}, {top}, {bottom}))"


def _own_padding(module: nn.Conv2d) -> str:
    if isinstance(module, SamePadConv2d):
        return "as SAME does"
    if type(module).forward is not nn.Conv2d.forward:
        return "computes something else in a forward of its own"
    if isinstance(module.padding, str):
        return f"has padding={module.padding!r}"
    return f"{module.padding[0]} and {module.padding[1]} on both sides of height and width"


def _told(margins: Margins) -> str:
    (top, bottom), (left, right) = margins
    return f"{top} above, {bottom} below, {left} left, {right} right"


def _transposed(suspect: Suspect, module: nn.ConvTranspose2d) -> Cause | None:
    attributes = suspect.layer.attributes
    strides = _sizes(attributes, "strides")
    if strides is None or module.groups != 1 or attributes.get("padding") != "SAME":
        return None
    if not _fits(suspect, module):
        return None
    again = SamePadConvTranspose2d(
        module.in_channels, module.out_channels, _two(module.kernel_size), _two(strides), bias=False
    )
    again.weight, again.bias = module.weight, module.bias
    channels_first = attributes.get("data_format") == "NCHW"
    size = suspect.expected.shape[2:] if channels_first else suspect.expected.shape[1:3]
    if len(size) != 2 or not suspect.agrees(again(suspect.given, size)):
        return None
    stride = "x".join(map(str, strides))
    text = (
        f"TensorFlow's SAME padding of a transposed convolution with stride {stride} takes another "
        "part of the result than the module"
    )
    remedy = "Use stage_load.modules.SamePadConvTranspose2d"
    return Cause("padding", suspect.path, text, remedy, True)


def _possible_inputs(suspect: Suspect) -> Iterator[Tensor]:
    """Yield what the module was given, and that without what somebody has padded before it."""
    yield suspect.given
    size = _graph_size(suspect)
    over = [own - n for own, n in zip(suspect.given.shape[2:], size or (), strict=False)]
    if len(over) == 2 and max(over) > 0 and min(over) >= 0:
        yield F.pad(
            suspect.given,
            (
                -(over[1] // 2),
                -(over[1] - over[1] // 2),
                -(over[0] // 2),
                -(over[0] - over[0] // 2),
            ),
        )


def _graph_size(suspect: Suspect) -> Sizes | None:
    """Return height and width of the graph's input, before any padding of its own."""
    tensor, _ = input_before_padding(suspect.export.view, suspect.layer)
    shape = None if tensor is None else suspect.export.view.shape(tensor)
    if shape is None or len(shape) != 4:
        return None
    channels_first = suspect.layer.attributes.get("data_format") == "NCHW"
    sizes = shape[2:] if channels_first else shape[1:3]
    known = tuple(size for size in sizes if size is not None)
    return known if len(known) == 2 else None


def _graph_margins(suspect: Suspect, module: nn.Conv2d, given: Tensor) -> Margins | None:
    """Return ((top, bottom), (left, right)) as the graph pads an input of this size."""
    attributes = suspect.layer.attributes
    strides, dilations = attributes["strides"], attributes["dilations"]
    if attributes.get("padding") == "SAME":
        pads = [
            same_padding(
                given.shape[2 + axis], module.kernel_size[axis], strides[axis], dilations[axis]
            )
            for axis in (0, 1)
        ]
        return pads[0], pads[1]
    if attributes.get("padding") == "VALID":
        return input_before_padding(suspect.export.view, suspect.layer)[1]
    return None


def _flat(margins: Margins) -> tuple[int, int, int, int]:
    (top, bottom), (left, right) = margins
    return left, right, top, bottom


def _fits(suspect: Suspect, module: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Whether the module was given a batch of images with its channels."""
    return suspect.given.dim() == 4 and suspect.given.shape[1] == module.in_channels


def _sizes(attributes: Mapping[str, Any], name: str) -> Sizes | None:
    value = attributes.get(name)
    return tuple(value) if isinstance(value, Sequence) and len(value) == 2 else None


def _two(value: Sequence[int]) -> tuple[int, int]:
    return value[0], value[1]
