"""Puts together what one side keeps apart: the groups of a grouped convolution.

TensorFlow 1 convolves the parts of a tensor one by one. Their kernels are variables of their own,
or one variable that the graph cuts; torch has one grouped module, or a module for each part. Where
both sides keep the groups apart, nothing is put together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stage_load.layouts.rule import Part
from stage_load.tf_units import TfUnit, parameter_name
from stage_load.torch_units import TorchModel, TorchUnit

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Grouping:
    """Both sides, those of a group put together; the first of a group stands for all.

    Attributes:
        units: TensorFlow's, in forward order.
        model: torch's.
        others: index of the first's layer -> the other units of its group, in order.
        modules: path of the first module -> all modules of its group, in order.
    """

    units: tuple[TfUnit, ...]
    model: TorchModel
    others: Mapping[int, tuple[TfUnit, ...]]
    modules: Mapping[str, tuple[TorchUnit, ...]]

    def parts(self, tf: TfUnit, torch: TorchUnit) -> list[tuple[TfUnit, TorchUnit]]:
        """Return what a pair stands for: itself, or one pair a group."""
        modules = self.modules.get(torch.path)
        if modules is not None and tf.groups == len(modules):
            return [(_taking(tf, number), module) for number, module in enumerate(modules)]
        return [(tf, torch), *((unit, torch) for unit in self.others.get(tf.layer.index, ()))]


def grouped(units: Sequence[TfUnit], model: TorchModel) -> Grouping:
    """Put units together as far as the other side has what comes out, and lacks what goes in.

    Args:
        units: TensorFlow's, in forward order.
        model: torch's.
    """
    free = Counter((unit.kind, unit.groups, _weight(unit)) for unit in model.units)
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
    together, modules = _modules_together(units, model, free)
    return Grouping(tuple(kept), together, others, modules)


def _modules_together(
    units: Sequence[TfUnit],
    model: TorchModel,
    free: Counter[tuple[str | None, int, Shape | None]],
) -> tuple[TorchModel, dict[str, tuple[TorchUnit, ...]]]:
    """Put as many modules together, next to each other, as a kernel that the graph cuts fills."""
    found: dict[str, tuple[TorchUnit, ...]] = {}
    waiting = list(model.units)
    for unit in units:
        count, weight = unit.groups, unit.shapes.get("weight")
        if count == 1 or weight is None:
            continue
        free[unit.kind, count, weight] -= 1
        if free[unit.kind, count, weight] >= 0:
            continue
        part = (unit.kind, 1, (weight[0] // count, *weight[1:]))
        for begin in range(len(waiting) - count + 1):
            modules = waiting[begin : begin + count]
            if all((one.kind, one.groups, _weight(one)) == part for one in modules):
                found[modules[0].path] = tuple(modules)
                waiting[begin : begin + count] = [_together(modules)]
                break
    return replace(model, units=tuple(waiting)), found


def _together(modules: Sequence[TorchUnit]) -> TorchUnit:
    first, count = modules[0], len(modules)
    tensors = {
        name: replace(tensor, shape=(tensor.shape[0] * count, *tensor.shape[1:]))
        for name, tensor in first.tensors.items()
    }
    return replace(first, tensors=tensors, groups=count)


def _taking(unit: TfUnit, number: int) -> TfUnit:
    """Let a unit give the output channels of one group alone, the first axis of each tensor."""
    rules = {}
    for role, rule in unit.rules.items():
        shape = unit.shapes[parameter_name(unit.kind, role)]
        size = shape[0] // unit.groups
        cut = (rule.target[0], (number * size, (number + 1) * size))
        rules[role] = replace(rule, ranges=(cut,))
    return replace(unit, rules=rules)


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
