"""Layers that a torch model may well write as a module of another kind that computes the same.

A convolution whose kernel covers its whole input is a matrix product over the flattened input, one
of size 1 x 1 a matrix product over the channels; and the other way about.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from stage_load.export_view import ExportView
from stage_load.layouts.rule import Rule, RuleError
from stage_load.tf_units import TfUnit

_AS_DENSE = Rule("HWIO", "O(IHW)")


def equal_kinds(export: ExportView, unit: TfUnit) -> Iterable[TfUnit]:
    """Yield the unit as one of another kind, with the rule of its kernel for that kind.

    Args:
        export: the graph.
        unit: one without a counterpart of its own kind.
    """
    kernel = unit.layer.variables.get("kernel")
    rule = unit.rules.get("kernel")
    if kernel is None or rule is None or unit.is_guessed:
        return
    shape = export.variables[kernel].shape
    found: tuple[str, Rule] | None = None
    if unit.kind == "conv2d" and rule.source == _AS_DENSE.source:
        if shape[:2] == (1, 1) or _is_one_pixel(export, unit):
            found = "dense", _AS_DENSE
    elif unit.kind == "dense" and rule.target == "O(CHW)":
        found = "conv2d", replace(rule, target="OCHW")
    elif unit.kind == "dense" and rule.target == "OI":
        found = "conv2d", replace(rule, target="OI11")
    if found is not None:
        yield _as(unit, *found, shape)


def _is_one_pixel(export: ExportView, unit: TfUnit) -> bool:
    shape = None if unit.layer.output is None else export.shape(unit.layer.output)
    if shape is None or len(shape) != 4:
        return False
    is_channels_first = str(unit.layer.attributes.get("data_format")).startswith("NC")
    return (shape[2:] if is_channels_first else shape[1:3]) == (1, 1)


def _as(unit: TfUnit, kind: str, rule: Rule, shape: tuple[int, ...]) -> TfUnit:
    try:
        weight = rule.target_shape(shape)
    except RuleError:
        return unit
    rules = {**unit.rules, "kernel": rule}
    return replace(unit, kind=kind, rules=rules, shapes={**unit.shapes, "weight": weight})
