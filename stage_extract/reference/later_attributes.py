"""Attributes that ops have got in TensorFlow 2, where they say what TensorFlow 1.15 does anyway.

A graph usually holds the definitions of its ops, from which TensorFlow sees that an attribute has
its default value; one that was frozen or stripped does not.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, Tuple

from tensorflow.python.framework import op_def_registry

# (op, attribute) -> whether its value is the one that changes nothing. From
# TensorFlow 2's core/ops/nn_ops.cc, math_ops.cc and resource_variable_ops.cc.
_NEUTRAL: Mapping[Tuple[str, str], Callable[[Any], bool]] = {
    ("BatchMatMulV2", "grad_x"): lambda value: not value.b,
    ("BatchMatMulV2", "grad_y"): lambda value: not value.b,
    ("DepthwiseConv2dNative", "explicit_paddings"): lambda value: not value.list.i,
    ("FusedBatchNormV3", "exponential_avg_factor"): lambda value: value.f == 1.0,
    ("MatMul", "grad_a"): lambda value: not value.b,
    ("MatMul", "grad_b"): lambda value: not value.b,
    ("MaxPool", "explicit_paddings"): lambda value: not value.list.i,
    ("VarHandleOp", "allowed_devices"): lambda value: not value.list.s,
    ("VarHandleOp", "debug_name"): lambda value: True,
}


def drop_later_attributes(node: Any) -> None:
    """Take out what this TensorFlow's op lacks and what has the value of no effect."""
    definition = op_def_registry.get_registered_ops().get(node.op)
    if definition is None:
        return
    known = {one.name for one in definition.attr}
    for key in [one for one in node.attr if one not in known]:
        is_neutral = _NEUTRAL.get((node.op, key))
        if is_neutral is not None and is_neutral(node.attr[key]):
            del node.attr[key]
