"""Puts convolutions of the parts of one tensor together, where torch has one grouped module.

Several variables fill that module's tensors then, each the output channels of its group. Where the
torch model keeps a module for each group, they stay the layers that they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stage_load.layouts.rule import Part
from stage_load.tf_units import TfUnit
from stage_load.torch_units import TorchUnit

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Grouping:
    """TensorFlow's units, those of a group put together.

    Attributes:
        units: in forward order; the first of a group stands for all.
        others: index of the first's layer -> the other units of its group, in order.
    """

    units: tuple[TfUnit, ...]
    others: Mapping[int, tuple[TfUnit, ...]]


def grouped_units(units: Sequence[TfUnit], right: Sequence[TorchUnit]) -> Grouping:
    """Put units together as far as torch has grouped modules of the shapes that come out.

    Args:
        units: TensorFlow's, in forward order.
        right: torch's.
    """
    free = Counter((unit.kind, unit.groups, _weight(unit)) for unit in right if unit.groups > 1)
    others: dict[int, tuple[TfUnit, ...]] = {}
    merged: dict[int, TfUnit] = {}
    for members in _groups(units):
        first, count = members[0], len(members)
        shapes = {name: (shape[0] * count, *shape[1:]) for name, shape in first.shapes.items()}
        key = (first.kind, count, shapes.get("weight"))
        if not free[key]:
            continue
        free[key] -= 1
        parts = [_filling(unit, number) for number, unit in enumerate(members)]
        attributes = {**first.layer.attributes, "groups": count}
        layer = replace(first.layer, attributes=attributes, input=_end(first, "input"))
        merged[first.layer.index] = replace(parts[0], layer=layer, shapes=shapes)
        others[first.layer.index] = tuple(parts[1:])
    hidden = {unit.layer.index for group in others.values() for unit in group}
    kept = (merged.get(u.layer.index, u) for u in units if u.layer.index not in hidden)
    return Grouping(tuple(kept), others)


def _groups(units: Sequence[TfUnit]) -> list[list[TfUnit]]:
    """Return the complete groups, each applied once, their members in order."""
    found: dict[str, list[TfUnit]] = {}
    for unit in units:
        if "group" in unit.layer.attributes and len(unit.applications) == 1:
            found.setdefault(_end(unit, "output"), []).append(unit)
    return [
        sorted(members, key=lambda unit: int(unit.layer.attributes["group"]["index"]))
        for members in found.values()
        if len(members) == members[0].layer.attributes["group"]["count"]
        and not any(unit.refusals for unit in members)
    ]


def _filling(unit: TfUnit, number: int) -> TfUnit:
    """Let a unit fill the output channels of its group alone; they are each tensor's first axis."""
    channels = unit.shapes["weight"][0]
    part = Part(((number * channels, (number + 1) * channels),))
    return replace(
        unit, rules={role: replace(rule, part=part) for role, rule in unit.rules.items()}
    )


def _end(unit: TfUnit, key: str) -> str:
    return str(unit.layer.attributes["group"][key])


def _weight(unit: TorchUnit) -> Shape | None:
    tensor = unit.tensors.get("weight")
    return None if tensor is None else tensor.shape
