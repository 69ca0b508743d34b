"""Sequences before and behind a recurrent loop: which tensor holds them, and in which axes."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward
from stage_extract.graph.layers.recurrent.columns import STEP_OPS
from stage_extract.graph.machinery import SHAPE_OPS
from stage_extract.graph.traverse import behind

_REVERSE_OPS = frozenset(("ReverseSequence", "ReverseV2"))
_MAX_FORMS = 6


class Form(NamedTuple):
    """One tensor that holds a sequence.

    Attributes:
        tensor: its name.
        time_major: [T, N, features] instead of [N, T, features].
        turned: its steps run the other way than those of the loop.
    """

    tensor: str
    time_major: bool
    turned: bool


class Ends(NamedTuple):
    """The tensors before and behind the steps of one cell.

    Attributes:
        inputs: what is read, the nearest first; empty if it is no sequence of the graph.
        outputs: what is written, the nearest first; empty if nothing reads it as a sequence.
        loop: "static", "dynamic", "fused" or "step".
        lengths: the tensor with the length of each sequence, None if all steps count.
        masked: some steps do not count, and no lengths say which.
        missing: why there are no outputs.
    """

    inputs: Sequence[Form]
    outputs: Sequence[Form]
    loop: str
    lengths: Optional[str] = None
    masked: bool = False
    missing: Optional[str] = None


class Chosen(NamedTuple):
    """The input and the output that have the same axes and the same direction."""

    input: Optional[Form]
    output: Optional[Form]
    reason: Optional[str]


def forms_before(
    forward: Forward, tensor: str, time_major: bool = True, turned: bool = False
) -> List[Form]:
    """Give a sequence, and what it was before it was transposed or turned round."""
    form = Form(behind(forward.graph, tensor, STEP_OPS), time_major, turned)
    forms = [form]
    for _ in range(_MAX_FORMS):
        node = forward.graph.producer(form.tensor)
        step = None if node is None else _change(forward, node, form.time_major)
        if node is None or step is None:
            break
        source = behind(forward.graph, node.operand(0), STEP_OPS)
        form = Form(source, form.time_major != step[0], form.turned != step[1])
        # What was swapped twice has been another layer's output before.
        if form[1:] in [one[1:] for one in forms]:
            break
        forms.append(form)
    return forms


def forms_after(
    forward: Forward, tensor: str, time_major: bool = True, turned: bool = False
) -> List[Form]:
    """Give a sequence, and what becomes of it when it is only transposed or turned round."""
    form = Form(tensor, time_major, turned)
    forms = [form]
    for _ in range(_MAX_FORMS):
        uses = [use for use in forward.readers(form.tensor) if use.node.op not in SHAPE_OPS]
        if len(uses) != 1 or uses[0].operand != 0:
            break
        node = uses[0].node
        step = _change(forward, node, form.time_major)
        if step is None:
            break
        form = Form(f"{node.name}:0", form.time_major != step[0], form.turned != step[1])
        if form[1:] in [one[1:] for one in forms]:
            break
        forms.append(form)
    return forms


def last_steps(forward: Forward, form: Form) -> List[str]:
    """Give the slices of the last step of a sequence, if nothing reads anything else of it."""
    found = []
    for use in forward.readers(form.tensor):
        if use.node.op in SHAPE_OPS:
            continue
        if use.node.op != "StridedSlice" or not _is_last_step(forward, use.node, form.time_major):
            return []
        found.append(f"{use.node.name}:0")
    return found


def _is_last_step(forward: Forward, node: Node, time_major: bool) -> bool:
    """Tell x[-1], or x[:, -1] where the batch comes first, from other slices."""
    time = 0 if time_major else 1
    begin = forward.evaluator.vector(node.operand(1))
    if begin is None or len(begin) <= time or begin[time] != -1:
        return False
    if node.attribute("ellipsis_mask") or node.attribute("new_axis_mask"):
        return False
    others = ((1 << len(begin)) - 1) & ~(1 << time)
    masks = [int(node.attribute(f"{key}_mask") or 0) for key in ("begin", "end")]
    is_whole = all(mask & others == others for mask in masks)
    return is_whole and node.attribute("shrink_axis_mask") == 1 << time


def _change(forward: Forward, node: Node, time_major: bool) -> Optional[Tuple[bool, bool]]:
    """Tell whether a node swaps time and batch, or turns the time round; None if neither."""
    time = 0 if time_major else 1
    if node.op == "Transpose":
        axes = forward.evaluator.vector(node.operand(1))
        # The axes stand for the sequence before or after; swapping two is its own inverse.
        return (True, False) if axes == [1, 0, 2] else None
    if node.op == "ReverseV2":
        axes = forward.evaluator.vector(node.operand(1))
        return (False, True) if axes in ([time], [time - 3]) else None
    if node.op == "ReverseSequence":
        turned = (node.attribute("seq_dim"), node.attribute("batch_dim") or 0)
        return (False, True) if turned == (time, 1 - time) else None
    return None


def choose(ends: Ends) -> Chosen:
    """Choose the outermost input and output that agree, as one torch module maps them."""
    inputs, outputs = list(reversed(ends.inputs)), list(reversed(ends.outputs))
    if not outputs:
        return Chosen(inputs[0] if inputs else None, None, ends.missing)
    if not inputs:
        return Chosen(None, next((one for one in outputs if not one.turned), outputs[0]), None)
    for source in inputs:
        for result in outputs:
            if source[1:] == result[1:]:
                return Chosen(source, result, None)
    return Chosen(inputs[0], None, "its sequence of outputs has other axes than its input")
