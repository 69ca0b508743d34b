"""Finds activations in a graph: single ops, and those that scripts write out by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from stage_load.export_view import ExportView, Node
from stage_load.models.unet.sizes import Array, NotComputable, SizeEvaluator
from stage_load.models.unet.steps import TF1_LEAKY_RELU_ALPHA, Activation

SINGLE_OPS: Mapping[str, str] = MappingProxyType(
    {
        "Elu": "elu",
        "LeakyRelu": "leaky_relu",
        "LogSoftmax": "log_softmax",
        "Relu": "relu",
        "Relu6": "relu6",
        "Selu": "selu",
        "Sigmoid": "sigmoid",
        "Softmax": "softmax",
        "Softplus": "softplus",
        "Softsign": "softsign",
        "Tanh": "tanh",
    }
)

# arXiv:1706.02515, to the digits of a float32.
SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


@dataclass(frozen=True)
class WrittenOut:
    """An activation made of several ops: from ``input`` to the node that ends it."""

    input: str
    activation: Activation
    inner: frozenset[str]  # the other nodes that it is made of


def single(node: Node) -> Activation | None:
    """Return the activation that one op is, if it is one."""
    name = SINGLE_OPS.get(node.op)
    if name is None:
        return None
    if name == "leaky_relu":
        alpha = node.attributes.get("alpha")
        return Activation(name, TF1_LEAKY_RELU_ALPHA if alpha is None else float(alpha))
    return Activation(name)


def written_out(view: ExportView, channel_axis: int) -> dict[str, WrittenOut]:
    """Return the activations written out of several ops, by the node that ends each."""
    matcher = _Matcher(view, channel_axis)
    found = {node.name: matcher.match(node) for node in view.nodes.values()}
    return {name: match for name, match in found.items() if match is not None}


class _Matcher:
    def __init__(self, view: ExportView, channel_axis: int) -> None:
        self._view = view
        self._sizes = SizeEvaluator(view, {})
        self._channel_axis = channel_axis
        self._by_op: Mapping[str, Callable[[Node], WrittenOut | None]] = {
            "Maximum": self._maximum,
            "Mul": lambda node: self._swish(node) or self._selu(node),
            "RealDiv": self._softmax,
            "Div": self._softmax,
            "Add": self._absolute_leaky,
            "AddV2": self._absolute_leaky,
            "Select": self._selected_leaky,
            "SelectV2": self._selected_leaky,
            "Sub": self._two_sided_leaky,
        }

    def match(self, node: Node) -> WrittenOut | None:
        matcher = self._by_op.get(node.op)
        return None if matcher is None else matcher(node)

    def _maximum(self, node: Node) -> WrittenOut | None:
        """maximum(a x, x) = leaky ReLU, maximum(x, 0) = ReLU."""
        for scaled, plain in _both_orders(self._view.sources(node)):
            if self._scalar(scaled) == 0.0:
                return WrittenOut(plain, Activation("relu"), frozenset())
            factor = self._factor(scaled, plain)
            if factor is not None and 0.0 <= factor < 1.0:
                return self._found(plain, Activation("leaky_relu", factor), scaled)
        return None

    def _swish(self, node: Node) -> WrittenOut | None:
        """X * sigmoid(x)."""
        for gate, plain in _both_orders(self._view.sources(node)):
            gate_node = self._view.producer(gate)
            if gate_node.op == "Sigmoid" and self._view.sources(gate_node) == (plain,):
                return self._found(plain, Activation("swish"), gate)
        return None

    def _selu(self, node: Node) -> WrittenOut | None:
        """scale * where(x > 0, elu(x), alpha * elu(x)), as Keras writes SELU."""
        for scale, chosen in _both_orders(self._view.sources(node)):
            select = self._view.producer(chosen)
            if select.op not in ("Select", "SelectV2"):
                continue
            test, curve, scaled = self._view.sources(select)
            plain = self._only_input(curve, "Elu")
            known = _near(self._scalar(scale), SELU_SCALE) and _near(
                self._factor(scaled, curve), SELU_ALPHA
            )
            if known and plain is not None and plain == self._tested(test):
                return self._found(plain, Activation("selu"), chosen, test, curve, scaled)
        return None

    def _absolute_leaky(self, node: Node) -> WrittenOut | None:
        """(1 + a) / 2 x + (1 - a) / 2 |x| = leaky ReLU of slope a."""
        for left, right in _both_orders(self._view.sources(node)):
            for absolute in self._view.sources(self._view.producer(right)):
                absolute_node = self._view.producer(absolute)
                if absolute_node.op != "Abs":
                    continue
                (plain,) = self._view.sources(absolute_node)
                straight, folded = self._factor(left, plain), self._factor(right, absolute)
                if straight is None or folded is None or abs(straight + folded - 1.0) > 1e-6:
                    continue
                slope = Activation("leaky_relu", straight - folded)
                return self._found(plain, slope, left, right, absolute)
        return None

    def _two_sided_leaky(self, node: Node) -> WrittenOut | None:
        """relu(x) - a relu(-x) = leaky ReLU of slope a, as Keras wrote it before TensorFlow did."""
        right, scaled = self._view.sources(node)
        right_node, scaled_node = self._view.producer(right), self._view.producer(scaled)
        if right_node.op != "Relu" or scaled_node.op != "Mul":
            return None
        (plain,) = self._view.sources(right_node)
        for left in self._view.sources(scaled_node):
            slope = self._factor(scaled, left)
            mirrored = self._only_input(left, "Relu")
            if slope is not None and mirrored and self._only_input(mirrored, "Neg") == plain:
                activation = Activation("leaky_relu", slope)
                return self._found(plain, activation, right, scaled, left, mirrored)
        return None

    def _selected_leaky(self, node: Node) -> WrittenOut | None:
        """where(x > 0, x, a x) = leaky ReLU of slope a."""
        test, plain, scaled = self._view.sources(node)
        slope = self._factor(scaled, plain)
        if slope is None or self._tested(test) != plain:
            return None
        return self._found(plain, Activation("leaky_relu", slope), test, scaled)

    def _tested(self, test: str) -> str | None:
        """Return x of x > 0."""
        node = self._view.producer(test)
        if node.op not in ("Greater", "GreaterEqual"):
            return None
        given, bound = self._view.sources(node)
        return given if self._scalar(bound) == 0.0 else None

    def _only_input(self, tensor: str, op: str) -> str | None:
        """Return what the node of ``tensor`` reads, if it is an ``op``."""
        node = self._view.producer(tensor)
        return self._view.source(node.inputs[0]) if node.op == op else None

    def _softmax(self, node: Node) -> WrittenOut | None:
        """exp(x) / sum(exp(x)), with or without the maximum taken off first."""
        powers, total = self._view.sources(node)
        power_node, sum_node = self._view.producer(powers), self._view.producer(total)
        inner = [powers, total]
        if sum_node.op == "Tile":
            sum_node = self._view.producer(sum_node.inputs[0])
            inner.append(sum_node.output())
        if power_node.op != "Exp" or not self._reduces_channels(sum_node, "Sum", powers):
            return None
        (plain,) = self._view.sources(power_node)
        difference = self._view.producer(plain)
        if difference.op == "Sub":
            given, peak = self._view.sources(difference)
            if self._reduces_channels(self._view.producer(peak), "Max", given):
                return self._found(given, Activation("softmax"), plain, peak, *inner)
        return self._found(plain, Activation("softmax"), *inner)

    def _reduces_channels(self, node: Node, op: str, of: str) -> bool:
        if node.op != op or self._view.source(node.inputs[0]) != of:
            return False
        if not node.attributes.get("keep_dims"):
            return False
        axes = self._constant(node.inputs[1])
        return axes is not None and axes.ravel().tolist() in ([self._channel_axis], [-1])

    def _factor(self, tensor: str, of: str) -> float | None:
        """Return a if ``tensor`` is a * ``of`` with a constant a."""
        node = self._view.producer(tensor)
        if node.op != "Mul":
            return None
        for factor, plain in _both_orders(self._view.sources(node)):
            if plain == of:
                return self._scalar(factor)
        return None

    def _scalar(self, tensor: str) -> float | None:
        value = self._constant(tensor)
        return float(value.ravel()[0]) if value is not None and value.size == 1 else None

    def _constant(self, tensor: str) -> Array | None:
        try:
            value = self._sizes.value(tensor)
        except NotComputable:
            return None
        return value if np.issubdtype(value.dtype, np.number) else None

    def _found(self, given: str, activation: Activation, *inner: str) -> WrittenOut:
        return WrittenOut(
            given, activation, frozenset(self._view.node_of(tensor).name for tensor in inner)
        )


def _near(value: float | None, wanted: float) -> bool:
    return value is not None and abs(value - wanted) < 1e-6


def _both_orders(pair: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    if len(pair) != 2:
        return ()
    return ((pair[0], pair[1]), (pair[1], pair[0]))
