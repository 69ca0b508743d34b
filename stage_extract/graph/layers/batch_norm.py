"""Batch normalisation as one op, and what all its forms have in common."""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, NamedTuple, Optional, Set, Union

import numpy

from stage_extract.graph.attributes import json_number, shortest_float
from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward, Layer, NoMatch
from stage_extract.graph.layers.moving_averages import MovingAverages
from stage_extract.graph.layers.neutral import without_neutral
from stage_extract.graph.variables import Origin

_FUSED_ROLES = ("gamma", "beta", "moving_mean", "moving_variance")
_STATISTICS = _FUSED_ROLES[2:]
# BatchNormWithGlobalNormalization: t, m, v, beta, gamma.
_GLOBAL_ROLES = ("moving_mean", "moving_variance", "beta", "gamma")
# tf.layers' and Keras' own names.
_RENORM_STATISTICS = re.compile(r"(^|/)renorm_(mean|stddev)(_weight)?$")


class Parameters(NamedTuple):
    """The four vectors of a batch norm; each is a variable, a constant, or absent."""

    variables: Dict[str, str]
    axes: Dict[str, str]
    constants: Dict[str, Any]


def match_fused(forward: Forward, node: Node, moving: MovingAverages) -> Union[Layer, NoMatch]:
    """Match FusedBatchNorm, V2 or V3; each parameter is a vector [channels]."""
    if len(node.inputs) != 5:
        return NoMatch("a batch norm of other than five operands")
    parameters = Parameters({}, {}, {})
    is_training = node.attribute("is_training") is not False
    roles = _FUSED_ROLES[:2] if is_training else _FUSED_ROLES
    missing = []
    for role, tensor in zip(roles, node.inputs[1:]):
        if read_parameter(forward, role, tensor, parameters):
            continue
        lacking = forward.table.missing(tensor)
        if lacking is None:
            return NoMatch(f"its {role} is computed in the graph")
        # An absent gamma would count as ones; that of an absent statistic nobody takes for granted.
        if role not in _STATISTICS:
            return NoMatch(f"the checkpoint lacks its {role}, '{lacking}'")
        missing.append(f"its {role}, '{lacking}'")
    if is_training:
        _read_kept(forward, node, moving, parameters)
    epsilon = node.attribute("epsilon")
    attributes = {
        "epsilon": 1e-4 if epsilon is None else epsilon,
        "data_format": node.attribute("data_format") or "NHWC",
        "fused": True,
        "is_training": is_training,
    }
    nodes = {node.name}
    layer = batch_norm_layer(forward, node, f"{node.name}:0", parameters, attributes, moving, nodes)
    if not missing:
        return layer
    return layer._replace(reason=f"the checkpoint lacks {' and '.join(missing)}")


def match_global(forward: Forward, node: Node, moving: MovingAverages) -> Union[Layer, NoMatch]:
    """Match BatchNormWithGlobalNormalization of the first releases."""
    if len(node.inputs) != 5:
        return NoMatch("a batch norm of other than five operands")
    parameters = Parameters({}, {}, {})
    roles = _GLOBAL_ROLES if node.attribute("scale_after_normalization") else _GLOBAL_ROLES[:3]
    for role, tensor in zip(roles, node.inputs[1:]):
        if not read_parameter(forward, role, tensor, parameters):
            return NoMatch(f"its {role} is computed in the graph")
    attributes = {
        "epsilon": node.attribute("variance_epsilon"),
        "data_format": "NHWC",
        "fused": False,
        "is_training": False,
    }
    return batch_norm_layer(
        forward, node, f"{node.name}:0", parameters, attributes, moving, {node.name}
    )


def read_parameter(forward: Forward, role: str, tensor: str, parameters: Parameters) -> bool:
    """Read one parameter, a variable or a constant; gives False if it is neither."""
    tensor = without_neutral(forward, tensor)
    vector = forward.vector(tensor)
    if vector is not None:
        parameters.variables[role] = vector[0]
        parameters.axes[vector[0]] = vector[1]
        return True
    value = forward.evaluator.value(tensor)
    if value is None or not numpy.issubdtype(value.dtype, numpy.floating):
        return False
    parameters.constants[role] = {"value": constant_value(value)}
    return True


def why_renormalised(origin: Origin) -> Optional[str]:
    """Give why a statistic of batch renormalisation makes no layer, None for other variables."""
    if not _RENORM_STATISTICS.search(origin.variable):
        return None
    return (
        "batch renormalisation in training mode corrects the batch's statistics, which no torch "
        "module does: save the graph with training=False"
    )


def constant_value(value: Any) -> Any:
    """Give a vector of equal numbers as one number, any other as a list."""
    numbers = [json_number(shortest_float(float(one))) for one in numpy.ravel(value)]
    return numbers[0] if numbers and all(one == numbers[0] for one in numbers) else numbers


def _read_kept(
    forward: Forward, node: Node, moving: MovingAverages, parameters: Parameters
) -> None:
    """Find the moving averages of a batch norm that was saved in training mode."""
    for role, output in (("moving_mean", 1), ("moving_variance", 2)):
        variable = moving.kept_of(f"{node.name}:{output}")
        if variable is not None:
            parameters.variables[role] = variable
            parameters.axes[variable] = "C"


def batch_norm_layer(
    forward: Forward,
    node: Node,
    output: str,
    parameters: Parameters,
    attributes: Mapping[str, Any],
    moving: MovingAverages,
    nodes: Set[str],
    data: Optional[str] = None,
) -> Layer:
    """Make the layer of a batch norm.

    Args:
        node: the op that reads the parameters.
        output: the result.
        attributes: epsilon, data_format, fused and is_training.
        nodes: what the layer consists of.
        data: what it normalises; the node's first operand unless given.
    """
    mean = parameters.variables.get("moving_mean")
    decay = moving.decay(mean) if mean is not None else None
    no_mean = "its moving mean is no variable"
    return Layer(
        kind="batch_norm",
        op=node.name,
        variables=parameters.variables,
        axes=parameters.axes,
        constants=parameters.constants,
        input=forward.operand(node, 0) if data is None else data,
        op_output=output,
        output=output,
        attributes={
            **attributes,
            # TensorFlow's kernels use what the node says; its Python side clamped it before.
            "effective_epsilon": attributes["epsilon"],
            "decay": decay.value if decay is not None else None,
            "decay_reason": decay.reason if decay is not None else no_mean,
        },
        nodes=frozenset(nodes),
    )
