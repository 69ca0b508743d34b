"""Batch normalisation spelled out: tf.nn.batch_normalization, and the formula written by hand."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Set, Tuple

from stage_extract.graph.graphdef import Node, node_name
from stage_extract.graph.layers.arithmetic import nodes_between
from stage_extract.graph.layers.batch_norm import Parameters, batch_norm_layer, read_parameter
from stage_extract.graph.layers.layer import Forward, Layer, is_channels_first, vector_axes
from stage_extract.graph.layers.moving_averages import MovingAverages
from stage_extract.graph.layers.neutral import without_neutral
from stage_extract.graph.traverse import behind

_ADD_OPS = frozenset(("Add", "AddV2"))
_DIVISION_OPS = frozenset(("Div", "RealDiv"))
INVERSE_ROOT_OPS = frozenset(("Rsqrt", "Sqrt"))


class _Form(NamedTuple):
    """The pieces of a spelled-out batch norm while they are gathered."""

    data: str
    output: str


def match_decomposed(forward: Forward, root: Node, moving: MovingAverages) -> Optional[Layer]:
    """Match the arithmetic around rsqrt(variance + epsilon) or sqrt(variance + epsilon).

    Known forms, each with or without gamma and beta:
    x * (rsqrt * gamma) + (beta - mean * (rsqrt * gamma)), which is tf.nn.batch_normalization;
    (x - mean) * rsqrt * gamma + beta; (x - mean) / sqrt * gamma + beta.
    """
    parameters = Parameters({}, {}, {})
    epsilon = _variance_and_epsilon(forward, root, moving, parameters)
    if epsilon is None:
        return None
    nodes = {root.name, node_name(forward.operand(root, 0))}
    form = _shifted(forward, root, moving, parameters, nodes)
    if form is None:
        form = _centred(forward, root, moving, parameters, nodes)
    if form is None or "moving_mean" not in parameters.variables:
        return None
    is_training = not _is_read(forward, root, parameters)
    attributes = {
        "epsilon": epsilon,
        "data_format": _data_format(forward, root),
        "fused": False,
        "is_training": is_training,
    }
    # What multiplies by one or adds zero reads gamma and beta as well.
    nodes.update(nodes_between(forward, form.output, {form.data, f"{root.name}:0"}))
    return batch_norm_layer(
        forward, root, form.output, parameters, attributes, moving, nodes, form.data
    )


def _variance_and_epsilon(
    forward: Forward, root: Node, moving: MovingAverages, parameters: Parameters
) -> Optional[float]:
    total = forward.graph.producer(forward.operand(root, 0))
    if total is None or total.op not in _ADD_OPS or len(total.inputs) != 2:
        return None
    for variance, constant in (total.inputs, total.inputs[::-1]):
        epsilon = forward.evaluator.scalar(constant)
        if isinstance(epsilon, float) and _read_statistic(
            forward, "moving_variance", variance, moving, parameters
        ):
            return epsilon
    return None


def _read_statistic(
    forward: Forward, role: str, tensor: str, moving: MovingAverages, parameters: Parameters
) -> bool:
    """Read a moving average, or the batch's own statistic whose moving average is kept."""
    vector = forward.vector(tensor)
    if vector is None and vector_axes(forward.shapes.of(tensor) or ()) is not None:
        kept = moving.kept_of(tensor)
        vector = None if kept is None else (kept, "C")
    if vector is None:
        return False
    parameters.variables[role] = vector[0]
    parameters.axes[vector[0]] = vector[1]
    return True


def _is_read(forward: Forward, root: Node, parameters: Parameters) -> bool:
    """Tell whether the moving variance itself enters the root, not the variance of the batch."""
    total = forward.graph.producer(forward.operand(root, 0))
    wanted = parameters.variables["moving_variance"]
    origins = [forward.table.origin(tensor) for tensor in total.inputs] if total is not None else []
    return any(origin is not None and origin.variable == wanted for origin in origins)


def _shifted(
    forward: Forward,
    root: Node,
    moving: MovingAverages,
    parameters: Parameters,
    nodes: Set[str],
) -> Optional[_Form]:
    """Match x * factor + (beta - mean * factor)."""
    if root.op != "Rsqrt":
        return None
    factor, gamma = f"{root.name}:0", _scaling(forward, f"{root.name}:0")
    if gamma is not None:
        factor = f"{gamma.name}:0"
    scaled: List[Tuple[Node, str]] = []
    shift: Optional[Node] = None
    for use in forward.readers(factor):
        if use.node.op != "Mul":
            return None
        other = use.node.inputs[1 - use.operand]
        negated = _negation(forward, other)
        mean = other if negated is None else negated.inputs[0]
        if _read_statistic(forward, "moving_mean", mean, moving, parameters):
            shift = use.node
            nodes.update(() if negated is None else (negated.name,))
        else:
            scaled.append((use.node, other))
    if len(scaled) != 1 or shift is None:
        return None
    result = forward.sole_reader(f"{scaled[0][0].name}:0")
    if result is None or result.node.op not in _ADD_OPS:
        return None
    if gamma is not None:
        _read_gamma(forward, gamma, root, parameters)
        nodes.add(gamma.name)
    beta = _beta_of_shift(forward, shift, result.node, parameters)
    if beta is None:
        return None
    nodes.update((scaled[0][0].name, shift.name, result.node.name), beta)
    return _Form(_behind(forward, scaled[0][1]), f"{result.node.name}:0")


def _scaling(forward: Forward, tensor: str) -> Optional[Node]:
    """Give the multiplication of a tensor by a vector, if that alone reads it."""
    use = forward.sole_reader(tensor)
    if use is None or use.node.op != "Mul":
        return None
    other = without_neutral(forward, use.node.inputs[1 - use.operand])
    known = forward.vector(other) is not None or forward.evaluator.value(other) is not None
    return use.node if known else None


def _read_gamma(forward: Forward, product: Node, root: Node, parameters: Parameters) -> None:
    for tensor in product.inputs:
        if _behind(forward, tensor) != f"{root.name}:0" and "gamma" not in parameters.variables:
            read_parameter(forward, "gamma", tensor, parameters)


def _negation(forward: Forward, tensor: str) -> Optional[Node]:
    node = forward.graph.producer(_behind(forward, tensor))
    return node if node is not None and node.op == "Neg" else None


def _beta_of_shift(
    forward: Forward, shift: Node, result: Node, parameters: Parameters
) -> Optional[Set[str]]:
    """Read beta of beta - mean * factor; gives the nodes passed, None if the form is another."""
    use = forward.sole_reader(f"{shift.name}:0")
    if use is None:
        return None
    if use.node is result:
        return set()
    if use.node.op != "Sub" or use.operand != 1:
        return None
    if not read_parameter(forward, "beta", use.node.inputs[0], parameters):
        return None
    last = forward.sole_reader(f"{use.node.name}:0")
    return {use.node.name} if last is not None and last.node is result else None


def _centred(
    forward: Forward,
    root: Node,
    moving: MovingAverages,
    parameters: Parameters,
    nodes: Set[str],
) -> Optional[_Form]:
    """Match (x - mean) * rsqrt or (x - mean) / sqrt, then * gamma and + beta."""
    factor = f"{root.name}:0"
    gamma = _scaling(forward, factor) if root.op == "Rsqrt" else None
    if gamma is not None:
        _read_gamma(forward, gamma, root, parameters)
        nodes.add(gamma.name)
        factor = f"{gamma.name}:0"
    use = forward.sole_reader(factor)
    wanted = _DIVISION_OPS if root.op == "Sqrt" else frozenset(("Mul",))
    if use is None or use.node.op not in wanted or (root.op == "Sqrt" and use.operand != 1):
        return None
    difference = forward.graph.producer(_behind(forward, use.node.inputs[1 - use.operand]))
    if difference is None or difference.op != "Sub":
        return None
    if not _read_statistic(forward, "moving_mean", difference.inputs[1], moving, parameters):
        return None
    nodes.update((use.node.name, difference.name))
    output = _scale_and_shift(forward, f"{use.node.name}:0", parameters, nodes)
    return _Form(_behind(forward, difference.inputs[0]), output)


def _scale_and_shift(forward: Forward, tensor: str, parameters: Parameters, nodes: Set[str]) -> str:
    """Follow * gamma and + beta behind a normalised tensor, as far as they are there."""
    for role, ops in (("gamma", frozenset(("Mul",))), ("beta", _ADD_OPS | {"BiasAdd"})):
        use = forward.sole_reader(tensor)
        if use is None or use.node.op not in ops or len(use.node.inputs) != 2:
            continue
        if role in parameters.variables:
            continue
        if forward.vector(use.node.inputs[1 - use.operand]) is not None:
            read_parameter(forward, role, use.node.inputs[1 - use.operand], parameters)
            nodes.add(use.node.name)
            tensor = f"{use.node.name}:0"
    return tensor


def _data_format(forward: Forward, root: Node) -> str:
    """Tell by the shape in which the variance arrives, [1, C, 1 ...] where the channels are first.

    It is that of the variable, or the one that a reshape gives it.
    """
    total = forward.graph.producer(forward.operand(root, 0))
    shapes = [forward.shapes.of(tensor) or () for tensor in total.inputs] if total else []
    first = any(is_channels_first(vector_axes(shape) or "") for shape in shapes)
    return "NCHW" if first else "NHWC"


def _behind(forward: Forward, tensor: str) -> str:
    return behind(forward.graph, tensor, ("Identity",))
