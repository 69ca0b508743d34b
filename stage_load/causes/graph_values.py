"""Computes what lies between the layers of the graph, from what TensorFlow recorded.

Only the operations that networks put between layers, in TensorFlow's axes; whoever needs a tensor
that another operation computes does without it (``NotComputable``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stage_load.causes.activation import ACTIVATIONS
from stage_load.export_view import ExportView, Node, split_tensor
from stage_load.modules import SamePadAvgPool2d, SamePadMaxPool2d, TF1Resize
from stage_load.safetensors_reader import SafetensorsReader

Operation = Callable[[Node, Sequence[Tensor]], Tensor]


class NotComputable(Exception):
    """A tensor that is neither recorded nor computed by a known operation."""


class GraphValues:
    """Tensors of the graph; ``instead`` maps a node's name to another operation in its place."""

    def __init__(
        self,
        view: ExportView,
        reference: SafetensorsReader,
        instead: Mapping[str, Operation] | None = None,
    ) -> None:
        self._view = view
        self._reference = reference
        self._instead = instead or {}
        self._known: dict[str, Tensor] = {}

    def value(self, tensor: str) -> Tensor:
        """Return a tensor in TensorFlow's axes.

        Raises:
            NotComputable: some operation before it is not known, and its result not recorded.
        """
        source = self._view.source(tensor)
        if source not in self._known:
            self._known[source] = self._compute(source)
        return self._known[source]

    def nodes_before(self, tensor: str) -> dict[str, Node]:
        """Return the nodes that a tensor is computed by, back to what was recorded."""
        found: dict[str, Node] = {}
        waiting = [self._view.source(tensor)]
        while waiting:
            source = waiting.pop()
            node = self._view.nodes.get(split_tensor(source)[0])
            if source in self._reference.entries or node is None or node.name in found:
                continue
            found[node.name] = node
            waiting += self._view.sources(node)
        return found

    def _compute(self, source: str) -> Tensor:
        if source in self._reference.entries:
            return torch.from_numpy(self._reference.read(source))
        node = self._view.nodes.get(split_tensor(source)[0])
        if node is None:
            raise NotComputable(source)
        operation = self._instead.get(node.name) or OPERATIONS.get(node.op)
        if operation is None or split_tensor(source)[1] != 0:
            raise NotComputable(f"{node.op} ({node.name})")
        if node.op in _BY_STATIC_SHAPE:
            static = torch.tensor(_static_shape(node))
            inputs = [self.value(node.inputs[0]), static]
        else:
            inputs = [self.value(name) for name in node.inputs]
        try:
            return operation(node, inputs)
        except (IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            # A form of it that is not known, or one in its place that does not fit its inputs.
            raise NotComputable(f"{node.op} ({node.name})") from error


# Their second input is often computed from a shape; the result's own shape says the same.
_BY_STATIC_SHAPE = frozenset(
    {"Reshape", "ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor", "Squeeze", "ExpandDims"}
)


def _static_shape(node: Node) -> list[int]:
    shape = node.shapes[0] if node.shapes else None
    if shape is None or sum(size is None for size in shape) > 1:
        raise NotComputable(f"{node.op} ({node.name}) of unknown size")
    return [-1 if size is None else size for size in shape]


def is_channels_first(node: Node) -> bool:
    """Whether an operation on images takes them as [N, C, H, W]."""
    return node.attributes.get("data_format") == "NCHW"


def on_image(node: Node, x: Tensor, module: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply what takes [N, C, H, W] to a tensor in the axes of the node."""
    if is_channels_first(node):
        return module(x)
    return module(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def window(node: Node, name: str) -> tuple[int, int]:
    """Return (height, width) of an attribute that has a number for each axis."""
    numbers = node.attributes[name]
    first = 2 if is_channels_first(node) else 1
    return numbers[first], numbers[first + 1]


def _pool(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    kernel, stride = window(node, "ksize"), window(node, "strides")
    same = node.attributes["padding"] == "SAME"
    if node.op == "MaxPool":
        kind: Any = SamePadMaxPool2d if same else torch.nn.MaxPool2d
    else:
        kind = SamePadAvgPool2d if same else torch.nn.AvgPool2d
    return on_image(node, inputs[0], kind(kernel, stride))


def resize_method(node: Node) -> str:
    """Return the name that ``TF1Resize`` has for it."""
    methods = {"ResizeBicubic": "bicubic", "ResizeBilinear": "bilinear"}
    return methods.get(node.op, "nearest")


def _resize(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    x, shape = inputs
    resize = TF1Resize(
        (int(shape[1]), int(shape[2])),
        method=resize_method(node),
        align_corners=bool(node.attributes.get("align_corners")),
        half_pixel_centers=bool(node.attributes.get("half_pixel_centers")),
    )
    resized: Tensor = resize(x.permute(0, 3, 1, 2))
    return resized.permute(0, 2, 3, 1)


def _pad(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    margins = [int(number) for pair in inputs[1].tolist()[::-1] for number in pair]
    value = float(inputs[2]) if node.op == "PadV2" else 0.0
    return F.pad(inputs[0], margins, value=value)


def _mean(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    axes = [int(axis) for axis in inputs[1].flatten().tolist()]
    return inputs[0].mean(axes, keepdim=bool(node.attributes.get("keep_dims")))


def _leaky_relu(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    return F.leaky_relu(inputs[0], float(node.attributes.get("alpha", 0.2)))


def _activation(function: Callable[[Tensor], Tensor]) -> Operation:
    return lambda node, inputs: function(inputs[0])


def _depth_to_space(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    batch, height, width, channels = inputs[0].shape
    block = int(node.attributes["block_size"])
    parts = inputs[0].reshape(batch, height, width, block, block, channels // block**2)
    return parts.permute(0, 1, 3, 2, 4, 5).reshape(batch, height * block, width * block, -1)


OPERATIONS: Mapping[str, Operation] = {
    **{name: _activation(function) for name, function in ACTIVATIONS.items()},
    "Add": lambda node, inputs: inputs[0] + inputs[1],
    "AddV2": lambda node, inputs: inputs[0] + inputs[1],
    "AvgPool": _pool,
    "Const": lambda node, inputs: torch.tensor(node.attributes["value"]),
    "ConcatV2": lambda node, inputs: torch.cat(list(inputs[:-1]), int(inputs[-1])),
    "DepthToSpace": _depth_to_space,
    "ExpandDims": lambda node, inputs: inputs[0].reshape(inputs[1].tolist()),
    "LeakyRelu": _leaky_relu,
    "MaxPool": _pool,
    "Maximum": lambda node, inputs: torch.maximum(inputs[0], inputs[1]),
    "Mean": _mean,
    "Minimum": lambda node, inputs: torch.minimum(inputs[0], inputs[1]),
    "Mul": lambda node, inputs: inputs[0] * inputs[1],
    "Pad": _pad,
    "PadV2": _pad,
    "RealDiv": lambda node, inputs: inputs[0] / inputs[1],
    "Reshape": lambda node, inputs: inputs[0].reshape(inputs[1].tolist()),
    "ResizeBicubic": _resize,
    "ResizeBilinear": _resize,
    "ResizeNearestNeighbor": _resize,
    "Softmax": lambda node, inputs: inputs[0].softmax(-1),
    "Squeeze": lambda node, inputs: inputs[0].reshape(inputs[1].tolist()),
    "Sub": lambda node, inputs: inputs[0] - inputs[1],
    "Transpose": lambda node, inputs: inputs[0].permute(inputs[1].tolist()),
}
