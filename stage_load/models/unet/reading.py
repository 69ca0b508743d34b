"""Reads a UNet from the dataflow of an inference graph, op by op in the order of the forward pass.

Names are not used: an op is understood by its type, its attributes and by what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from stage_load.errors import ModelDoesNotFit
from stage_load.export_view import PASS_THROUGH_OPS, ExportView, Layer, Node
from stage_load.models.unet import activations, joining, shaping
from stage_load.models.unet.afterwards import FinishedScores
from stage_load.models.unet.context import Context
from stage_load.models.unet.feature import Feature, has_convolution
from stage_load.models.unet.layer_reading import layer_feature
from stage_load.models.unet.misfit import ENDS_EARLIER, FAMILY, STARTS_LATER, misfit, with_hint
from stage_load.models.unet.pointwise import clamp, pointwise
from stage_load.models.unet.steps import Dropout, Pair

Rule = Callable[[Context, Node, list[Feature]], Feature]

# Ops that read a map and give none.
SHAPE_OPS = frozenset({"Shape", "ShapeN", "Size", "Rank"})
UNKNOWN_OP = "is an op that a UNet of this family does not have"
COMPUTED_KERNEL = "convolves with a kernel that the graph computes, not with a variable"
UNKNOWN_OPS: Mapping[str, str] = MappingProxyType(
    {
        "Conv2D": COMPUTED_KERNEL,
        "Conv2DBackpropInput": COMPUTED_KERNEL,
        "DepthwiseConv2dNative": COMPUTED_KERNEL,
        "Mean": "averages over a map, as instance, group and layer norm and gates do",
        "ResizeBicubic": "resizes by cubic interpolation",
    }
)
# With BatchToSpace behind the op, the parts of a dilated convolution in TensorFlow 1.
TAKING_APART = frozenset({"SpaceToBatch", "SpaceToBatchND"})

# torch's own default, for a keep_prob that was fed at run time.
UNKNOWN_DROPOUT_PROBABILITY = 0.5


class Reader:
    """One pass over the nodes of ``view``, with a concrete image size (height, width).

    ``in_channels`` are the image's; ``context`` and ``scores`` are filled by ``read``.
    """

    def __init__(self, view: ExportView, sample_size: Pair) -> None:
        self.context = Context(view)
        self.scores = FinishedScores(self.context)
        self._view = view
        self._sample_size = sample_size
        self._channels_first = image_is_channels_first(view)
        self.in_channels = self._read_in_channels()
        self._layers = {
            view.producer(layer.output).name: layer
            for layer in view.layers
            if layer.output is not None and layer.input is not None
        }
        self._written_out = activations.written_out(
            view, 1 if layers_are_channels_first(view) else 3
        )
        self._inner = self._inner_nodes()
        self._dropouts = {entry["node"]: entry for entry in view.rewrites if "rate" in entry}

    def read(self) -> None:
        """Understand every node; maps are then in ``context``, what follows in ``scores``.

        Raises:
            ModelDoesNotFit: names the first node that no UNet of this family has.
        """
        self._place_input()
        for node in self._view.nodes.values():
            if node.name in self._inner:
                continue
            try:
                feature = self._result(node)
            except ModelDoesNotFit as error:
                raise with_hint(error, self._hint(node)) from None
            if feature is not None:
                self._file(node, feature)

    def _hint(self, node: Node) -> str:
        """Say how to leave ``node`` out, if it stands behind the network or before it."""
        maps = self.context.features_of(node)
        after = self.scores.afterwards
        known = [*maps, *(after[tensor].feature for tensor in node.inputs if tensor in after)]
        ends = [given for given in known if given.is_finished or given.ends_without_skip]
        if ends:
            return ENDS_EARLIER.format(ends[0].tensor)
        first = self._view.layers[0].input if self._view.layers else None
        before = maps and not any(given.levels or has_convolution(given.placed) for given in maps)
        if before and first is not None and node.name not in self._layers:
            return STARTS_LATER.format(first)
        return ""

    def _place_input(self) -> None:
        tensor = self._view.inputs[0].tensor
        feature = Feature(
            tensor,
            self.in_channels,
            self._sample_size,
            tensor,
            channels_first=self._channels_first,
            has_channel_axis=len(self._view.inputs[0].shape or ()) != 3,
        )
        self.context.file(tensor, feature)

    def _read_in_channels(self) -> int:
        shape = self._view.inputs[0].shape
        if shape is not None and len(shape) == 3:
            return 1
        given = shape[1 if self._channels_first else 3] if shape and len(shape) == 4 else None
        if given is not None:
            return given
        kernels = (
            self._view.variables[layer.variables["kernel"]].shape
            for layer in self._view.layers
            if layer.kind == "conv2d"
        )
        return next((kernel[2] for kernel in kernels), 1)

    def _inner_nodes(self) -> frozenset[str]:
        """Return the nodes inside a layer or a written-out activation, their last ones left out."""
        inner = set().union(*(match.inner for match in self._written_out.values()))
        for end, layer in self._layers.items():
            inner |= _inside(self._view, layer) - {end}
        return frozenset(inner)

    def _result(self, node: Node) -> Feature | None:
        layer = self._layers.get(node.name)
        if layer is not None and layer.input is not None:
            given = self._layer_input(layer, layer.input)
            if given is None and layer.input in self.scores.afterwards:
                raise misfit(node, "is a layer after the finished scores", FAMILY)
            return None if given is None else layer_feature(self.context, node, layer, given)
        match = self._written_out.get(node.name)
        if match is not None:
            given = self.context.feature(match.input)
            if given is None:
                self.scores.hand_on(node, match.input)
                return None
            return given.then(node.output(), match.activation)
        if node.op in SHAPE_OPS:
            return None
        if self.scores.takes(node):
            return None
        maps = self.context.features_of(node)
        return self._understood(node, maps) if maps else None

    def _layer_input(self, layer: Layer, tensor: str) -> Feature | None:
        """Return the map that a layer reads, as its own nodes name it: after a dropout, say."""
        source = self._view.source(tensor)
        for name in _inside(self._view, layer):
            for given in self._view.nodes[name].inputs:
                feature = self.context.feature(given)
                if feature is not None and self._view.source(given) == source:
                    return feature
        return self.context.feature(tensor)

    def _understood(self, node: Node, maps: list[Feature]) -> Feature | None:
        if node.op in PASS_THROUGH_OPS:
            return self._passed_on(node, maps[0])
        activation = activations.single(node)
        if activation is not None:
            return maps[0].then(node.output(), activation)
        if node.op not in RULES:
            raise misfit(node, UNKNOWN_OPS.get(node.op, UNKNOWN_OP), FAMILY)
        return RULES[node.op](self.context, node, maps)

    def _passed_on(self, node: Node, given: Feature) -> Feature:
        rewrite = self._dropouts.get(node.name)
        if rewrite is None:
            return given.moved(node.output())
        rate = rewrite["rate"]
        if rate is None:
            rate = UNKNOWN_DROPOUT_PROBABILITY
            self.context.assume(
                "The dropout probability was fed at run time, so the checkpoint does not hold it: "
                f"{rate} is set. It matters for training only."
            )
        return given.then(node.output(), Dropout(float(rate)))

    def _file(self, node: Node, feature: Feature) -> None:
        self.context.file(node.output(), feature)
        layer = self._layers.get(node.name)
        if layer is not None and layer.op_output is not None:
            self.context.note_shape(layer.op_output, feature)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "Add": pointwise,
        "AddV2": pointwise,
        "AvgPool": shaping.pool,
        "Cast": shaping.cast,
        "ConcatV2": joining.concat,
        "DepthToSpace": joining.depth_to_space,
        "Div": pointwise,
        "ExpandDims": shaping.expand,
        "Maximum": clamp,
        "MaxPool": shaping.pool,
        "Minimum": clamp,
        "MirrorPad": shaping.pad,
        "Mul": pointwise,
        "Pad": shaping.pad,
        "PadV2": shaping.pad,
        "RealDiv": pointwise,
        "Reshape": shaping.reshape,
        "ResizeBilinear": joining.resize,
        "ResizeNearestNeighbor": joining.resize,
        "Slice": shaping.cut,
        "StridedSlice": shaping.cut,
        "Sub": pointwise,
        "Transpose": shaping.transpose,
    }
)


def layers_are_channels_first(view: ExportView) -> bool:
    """Whether the graph's convolutions are NCHW."""
    kinds = ("conv2d", "conv2d_transpose")
    formats = {layer.attributes.get("data_format") for layer in view.layers if layer.kind in kinds}
    return "NCHW" in formats


def image_is_channels_first(view: ExportView) -> bool:
    """Whether the image is NCHW: as the convolutions are, unless the graph transposes it first."""
    reached = {view.source(view.inputs[0].tensor)}
    ops = {layer.op for layer in view.layers}
    for node in view.nodes.values():
        if reached.isdisjoint(view.sources(node)) or node.op in SHAPE_OPS:
            continue
        if node.name in ops:
            break
        if node.op == "Transpose":
            return not layers_are_channels_first(view)
        reached.add(node.output())
    return layers_are_channels_first(view)


def _inside(view: ExportView, layer: Layer) -> set[str]:
    """Return the nodes between a layer's input and its output, the last one included."""
    stop = None if layer.input is None else view.source(layer.input)
    found: set[str] = set()
    waiting = [] if layer.output is None else [layer.output]
    while waiting:
        node = view.node_of(waiting.pop())
        if node.name in found:
            continue
        found.add(node.name)
        given = [tensor for tensor in node.inputs if view.source(tensor) != stop]
        if node.name == layer.op and layer.kind != "batch_norm":
            # A convolution with holes reads what SpaceToBatch has taken apart.
            given = [tensor for tensor in given if view.producer(tensor).op in TAKING_APART]
        elif node.op in TAKING_APART:
            given = []
        waiting += given
    return found
