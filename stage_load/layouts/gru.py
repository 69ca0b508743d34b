"""GRU: cells that reset the state after its product, to ``torch.nn.GRU`` and ``torch.nn.GRUCell``.

torch has the gates r, z, n, and computes ``n = tanh(W x + b + r * (U h + c))`` and
``h = (1 - z) * n + z * h``.
So do CudnnCompatibleGRUCell, whose u is z, and Keras with ``reset_after=True``. TensorFlow's own
GRUCell multiplies the state by r before the product (TF 1.15.5 python/ops/rnn_cell_impl.py), which
is another function.
"""

from __future__ import annotations

from collections.abc import Mapping

from stage_load.layouts.family import Attributes, Family, Fill, Shapes
from stage_load.layouts.recurrent import (
    gate_rule,
    order_of,
    refuse_other_functions,
    rows_of,
)
from stage_load.layouts.rule import Constant, Part, Rule, RuleError

_KERAS_GATES = "rzh"
_CUDNN_GATES = "ru"


def _fills(attributes: Attributes, shapes: Shapes) -> Mapping[str, tuple[Fill, ...]]:
    if not attributes.get("reset_after"):
        raise RuleError("it resets the state before its product, nn.GRU after it")
    refuse_other_functions(attributes, "nn.GRU")
    if "recurrent_kernel" in shapes:
        return _of_keras(attributes, shapes)
    return _of_cudnn(attributes, shapes)


def _of_keras(attributes: Attributes, shapes: Shapes) -> Mapping[str, tuple[Fill, ...]]:
    order = order_of(attributes, _KERAS_GATES)
    found: dict[str, tuple[Fill, ...]] = {
        "kernel": (Fill("weight_ih", gate_rule("I(GU)", "(GU)I", order)),),
        "recurrent_kernel": (Fill("weight_hh", gate_rule("R(GU)", "(GU)R", order)),),
    }
    if "bias" in shapes:
        found["bias"] = tuple(
            Fill(parameter, gate_rule("B(GU)", "(BGU)", order, taken=(("B", (row, row + 1)),)))
            for row, parameter in enumerate(("bias_ih", "bias_hh"))
        )
    return found


def _of_cudnn(attributes: Attributes, shapes: Shapes) -> Mapping[str, tuple[Fill, ...]]:
    order = order_of(attributes, _CUDNN_GATES)
    units = shapes["gate_kernel"][1] // len(_CUDNN_GATES)
    gates, candidate = (0, 2 * units), Part(((2 * units, 3 * units),))
    inputs, states = rows_of(shapes["gate_kernel"], units)
    gate_fills = (
        Fill("weight_ih", gate_rule("I(GU)", "(GU)I", order, taken=(("I", inputs),), part=gates)),
        Fill("weight_hh", gate_rule("R(GU)", "(GU)R", order, taken=(("R", states),), part=gates)),
    )
    found = {
        "gate_kernel": gate_fills,
        "gate_bias": (Fill("bias_ih", gate_rule("(GU)", "(GU)", order, part=gates)),),
        "candidate_input_kernel": (Fill("weight_ih", Rule("IU", "UI", part=candidate)),),
        "candidate_recurrent_kernel": (Fill("weight_hh", Rule("RU", "UR", part=candidate)),),
        "candidate_input_bias": (Fill("bias_ih", Rule("U", "U", part=candidate)),),
        "candidate_recurrent_bias": (Fill("bias_hh", Rule("U", "U", part=candidate)),),
    }
    return {role: fills for role, fills in found.items() if role in shapes}


def _constants(attributes: Attributes, shapes: Shapes) -> tuple[tuple[str, Constant], ...]:
    del attributes
    if "gate_kernel" in shapes:
        # Of the two biases of r and z only the sum counts.
        return (("bias_hh", Constant(0.0, Part(((0, shapes["gate_kernel"][1]),)))),)
    return () if "bias" in shapes else (("bias_ih", Constant(0.0)), ("bias_hh", Constant(0.0)))


GRU = Family(op_kind="gru", layouts=(), fills=_fills, constants=_constants)
