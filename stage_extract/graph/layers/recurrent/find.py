"""All recurrent layers of a forward pass."""

from __future__ import annotations

from typing import Dict, List, Optional

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward, Layer
from stage_extract.graph.layers.recurrent.dynamic import (
    carried_state,
    is_in_loop,
    last_written,
    loop_ends,
)
from stage_extract.graph.layers.recurrent.lstm import match_lstm
from stage_extract.graph.layers.recurrent.sequences import Ends, choose
from stage_extract.graph.layers.recurrent.states import outside, states_json
from stage_extract.graph.layers.recurrent.step import Step

KINDS = frozenset(("gru", "lstm"))
_ADD_OPS = frozenset(("Add", "AddV2"))


def find_recurrent(forward: Forward) -> List[Layer]:
    """Give all recurrent layers; what they consist of is in their `nodes`."""
    layers = []
    for node in forward.order:
        steps = _candidates(forward, node)
        looping = [step for step in steps if is_in_loop(forward, step)]
        if looping:
            layers.append(_dynamic_layer(forward, looping[0]))
    return layers


def _candidates(forward: Forward, node: Node) -> List[Step]:
    if node.op not in _ADD_OPS or len(node.inputs) != 2:
        return []
    return match_lstm(forward, node)


def _dynamic_layer(forward: Forward, step: Step) -> Layer:
    states = {name: carried_state(forward, step, name) for name in step.before}
    initial: Dict[str, Optional[str]] = {}
    final: Dict[str, Optional[str]] = {}
    for name, state in states.items():
        if state is not None:
            initial[name] = outside(forward, state.variable.initial, state.cuts)
            final[name] = None if state.cuts else state.variable.final
    if final["h"] is None:
        final["h"] = last_written(forward, step)
    return recurrent_layer(step, loop_ends(forward, step), initial, final)


def recurrent_layer(
    step: Step, ends: Ends, initial: Dict[str, Optional[str]], final: Dict[str, Optional[str]]
) -> Layer:
    """Make the layer of a cell and the sequences around it.

    Args:
        step: the first step.
        initial: state -> the tensor before the first step, None for zeros.
        final: state -> the tensor behind the last step, None if nothing reads it.
    """
    chosen = choose(ends)
    one = chosen.input or chosen.output
    is_backward = one is not None and one.turned
    output = "" if chosen.output is None else chosen.output.tensor
    reason = chosen.reason
    if ends.masked:
        reason = "a mask leaves out some of its steps"
    return Layer(
        kind=step.kind,
        op=step.op,
        variables=step.variables,
        axes=step.axes,
        input=None if chosen.input is None else chosen.input.tensor,
        op_output=output,
        output=output,
        attributes={
            **step.attributes,
            "direction": "backward" if is_backward else "forward",
            "time_major": None if one is None else one.time_major,
            "loop": ends.loop,
            "sequence_length": ends.lengths,
            "initial_state": states_json(initial),
            "final_state": states_json(final),
            "step_input": step.data,
            "step_output": step.after["h"],
        },
        nodes=step.nodes,
        reason=reason,
    )
