"""Batch norms and biases that one side keeps and the other has taken into its neighbour.

An optimised graph has no batch norms left, a tidy model no bias before one, a careless one a bias
that is not needed. All of these compute the same at inference, so they are loaded, and it is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stage_load.draft import Draft
from stage_load.export_view import ExportView, Layer
from stage_load.layouts.folded import Folded, Operand
from stage_load.layouts.rule import AS_IS, Constant
from stage_load.pairing import UnitPair
from stage_load.tf_units import TfUnit
from stage_load.torch_units import TorchModel, TorchUnit

_BATCH_NORM = "batch_norm"


@dataclass(frozen=True)
class Folds:
    """What was folded.

    Attributes:
        normed: batch norm's layer -> path of the module that holds it now.
        warnings: sentences for people.
    """

    normed: Mapping[int, str]
    warnings: tuple[str, ...]


def fold(
    export: ExportView,
    units: Sequence[TfUnit],
    model: TorchModel,
    pairs: Sequence[UnitPair],
    draft: Draft,
) -> Folds:
    """Add the rows of what has no counterpart of its own, but can be taken into a neighbour.

    Args:
        export: the graph; without one nothing is folded.
        units: TensorFlow's units.
        model: the torch side.
        pairs: the counterparts.
        draft: takes the rows.
    """
    if not export.has_graph:
        return Folds({}, ())
    by_output = {
        export.source(pair.tf.layer.output): pair for pair in pairs if pair.tf.layer.output
    }
    paired = {pair.tf.layer.index for pair in pairs}
    normed: dict[int, str] = {}
    biases: list[str] = []
    for unit in units:
        if unit.kind != _BATCH_NORM or unit.layer.input is None or len(unit.applications) > 1:
            continue
        pair = by_output.get(export.source(unit.layer.input))
        if pair is None or not _alone_behind(export, pair.tf):
            continue
        if unit.layer.index in paired:
            biases += _fold_bias_into_mean(pair, unit, pairs, draft)
        elif _fold_norm(pair, unit, draft):
            normed[unit.layer.index] = pair.torch.path
    zeros = [pair.torch.path for pair in pairs if _fill_zero_bias(pair, draft)]
    identities = _identities(model, pairs, draft)
    sentences = (
        ("batch norm", "taken into the layer before it", list(normed.values())),
        ("bias", "taken into the batch norm behind it", biases),
        ("bias", "filled with zeros: TensorFlow's layer has none", zeros),
        ("batch norm", "that TensorFlow's graph does not have, made an identity", identities),
    )
    return Folds(normed, tuple(_sentence(*parts) for parts in sentences if parts[2]))


def _sentence(noun: str, what: str, found: Sequence[str]) -> str:
    plural = "es" if noun.endswith("s") else "s"
    return f"{len(found)} {noun}{plural if len(found) > 1 else ''} {what}, first {found[0]!r}."


def _alone_behind(export: ExportView, unit: TfUnit) -> bool:
    """Whether exactly one operation reads what the unit returns, at its only application."""
    output = unit.layer.output
    return output is not None and len(unit.applications) == 1 and len(export.consumers(output)) == 1


def _operand(layer: Layer, role: str, absent: float) -> Operand:
    if role in layer.variables:
        return layer.variables[role]
    value = layer.constants.get(role, {}).get("value", absent)
    return float(value) if isinstance(value, int | float) else absent


def _fold_norm(pair: UnitPair, norm: TfUnit, draft: Draft) -> bool:
    """Take a batch norm into the weight and bias before it; false where that cannot be."""
    weight, bias = pair.torch.tensors.get("weight"), pair.torch.tensors.get("bias")
    layer, rule = norm.layer, pair.tf.rules.get("kernel")
    epsilon = layer.attributes.get("effective_epsilon") or layer.attributes.get("epsilon")
    has_statistics = {"moving_mean", "moving_variance"} <= layer.variables.keys()
    if weight is None or bias is None or rule is None or epsilon is None or not has_statistics:
        return False
    scale: dict[str, Operand] = {
        "epsilon": float(epsilon),
        "gamma": _operand(layer, "gamma", 1.0),
        "moving_variance": layer.variables["moving_variance"],
    }
    shift: dict[str, Operand] = {
        **scale,
        "beta": _operand(layer, "beta", 0.0),
        "bias": _operand(pair.tf.layer, "bias", 0.0),
    }
    kernel = pair.tf.layer.variables["kernel"]
    draft.replace(kernel, weight, Folded("weight", rule, _sorted(scale)))
    draft.replace(layer.variables["moving_mean"], bias, Folded("bias", AS_IS, _sorted(shift)))
    return True


def _fold_bias_into_mean(
    pair: UnitPair, norm: TfUnit, pairs: Sequence[UnitPair], draft: Draft
) -> list[str]:
    """Take a bias, for which the torch layer has no place, into the batch norm behind it."""
    bias = pair.tf.layer.variables.get("bias")
    if bias is None or "bias" in pair.torch.tensors:
        return []
    counterpart = next(p for p in pairs if p.tf.layer.index == norm.layer.index)
    mean = norm.layer.variables.get("moving_mean")
    tensor = counterpart.torch.tensors.get("running_mean")
    if mean is None or tensor is None:
        return []
    draft.replace(mean, tensor, Folded("mean", AS_IS, (("bias", bias),)))
    return [counterpart.torch.path]


def _fill_zero_bias(pair: UnitPair, draft: Draft) -> bool:
    """Fill a bias that TensorFlow's layer lacks with zeros; false where there is none to fill."""
    bias = pair.torch.tensors.get("bias")
    lacks = "bias" not in pair.tf.layer.variables and "kernel" in pair.tf.layer.variables
    if bias is None or not lacks or pair.tf.is_guessed or bias.name in draft.filled:
        return False
    draft.add_constant(bias, Constant(0.0))
    return True


def _identities(model: TorchModel, pairs: Sequence[UnitPair], draft: Draft) -> list[str]:
    """Make batch norms that have no counterpart the identity, behind a layer that has one."""
    if model.flow is None:
        return []
    by_path = {pair.torch.path: pair for pair in pairs}
    found = []
    for unit in model.units:
        number = model.flow.reaches.get(unit.path)
        if unit.kind != _BATCH_NORM or unit.path in by_path or number is None or unit.calls != 1:
            continue
        pair = by_path.get(str(model.flow.expressions[number].unit))
        if pair is not None and _fill_identity(unit, pair, draft):
            found.append(unit.path)
    return found


def _fill_identity(unit: TorchUnit, pair: UnitPair, draft: Draft) -> bool:
    if unit.epsilon is None or any(t.name in draft.filled for t in unit.tensors.values()):
        return False
    bias = pair.tf.layer.variables.get("bias")
    numbers = {
        # gamma = sqrt(1 + epsilon) undoes what epsilon does to a variance of 1.
        "weight": math.sqrt(1.0 + unit.epsilon),
        "bias": 0.0,
        "running_mean": 0.0,
        "running_var": 1.0 if "weight" in unit.tensors else 1.0 - unit.epsilon,
        "num_batches_tracked": 0.0,
    }
    for name, tensor in unit.tensors.items():
        if name == "bias" and bias is not None and "bias" not in pair.torch.tensors:
            draft.replace(bias, tensor, pair.tf.rules.get("bias", AS_IS))
        else:
            draft.add_constant(tensor, Constant(numbers[name]))
    return True


def _sorted(operands: Mapping[str, Operand]) -> tuple[tuple[str, Operand], ...]:
    return tuple(sorted(operands.items()))
