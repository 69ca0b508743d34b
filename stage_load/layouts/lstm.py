"""LSTM: TensorFlow's cells and Keras' layer to ``torch.nn.LSTM`` and ``torch.nn.LSTMCell``.

TensorFlow computes ``i, j, f, o = split([x, h] @ kernel + bias)`` and
``c = sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(j)``, ``h = sigmoid(o) * tanh(c)``
(TF 1.15.5 python/ops/rnn_cell_impl.py, BasicLSTMCell). torch has the gates i, f, g, o, two kernels
and two biases whose sum counts: the first takes TensorFlow's, the second is zero.
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
from stage_load.layouts.rule import Constant, Rule, RuleError

# torch's i, f, g, o in the letters of the contract, where j is the candidate.
_TORCH_GATES = "ifjo"
_FORGET = _TORCH_GATES.index("f")


def _fills(attributes: Attributes, shapes: Shapes) -> Mapping[str, tuple[Fill, ...]]:
    _refuse(attributes)
    order = order_of(attributes, _TORCH_GATES)
    found: dict[str, tuple[Fill, ...]] = {}
    if "recurrent_kernel" in shapes:
        found["kernel"] = (Fill("weight_ih", gate_rule("I(GU)", "(GU)I", order)),)
        found["recurrent_kernel"] = (Fill("weight_hh", gate_rule("R(GU)", "(GU)R", order)),)
    elif "kernel" in shapes:
        units = shapes["kernel"][1] // len(_TORCH_GATES)
        state = attributes.get("projection_size") or units
        inputs, states = rows_of(shapes["kernel"], state)
        found["kernel"] = (
            Fill("weight_ih", gate_rule("I(GU)", "(GU)I", order, taken=(("I", inputs),))),
            Fill("weight_hh", gate_rule("R(GU)", "(GU)R", order, taken=(("R", states),))),
        )
    if "bias" in shapes:
        added = _forget_bias(attributes)
        found["bias"] = (Fill("bias_ih", gate_rule("(GU)", "(GU)", order, added=added)),)
    if "projection" in shapes:
        found["projection"] = (Fill("weight_hr", Rule("UR", "RU")),)
    return found


def _refuse(attributes: Attributes) -> None:
    """Refuse what ``nn.LSTM`` does not compute. Raises RuleError."""
    if attributes.get("use_peephole"):
        raise RuleError("it has peepholes, through which gates read c; nn.LSTM has none")
    for name in ("cell_clip", "projection_clip"):
        if attributes.get(name):
            raise RuleError(f"it clips ({name}={attributes[name]}), which nn.LSTM does not")
    refuse_other_functions(attributes, "nn.LSTM")


def _forget_bias(attributes: Attributes) -> tuple[float, ...]:
    """Return a number for each of torch's gates: TensorFlow adds it to f when it runs."""
    number = float(attributes.get("forget_bias") or 0.0)
    return tuple(number if gate == _FORGET else 0.0 for gate in range(len(_TORCH_GATES)))


def _constants(attributes: Attributes, shapes: Shapes) -> tuple[tuple[str, Constant], ...]:
    second = ("bias_hh", Constant(0.0))
    if "bias" in shapes:
        return (second,)
    kernel = shapes.get("kernel")
    added = _forget_bias(attributes)
    if kernel is None or not any(added):
        return (("bias_ih", Constant(0.0)), second)
    units = kernel[1] // len(_TORCH_GATES)
    numbers = tuple(number for number in added for _ in range(units))
    return (("bias_ih", Constant(numbers)), second)


LSTM = Family(op_kind="lstm", layouts=(), fills=_fills, constants=_constants)
