"""What LSTM and GRU layouts share: rules that take gates apart, and reasons to refuse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stage_load.layouts.rule import Part, Range, Rule, RuleError


def gate_rule(
    source: str,
    target: str,
    order: tuple[int, ...],
    *,
    taken: tuple[tuple[str, Range], ...] = (),
    added: tuple[float, ...] = (),
    part: Range | None = None,
) -> Rule:
    """Return a rule for a tensor with an axis (GU): gates, slowest, and units.

    Args:
        source: axes in TensorFlow.
        target: axes in torch.
        order: torch's gates as indices of TensorFlow's.
        taken: letter -> begin and end of what is taken of that axis.
        added: a number for each of torch's gates.
        part: rows of the torch tensor that are filled.
    """
    is_same = order == tuple(range(len(order)))
    return Rule(
        source,
        target,
        sizes=(("G", len(order)),) if is_same else (),
        ranges=taken,
        orders=() if is_same else (("G", order),),
        added=(("G", added),) if any(added) else (),
        part=Part() if part is None else Part((part,)),
    )


def order_of(attributes: Mapping[str, Any], wanted: str) -> tuple[int, ...]:
    """Return where each of the wanted gates stands in TensorFlow's variable.

    Raises:
        RuleError: the graph does not tell, or has other gates.
    """
    gates = attributes.get("gate_order")
    if not isinstance(gates, str) or sorted(gates) != sorted(wanted):
        raise RuleError(f"the gates are {gates!r}, wanted are those of {wanted!r}")
    return tuple(gates.index(gate) for gate in wanted)


def refuse_other_functions(attributes: Mapping[str, Any], module: str) -> None:
    """Refuse activations that the torch module does not have. Raises RuleError."""
    for name, wanted in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
        found = attributes.get(name)
        if found not in (None, wanted):
            raise RuleError(f"its {name} is {found}, {module} has {wanted}")


def rows_of(shape: tuple[int, ...], state_size: int) -> tuple[Range, Range]:
    """Return which rows of a joined kernel [I + R, ...] the input takes, and which the state."""
    rows = shape[0]
    if rows <= state_size:
        raise RuleError(f"a kernel of {rows} rows has none for an input beside {state_size} units")
    return (0, rows - state_size), (rows - state_size, rows)
