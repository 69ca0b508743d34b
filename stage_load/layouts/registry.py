"""Which layout serves which kind of operation, and which kinds are refused and why."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from stage_load.layouts.batch_norm import BATCH_NORM
from stage_load.layouts.bias_add import BIAS_ADD
from stage_load.layouts.conv1d import CONV1D
from stage_load.layouts.conv1d_transpose import CONV1D_TRANSPOSE
from stage_load.layouts.conv2d import CONV2D
from stage_load.layouts.conv2d_transpose import CONV2D_TRANSPOSE
from stage_load.layouts.conv3d import CONV3D
from stage_load.layouts.conv3d_transpose import CONV3D_TRANSPOSE
from stage_load.layouts.dense import DENSE
from stage_load.layouts.depthwise_conv1d import DEPTHWISE_CONV1D
from stage_load.layouts.depthwise_conv2d import DEPTHWISE_CONV2D
from stage_load.layouts.embedding import EMBEDDING
from stage_load.layouts.family import Family, Refusal
from stage_load.layouts.group_norm import GROUP_NORM
from stage_load.layouts.gru import GRU
from stage_load.layouts.instance_norm import INSTANCE_NORM
from stage_load.layouts.layer_norm import LAYER_NORM
from stage_load.layouts.lstm import LSTM
from stage_load.layouts.prelu import PRELU
from stage_load.layouts.rule import AS_IS, Rule, RuleError

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "batch_norm": BATCH_NORM,
        "bias_add": BIAS_ADD,
        "conv1d": CONV1D,
        "conv1d_transpose": CONV1D_TRANSPOSE,
        "conv2d": CONV2D,
        "conv2d_transpose": CONV2D_TRANSPOSE,
        "conv3d": CONV3D,
        "conv3d_transpose": CONV3D_TRANSPOSE,
        "dense": DENSE,
        "depthwise_conv1d": DEPTHWISE_CONV1D,
        "depthwise_conv2d": DEPTHWISE_CONV2D,
        "embedding": EMBEDDING,
        "group_norm": GROUP_NORM,
        "instance_norm": INSTANCE_NORM,
        "layer_norm": LAYER_NORM,
        "prelu": PRELU,
        "gru": GRU,
        "lstm": LSTM,
    }
)

_UNKNOWN_AXES = "the axes that this operation gives its variable are not known"

REFUSALS: Mapping[str, Refusal] = MappingProxyType(
    {refusal.op_kind: refusal for refusal in (Refusal("other", _UNKNOWN_AXES),)}
)


def find_rule(
    op_kind: str,
    role: str | None,
    source_axes: str | None,
    attributes: Mapping[str, Any],
    rank: int,
) -> Rule:
    """Return the rule for one variable, chosen by its kind of operation and its role alone.

    A variable of a kind without a rule is taken as it is when it has at most one axis: there is
    only one order that one axis can have.

    Args:
        op_kind: kind of the operation that reads the variable.
        role: what the variable is to the operation.
        source_axes: its axes in TensorFlow, in letters.
        attributes: the layer's attributes.
        rank: its number of axes.

    Raises:
        RuleError: there is no rule; the message gives the reason.
    """
    family = FAMILIES.get(op_kind)
    if family is None:
        if rank <= 1:
            return AS_IS
        refusal = REFUSALS.get(op_kind)
        raise RuleError(refusal.reason if refusal else f"kind {op_kind!r} is not known")
    for layout in family.layouts:
        if layout.role == role and layout.source_axes == source_axes:
            return family.refine(layout.role, Rule(source_axes, layout.target_axes), attributes)
    raise RuleError(f"{op_kind} has no row for role {role!r} with axes {source_axes!r}")
