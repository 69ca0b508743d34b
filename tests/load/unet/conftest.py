"""Builds graph.json documents by hand, op by op, as the extraction stage writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from stage_load.export_view import ExportView

Shape = list[int | None]


class GraphBuilder:
    """A graph.json that grows; each method returns the tensor that it adds."""

    def __init__(self, height: int | None = 24, width: int | None = 32, channels: int = 3) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.layers: list[dict[str, Any]] = []
        self.variables: list[dict[str, Any]] = []
        self.rewrites: list[dict[str, Any]] = []
        self.feeds: list[dict[str, Any]] = []
        self.channels: dict[str, int] = {}
        self.shape: Shape = [None, height, width, channels]
        self.image = self.node("Placeholder", [], channels)

    def node(
        self, op: str, inputs: Sequence[str], channels: int = 0, name: str = "", **attributes: Any
    ) -> str:
        """Add any node; `channels` is what its map has."""
        name = name or f"{op}_{len(self.nodes)}"
        self.nodes.append(
            {
                "name": name,
                "op": op,
                "inputs": list(inputs),
                "attributes": attributes,
                "shapes": None,
            }
        )
        self.channels[f"{name}:0"] = channels
        return f"{name}:0"

    def const(self, value: Any) -> str:
        """Add a constant."""
        return self.node("Const", [], value=value)

    def relu(self, x: str) -> str:
        """Add a ReLU."""
        return self.node("Relu", [x], self.channels[x])

    def pool(self, x: str, op: str = "MaxPool", size: int = 2, padding: str = "SAME") -> str:
        """Add a pooling of stride 2."""
        window = {"ksize": [1, size, size, 1], "strides": [1, 2, 2, 1], "padding": padding}
        return self.node(op, [x], self.channels[x], data_format="NHWC", **window)

    def conv(
        self,
        x: str,
        out_channels: int,
        size: tuple[int, int] = (3, 3),
        padding: str = "SAME",
        bias: bool = True,
        stride: int = 1,
        **attributes: Any,
    ) -> str:
        """Add a convolution, its bias included."""
        kernel = self._variable("kernel", [*size, self.channels[x], out_channels])
        result = op = self.node("Conv2D", [x, f"{kernel}:0"], out_channels)
        variables = {"kernel": kernel}
        if bias:
            variables["bias"] = self._variable("bias", [out_channels])
            result = self.node("BiasAdd", [op, f"{variables['bias']}:0"], out_channels)
        settings = {
            "kernel_size": list(size),
            "strides": [stride, stride],
            "padding": padding,
            "explicit_padding": None,
            "dilations": [1, 1],
            "data_format": "NHWC",
        }
        self._layer("conv2d", variables, x, op, result, {**settings, **attributes})
        return result

    def depthwise(self, x: str, multiplier: int, stride: int = 1) -> str:
        """Add a 3x3 depthwise convolution without bias."""
        channels = self.channels[x]
        kernel = self._variable("kernel", [3, 3, channels, multiplier])
        op = self.node("DepthwiseConv2dNative", [x, f"{kernel}:0"], channels * multiplier)
        attributes = {
            "kernel_size": [3, 3],
            "strides": [stride, stride],
            "padding": "SAME",
            "explicit_padding": None,
            "dilations": [1, 1],
            "data_format": "NHWC",
        }
        self._layer("depthwise_conv2d", {"kernel": kernel}, x, op, op, attributes)
        return op

    def conv_transpose(
        self, x: str, out_channels: int, output_shape: str, size: int = 2, padding: str = "SAME"
    ) -> str:
        """Add a transposed convolution of stride 2 without bias; `output_shape` is a tensor."""
        kernel = self._variable("kernel", [size, size, out_channels, self.channels[x]])
        op = self.node("Conv2DBackpropInput", [output_shape, f"{kernel}:0", x], out_channels)
        attributes = {
            "kernel_size": [size, size],
            "strides": [2, 2],
            "padding": padding,
            "explicit_padding": None,
            "dilations": [1, 1],
            "data_format": "NHWC",
            "output_size": None,
        }
        self._layer("conv2d_transpose", {"kernel": kernel}, x, op, op, attributes)
        return op

    def batch_norm(self, x: str, roles: Sequence[str], **attributes: Any) -> str:
        """Add a fused batch norm with the variables of `roles`."""
        channels = self.channels[x]
        variables = {role: self._variable(role, [channels]) for role in roles}
        op = self.node("FusedBatchNormV3", [x, *(f"{v}:0" for v in variables.values())], channels)
        settings = {"epsilon": 1e-3, "decay": 0.99, "fused": True, "is_training": False}
        self._layer("batch_norm", variables, x, op, op, {**settings, **attributes})
        return op

    def size_of(self, x: str, factor: int = 1) -> str:
        """Add `tf.shape(x)[1:3] * factor`."""
        bounds = [self.const(value) for value in ([1], [3], [1])]
        shape = self.node("Shape", [x])
        size = self.node("StridedSlice", [shape, *bounds])
        return self.node("Mul", [size, self.const(factor)])

    def up(self, x: str, factor: int = 2, **attributes: Any) -> str:
        """Add a nearest resize to a multiple of the map's own size."""
        size = self.size_of(x, factor)
        return self.node("ResizeNearestNeighbor", [x, size], self.channels[x], **attributes)

    def concat(self, *maps: str, axis: int = 3, name: str = "") -> str:
        """Add a concat of maps along the channels."""
        channels = sum(self.channels[x] for x in maps)
        return self.node("ConcatV2", [*maps, self.const(axis)], channels, name)

    def document(self, *outputs: str) -> dict[str, Any]:
        """Return the graph.json with these outputs."""
        endpoint = {"dtype": "float32", "name": "x"}
        return {
            "format": "tf1-export",
            "version": 1,
            "source": {"graph": "meta", "graph_reason": None},
            "inputs": [{**endpoint, "tensor": self.image, "shape": self.shape}],
            "outputs": [{**endpoint, "tensor": tensor, "shape": None} for tensor in outputs],
            "variables": self.variables,
            "skipped": [],
            "layers": self.layers,
            "switches": [],
            "candidates": {"inputs": [], "outputs": []},
            "rewrites": self.rewrites,
            "nodes": self.nodes,
            "reference": {"state": "absent", "feeds": self.feeds},
        }

    def view(self, *outputs: str) -> ExportView:
        """Return the view of the graph with these outputs."""
        return ExportView(self.document(*outputs))

    def _variable(self, role: str, shape: list[int]) -> str:
        name = f"{role}_{len(self.variables)}"
        self.node("VariableV2", [], name=name)
        self.variables.append(
            {
                "name": name,
                "dtype": "float32",
                "shape": shape,
                "role": role,
                "op_kind": None,
                "source_axes": None,
                "layers": [len(self.layers)],
                "order": 0,
                "trainable": True,
                "partitions": None,
                "evidence": "graph",
                "reason": None,
            }
        )
        return name

    def _layer(
        self,
        kind: str,
        variables: dict[str, str],
        given: str,
        op: str,
        output: str,
        attributes: dict[str, Any],
    ) -> None:
        self.layers.append(
            {
                "index": len(self.layers),
                "kind": kind,
                "name": op[:-2],
                "op": op[:-2],
                "variables": variables,
                "constants": {},
                "input": given,
                "op_output": op,
                "output": output,
                "attributes": attributes,
                "activation": None,
                "evidence": "graph",
                "reason": None,
            }
        )


@pytest.fixture
def new_graph() -> Callable[..., GraphBuilder]:
    """Return the class that builds a graph.json by hand."""
    return GraphBuilder
