"""Cells in a while loop of TensorFlow 1: what dynamic_rnn and Keras make."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward
from stage_extract.graph.layers.recurrent.columns import STEP_OPS
from stage_extract.graph.layers.recurrent.sequences import (
    Ends,
    forms_after,
    forms_before,
    last_steps,
)
from stage_extract.graph.layers.recurrent.states import (
    SELECT_OPS,
    Carried,
    carried,
    is_counter,
    loop_variable,
    possible_values,
)
from stage_extract.graph.layers.recurrent.step import Step
from stage_extract.graph.traverse import ENTER_OPS, behind

# op -> the operand with the array. Loops of control flow v2 have lists in place of TensorArrays.
_READ_OPS = {"TensorArrayReadV2": 2, "TensorArrayReadV3": 2, "TensorListGetItem": 0}
_WRITE_OPS = {"TensorArrayWriteV2": 3, "TensorArrayWriteV3": 3, "TensorListSetItem": 0}
_SCATTER_OPS = frozenset(("TensorArrayScatterV2", "TensorArrayScatterV3"))
_GATHER_OPS = frozenset(("TensorArrayGatherV2", "TensorArrayGatherV3"))
# time >= lengths, as a loop's tensor or as a number of Python.
_COMPARISONS = frozenset(("GreaterEqual", "LessEqual"))


def carried_state(forward: Forward, step: Step, name: str) -> Optional[Carried]:
    """Give the loop variable that holds a state, if each turn sends the cell's result back."""
    state = carried(forward, step.before[name])
    if state is None:
        return None
    sent = possible_values(forward, state.variable.following, state.cuts)
    return state if step.after[name] in sent.tensors else None


def is_in_loop(forward: Forward, step: Step) -> bool:
    """Tell whether all states of a step go round one loop."""
    states = [carried_state(forward, step, name) for name in step.before]
    return None not in states and len({one.variable.frame for one in states if one}) == 1


def loop_ends(forward: Forward, step: Step) -> Ends:
    """Give the sequences that the loop of a step reads and writes."""
    source = None if step.data is None else _read_sequence(forward, step.data)
    inputs = [] if source is None else forms_before(forward, source)
    written = _written(forward, step.after["h"])
    state = carried_state(forward, step, "h")
    choices = []
    if state is not None:
        choices = possible_values(forward, state.variable.following, state.cuts).choices
    lengths = lengths_of(forward, choices)
    outputs = [] if written.stacked is None else forms_after(forward, written.stacked)
    missing = None if outputs else written.missing
    differs = bool(inputs) and inputs[-1][1:] not in [form[1:] for form in outputs]
    if differs and outputs and last_steps(forward, outputs[-1]):
        # What Keras gives without return_sequences: to torch's modules it is the state they leave.
        outputs, missing = [], "only the last step of its outputs is read"
    return Ends(inputs, outputs, "dynamic", lengths, bool(choices) and lengths is None, missing)


def _read_sequence(forward: Forward, tensor: str) -> Optional[str]:
    """Give the sequence [T, N, features] of which a loop reads one step a turn."""
    read = forward.graph.producer(behind(forward.graph, tensor, STEP_OPS))
    if read is None or read.op not in _READ_OPS or not is_counter(forward, read.operand(1)):
        return None
    array = read.operand(_READ_OPS[read.op])
    scatter = forward.graph.producer(behind(forward.graph, array, STEP_OPS | ENTER_OPS))
    if scatter is not None and scatter.op == "TensorListFromTensor":
        return scatter.operand(0)
    if scatter is None or scatter.op not in _SCATTER_OPS:
        return None
    return scatter.operand(2) if _is_all(forward, scatter.operand(1)) else None


def _is_all(forward: Forward, indices: str) -> bool:
    """Tell whether indices are 0, 1, 2 … of whatever number."""
    node = forward.graph.producer(indices)
    if node is None or node.op != "Range":
        return False
    return [forward.evaluator.scalar(node.operand(index)) for index in (0, 2)] == [0, 1]


class _Written(NamedTuple):
    """The sequence that a loop writes, step by step.

    Attributes:
        stacked: the tensor [T, N, units] behind the loop, None if there is none.
        missing: why there is none.
    """

    stacked: Optional[str]
    missing: Optional[str]


def _written(forward: Forward, tensor: str) -> _Written:
    write = _write_of(forward, tensor)
    if write is None:
        return _Written(None, "no tensor behind the loop holds its outputs of all steps")
    for flow in _behind_loop(forward, write):
        for use in forward.readers(flow):
            is_gather = use.node.op in _GATHER_OPS and _is_all(forward, use.node.operand(1))
            if is_gather or use.node.op == "TensorListStack":
                return _Written(f"{use.node.name}:0", None)
    return _Written(None, "nothing reads its outputs as a sequence")


def _write_of(forward: Forward, tensor: str) -> Optional[Node]:
    """Give the op that writes a tensor, or zeros behind the end of a sequence, once a turn."""
    pending = [tensor]
    for _ in range(len(SELECT_OPS) + 1):
        following: List[str] = []
        for one in pending:
            for use in forward.readers(one):
                if use.node.op in _WRITE_OPS and use.operand == 2:
                    return use.node if is_counter(forward, use.node.operand(1)) else None
                if use.node.op in SELECT_OPS and use.operand != 0:
                    following.append(f"{use.node.name}:0")
        pending = following
    return None


def _behind_loop(forward: Forward, write: Node) -> List[str]:
    """Give the flow of a TensorArray behind the loop that writes into it."""
    flow = loop_variable(forward, write.operand(_WRITE_OPS[write.op]))
    return [] if flow is None or flow.final is None else [flow.final]


def last_written(forward: Forward, step: Step) -> Optional[str]:
    """Give the last output, where Keras takes it from what the loop has written."""
    written = _written(forward, step.after["h"]).stacked
    if written is not None:
        slices = last_steps(forward, forms_after(forward, written)[-1])
        return slices[0] if slices else None
    write = _write_of(forward, step.after["h"])
    for flow in [] if write is None else _behind_loop(forward, write):
        for use in forward.readers(flow):
            index = forward.graph.producer(use.node.operand(1))
            if use.node.op not in _READ_OPS or index is None or index.op != "Sub":
                continue
            if forward.evaluator.scalar(index.operand(1)) == 1:
                return f"{use.node.name}:0"
    return None


def lengths_of(forward: Forward, choices: Sequence[Node]) -> Optional[str]:
    """Give the lengths [N] whose end lets a cell keep the old state: time >= lengths."""
    for choice in choices:
        test = forward.graph.producer(behind(forward.graph, choice.operand(0), STEP_OPS))
        if test is None or test.op not in _COMPARISONS:
            continue
        time_first = test.op == "GreaterEqual"
        time, lengths = test.operand(0 if time_first else 1), test.operand(1 if time_first else 0)
        if is_counter(forward, time) or forward.evaluator.scalar(time) is not None:
            return behind(forward.graph, lengths, STEP_OPS | ENTER_OPS)
    return None
