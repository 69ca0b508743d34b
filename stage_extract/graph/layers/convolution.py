"""Convolutions over two and three axes, and over one: plain, atrous, depthwise and transposed."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.atrous import with_holes
from stage_extract.graph.layers.conv1d import one_dimensional, unit_axis
from stage_extract.graph.layers.layer import (
    Forward,
    Layer,
    NoMatch,
    spatial_places,
    spatial_sizes,
)


class _Form(NamedTuple):
    """What an op type says of its operands.

    Attributes:
        kind: op kind of the contract.
        axes: of the kernel.
        data_operand: which operand is convolved.
        data_formats: the known ones, the default first.
    """

    kind: str
    axes: str
    data_operand: int
    data_formats: Tuple[str, str]


_IMAGES = ("NHWC", "NCHW")
_VOLUMES = ("NDHWC", "NCDHW")


_FORMS: Mapping[str, _Form] = MappingProxyType(
    {
        "Conv2D": _Form("conv2d", "HWIO", 0, _IMAGES),
        "Conv2DBackpropInput": _Form("conv2d_transpose", "HWOI", 2, _IMAGES),
        "Conv3D": _Form("conv3d", "DHWIO", 0, _VOLUMES),
        "Conv3DBackpropInputV2": _Form("conv3d_transpose", "DHWOI", 2, _VOLUMES),
        "DepthwiseConv2dNative": _Form("depthwise_conv2d", "HWCM", 0, _IMAGES),
    }
)
CONVOLUTION_OPS = frozenset(_FORMS)


class _Kernel(NamedTuple):
    """A variable as a convolution reads it.

    Attributes:
        variable: its name.
        shape: as the op sees it.
        unit_axis: the spatial axis of size one that the variable lacks; None if it lacks none.
    """

    variable: str
    shape: Tuple[int, ...]
    unit_axis: Optional[int]


def match_convolution(forward: Forward, node: Node) -> Union[Layer, NoMatch]:
    """Match a convolution of a forward pass with a variable.

    A kernel [width, in, out] that is given an axis of size one makes it one over a single axis:
    TensorFlow 1 has no kernel of its own for those.
    """
    form = _FORMS[node.op]
    if len(node.inputs) <= max(1, form.data_operand):
        return NoMatch(f"{node.op} lacks an operand")
    kernel = _read_kernel(forward, node.inputs[1], len(form.axes))
    if isinstance(kernel, NoMatch):
        return kernel
    attributes = window_attributes(forward, node, list(kernel.shape[:-2]))
    if isinstance(attributes, NoMatch):
        return attributes
    layer = Layer(
        kind=form.kind,
        op=node.name,
        variables={"kernel": kernel.variable},
        axes={kernel.variable: form.axes},
        input=forward.operand(node, form.data_operand),
        op_output=f"{node.name}:0",
        output=f"{node.name}:0",
        attributes=attributes,
        nodes=frozenset((node.name,)),
    )
    joined = with_holes(forward, layer)
    if isinstance(joined, Layer) and kernel.unit_axis is not None:
        joined = one_dimensional(forward, joined, kernel.unit_axis)
    return _with_groups(forward, joined) if isinstance(joined, Layer) else joined


def window_attributes(
    forward: Forward, node: Node, kernel_size: List[int]
) -> Union[Dict[str, Any], NoMatch]:
    """Give the attributes of a convolution, lists with one entry a spatial axis."""
    form = _FORMS[node.op]
    data_format = node.attribute("data_format") or form.data_formats[0]
    if data_format not in form.data_formats:
        return NoMatch(f"its data format {data_format!r} is unknown")
    strides = spatial_sizes(node.attribute("strides"), data_format)
    dilations = node.attribute("dilations") or [1] * len(data_format)
    dilations = spatial_sizes(dilations, data_format)
    padding = node.attribute("padding")
    explicit = None
    if strides is None or dilations is None:
        return NoMatch(f"its strides or dilations are no {len(form.axes)} sizes")
    if padding == "EXPLICIT":
        flat = node.attribute("explicit_paddings")
        if not isinstance(flat, list) or len(flat) != 2 * len(data_format):
            return NoMatch(f"its explicit paddings are no {2 * len(data_format)} sizes")
        explicit = [flat[2 * place : 2 * place + 2] for place in spatial_places(data_format)]
    elif padding not in ("SAME", "VALID"):
        return NoMatch(f"its padding {padding!r} is unknown")
    attributes = {
        "strides": strides,
        "padding": padding,
        "explicit_padding": explicit,
        "dilations": dilations,
        "data_format": data_format,
        "kernel_size": kernel_size,
    }
    if form.kind.endswith("transpose"):
        attributes["output_size"] = _output_size(forward, node, data_format)
    return attributes


def _read_kernel(forward: Forward, tensor: str, rank: int) -> Union[_Kernel, NoMatch]:
    """Read a kernel that arrives as it is stored, or with one spatial axis of size one added."""
    origin = forward.table.origin(tensor)
    place = None if origin is None or rank != 4 else unit_axis(forward, origin)
    if origin is not None and place is not None:
        shape = list(forward.table.info[origin.variable].shape)
        shape.insert(place, 1)
        return _Kernel(origin.variable, tuple(shape), place)
    plain = forward.plain_variable(tensor)
    if plain.variable is None:
        return NoMatch(plain.reason or "")
    shape = list(forward.table.info[plain.variable].shape)
    if len(shape) != rank:
        return NoMatch(f"its kernel has {len(shape)} axes instead of {rank}")
    return _Kernel(plain.variable, tuple(shape), None)


def _with_groups(forward: Forward, layer: Layer) -> Layer:
    """Tell a grouped convolution: its kernel has fewer input channels than its input."""
    [(variable, axes)] = layer.axes.items()
    images = forward.shapes.of(layer.input or "")
    if not axes.endswith("IO") or not images:
        return layer
    channels = images[1 if layer.attributes["data_format"].startswith("NC") else -1]
    wanted = forward.table.info[variable].shape[-2]
    if not channels or not wanted or channels == wanted or channels % wanted:
        return layer
    return layer._replace(attributes={**layer.attributes, "groups": channels // wanted})


def _output_size(forward: Forward, node: Node, data_format: str) -> Optional[List[int]]:
    stated = forward.evaluator.vector(node.inputs[0])
    sizes = None if stated is None else spatial_sizes(stated, data_format)
    if sizes is None:
        sizes = spatial_sizes(list(forward.shapes.of(f"{node.name}:0") or ()), data_format)
    return sizes
