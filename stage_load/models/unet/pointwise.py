"""Arithmetic between a map and a constant is a rescaling; between two maps it is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from stage_load.export_view import Node
from stage_load.models.unet.context import Context
from stage_load.models.unet.feature import Feature
from stage_load.models.unet.misfit import misfit
from stage_load.models.unet.sizes import Array, NotComputable
from stage_load.models.unet.steps import Clamp, PerChannel, Rescale

CLIPPED = "values clipped to constant bounds, or a leaky ReLU"

# What an op with the constant c makes of x, as (scale, offset); by whether the map comes first.
Effect = Callable[[Array], tuple[Array | float, Array | float]]
_EFFECTS: Mapping[tuple[str, bool], Effect] = MappingProxyType(
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
        ModelDoesNotFit: two maps are combined (a residual or additive skip), or the other side is
            more than a number or one number a channel.
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
    constant = _constant(context, node.inputs[1 if map_first else 0], given)
    if effect is None or constant is None:
        raise misfit(
            node,
            "combines a map with something else than one constant number, or one a channel",
            "a rescaling by constants, or a bias added right after its convolution",
        )
    scale, offset = effect(constant)
    return given.then(node.output(), Rescale(_per_channel(scale), _per_channel(offset)))


def clamp(context: Context, node: Node, maps: list[Feature]) -> Feature:
    """The larger or smaller of a map and a number: one half of ``tf.clip_by_value``.

    Raises:
        ModelDoesNotFit: it is no map and one number.
    """
    (tensor,) = [one for one in node.inputs if context.feature(one) is None] or [node.inputs[0]]
    bound = _constant(context, tensor, maps[0])
    if bound is None or bound.ndim:
        raise misfit(node, "compares a map with something else than one constant number", CLIPPED)
    number = float(bound)
    step = Clamp(high=number) if node.op == "Minimum" else Clamp(low=number)
    return maps[0].then(node.output(), step)


def _constant(context: Context, tensor: str, given: Feature) -> Array | None:
    """Return a constant as one number or one a channel, None for anything else."""
    try:
        value = context.sizes.value(tensor).astype(np.float64)
    except NotComputable:
        return None
    if np.unique(value).size == 1:
        return np.asarray(value.flat[0])
    axis = -3 if given.channels_first else -1
    along = value.shape[axis] if value.ndim >= -axis else 0
    return value.reshape(-1) if value.size == along == given.channels else None


def _per_channel(value: Array | float) -> PerChannel:
    numbers = np.asarray(value).tolist()
    return tuple(numbers) if isinstance(numbers, list) else float(numbers)
