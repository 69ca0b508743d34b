"""Layers that normalise by the statistics of their own input: told apart by the axes of these."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.flatten import axes_format
from stage_extract.graph.layers.layer import Forward, Layer, vector_axes
from stage_extract.graph.layers.normalisation.form import Form, read_form
from stage_extract.graph.layers.normalisation.group_norm import group_norm_attributes
from stage_extract.graph.layers.normalisation.instance_norm import instance_norm_attributes
from stage_extract.graph.layers.normalisation.layer_norm import layer_norm_attributes
from stage_extract.graph.layers.normalisation.place import (
    Place,
    Split,
    find_place,
    find_split,
)
from stage_extract.graph.layers.normalisation.statistics import Statistics, read_statistics

_KINDS: Mapping[str, Callable[[Place], Optional[Dict[str, Any]]]] = MappingProxyType(
    {
        "layer_norm": layer_norm_attributes,
        "instance_norm": instance_norm_attributes,
        "group_norm": group_norm_attributes,
    }
)
# Axes of gamma and beta that have as many as what is normalised over, by the order of the image's.
_WHOLE_AXES: Mapping[Tuple[int, Optional[str]], str] = MappingProxyType(
    {(2, None): "TC", (3, "NHWC"): "HWC", (3, "NCHW"): "CHW"}
)
_OUTSIDE = "it adds epsilon to the root, torch's modules add theirs to the variance"


def match_normalisation(forward: Forward, root: Node) -> Optional[Layer]:
    """Match the arithmetic around the root of a variance that is taken from one tensor.

    Gives None if there is no such arithmetic, or nothing in it is a variable; a layer of the kind
    "other" where it is no normalisation of a known kind.
    """
    statistics = read_statistics(forward, root)
    if statistics is None:
        return None
    split = find_split(forward, statistics.data)
    form = read_form(forward, statistics, split is not None)
    if form is None or not form.parameters:
        return None
    place = find_place(statistics.axes, statistics.rank, form.parameters, split)
    known = [] if place is None else _known_kinds(place)
    layer = _layer(forward, root, statistics, split, form)
    if statistics.epsilon_outside or not known:
        reason = _OUTSIDE if statistics.epsilon_outside else _unknown(statistics, form)
        return _other(layer, reason)
    data_format = axes_format(forward, layer.input or "", 4) if statistics.rank == 4 else None
    attributes = {"data_format": data_format, "epsilon": statistics.epsilon, **known[0][1]}
    letters = {one: _axes(forward, one, attributes) for one in layer.variables.values()}
    axes = {variable: one for variable, one in letters.items() if one is not None}
    if len(axes) < len(letters):
        return _other(layer, _unknown(statistics, form))
    return layer._replace(kind=known[0][0], axes=axes, attributes=attributes)


def _known_kinds(place: Place) -> List[Any]:
    found = ((kind, attributes_of(place)) for kind, attributes_of in _KINDS.items())
    return [one for one in found if one[1] is not None]


def _axes(forward: Forward, variable: str, attributes: Mapping[str, Any]) -> Optional[str]:
    shape = forward.table.info[variable].shape
    whole = _WHOLE_AXES.get((len(attributes["axes"]), attributes["data_format"]))
    return vector_axes(shape) or (whole if len(shape) == len(whole or "") else None)


def _layer(
    forward: Forward, root: Node, statistics: Statistics, split: Optional[Split], form: Form
) -> Layer:
    return Layer(
        kind="other",
        op=root.name,
        variables={role: one.variable for role, one in form.parameters.items()},
        axes={},
        input=statistics.data if split is None else split.input,
        op_output=form.output,
        output=form.output,
        attributes={},
        nodes=form.nodes,
    )


def _other(layer: Layer, reason: str) -> Layer:
    operands = {
        f"operand_{index}": layer.variables[role] for index, role in enumerate(layer.variables)
    }
    return layer._replace(
        variables=operands, attributes={"op_type": "normalisation"}, reason=reason
    )


def _unknown(statistics: Statistics, form: Form) -> str:
    parameters = " and ".join(
        f"{role} along {list(one.axes)}" for role, one in sorted(form.parameters.items())
    )
    return (
        f"it normalises over the axes {list(statistics.axes)} of {statistics.rank} with "
        f"{parameters}: no layer, instance or group norm does"
    )
