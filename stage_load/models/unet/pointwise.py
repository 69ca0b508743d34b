"""Arithmetic between a map and a constant is a rescaling; between two maps it is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from stage_load.export_view import Node
from stage_load.models.unet.context import Context
from stage_load.models.unet.feature import Feature
from stage_load.models.unet.misfit import misfit
from stage_load.models.unet.sizes import NotComputable
from stage_load.models.unet.steps import Rescale

# What an op with the constant c makes of x, as (scale, offset); by whether the map comes first.
_EFFECTS: Mapping[tuple[str, bool], Callable[[float], tuple[float, float]]] = MappingProxyType(
    {
        ("Add", True): lambda c: (1.0, c),
        ("Add", False): lambda c: (1.0, c),
        ("AddV2", True): lambda c: (1.0, c),
        ("AddV2", False): lambda c: (1.0, c),
        ("Div", True): lambda c: (1.0 / c, 0.0),
        ("Mul", True): lambda c: (c, 0.0),
        ("Mul", False): lambda c: (c, 0.0),
        ("RealDiv", True): lambda c: (1.0 / c, 0.0),
        ("Sub", True): lambda c: (1.0, -c),
        ("Sub", False): lambda c: (-1.0, c),
    }
)


def pointwise(context: Context, node: Node, maps: list[Feature]) -> Feature:
    """Return what ``node`` makes of a map and a constant.

    Raises:
        ModelDoesNotFit: two maps are combined (a residual or additive skip), or the other is no
        scalar.
    """
    if len(maps) == 2:
        raise misfit(
            node,
            f"combines the maps '{maps[0].tensor}' and '{maps[1].tensor}' element by element",
            "maps joined by a concat only, no residual additions and no gates",
        )
    (given,) = maps
    map_first = context.feature(node.inputs[0]) is not None
    effect = _EFFECTS.get((node.op, map_first))
    constant = _scalar(context, node.inputs[1 if map_first else 0])
    if effect is None or constant is None:
        raise misfit(
            node,
            "combines a map with something else than one constant number",
            "a rescaling by constants, or a bias added right after its convolution",
        )
    scale, offset = effect(constant)
    return given.then(node.output(), Rescale(scale, offset))


def _scalar(context: Context, tensor: str) -> float | None:
    try:
        value = context.sizes.value(tensor)
    except NotComputable:
        return None
    values = np.unique(value)
    return float(values[0]) if values.size == 1 else None
