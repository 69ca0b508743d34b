"""All recurrent layers of a forward pass."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward, Layer
from stage_extract.graph.layers.recurrent.block import FUSED_OPS, match_block
from stage_extract.graph.layers.recurrent.cudnn import CUDNN_OPS, CudnnLayer, match_cudnn
from stage_extract.graph.layers.recurrent.dynamic import (
    carried_state,
    is_in_loop,
    last_written,
    loop_ends,
)
from stage_extract.graph.layers.recurrent.gru import match_gru
from stage_extract.graph.layers.recurrent.lstm import match_lstm
from stage_extract.graph.layers.recurrent.sequences import (
    Ends,
    choose,
    forms_after,
    forms_before,
)
from stage_extract.graph.layers.recurrent.states import (
    carried,
    is_zero,
    outside,
    possible_values,
    states_json,
)
from stage_extract.graph.layers.recurrent.step import Step
from stage_extract.graph.layers.recurrent.unrolled import chain_ends, chains
from stage_extract.graph.machinery import SHAPE_OPS
from stage_extract.graph.traverse import ENTER_OPS

_ADD_OPS = frozenset(("Add", "AddV2"))
_States = Dict[str, Optional[str]]


class _Application(NamedTuple):
    """A cell applied to a sequence.

    Attributes:
        step: its first step.
        ends: the sequences around it.
        initial: state -> the tensor before the first step, None for zeros.
        final: state -> the tensor behind the last step, None if nothing reads it.
        group: cells of one group run through one loop, or through one list of steps.
        nodes: what it consists of.
    """

    step: Step
    ends: Ends
    initial: _States
    final: _States
    group: str
    nodes: Set[str]


class Found(NamedTuple):
    """A recurrent layer.

    Attributes:
        layer: it; its `nodes` are what it consists of.
        meets: the node where the forward pass meets it: a loop runs when all that enters is there.
    """

    layer: Layer
    meets: str


def find_recurrent(forward: Forward) -> List[Found]:
    """Give all recurrent layers, in the order in which the forward pass meets them."""
    found: List[_Application] = []
    unrolled: List[List[Step]] = []
    for node in forward.order:
        steps = _candidates(forward, node)
        looping = [step for step in steps if is_in_loop(forward, step)]
        if node.op in CUDNN_OPS:
            found.extend(_cudnn(forward, node, one) for one in match_cudnn(forward, node))
        elif node.op in FUSED_OPS:
            found.extend(_fused(forward, step) for step in steps)
        elif looping:
            found.append(_dynamic(forward, looping[0]))
        elif steps and not any(carried(forward, one) for one in steps[0].before.values()):
            unrolled.append(steps)
    chosen = _understood(forward, unrolled)
    found.extend(_static(forward, chain) for chain in chains(forward, chosen))
    kept = _without_probes(forward, found)
    return _in_order(forward, [(one, _layer(one, found)) for one in kept])


def _in_order(forward: Forward, layers: Sequence[Tuple[_Application, Layer]]) -> List[Found]:
    if not layers:
        return []
    place = {node.name: index for index, node in enumerate(forward.order)}
    entering = [node for node in forward.order if node.op in ENTER_OPS]
    last_entry = {str(node.attribute("frame_name")): node.name for node in entering}
    every = []
    for one, layer in layers:
        entry = last_entry.get(one.group, layer.op)
        every.append(Found(layer, max(layer.op, entry, key=place.__getitem__)))
    return sorted(every, key=lambda one: (place[one.meets], place[one.layer.op]))


def _candidates(forward: Forward, node: Node) -> List[Step]:
    if node.op in _ADD_OPS and len(node.inputs) == 2:
        return match_lstm(forward, node) or match_gru(forward, node)
    return match_block(forward, node)


def _understood(forward: Forward, nodes: Sequence[Sequence[Step]]) -> List[Step]:
    """Choose between the ways in which steps can be understood: by the state that they hand on."""
    every = [step for steps in nodes for step in steps]
    given = {step.after["h"] for step in every}
    met = {step.before["h"]: possible_values(forward, step.before["h"]).tensors for step in every}
    taken = {tensor for tensors in met.values() for tensor in tensors}

    def links(step: Step) -> int:
        return int(bool(met[step.before["h"]] & given)) + int(step.after["h"] in taken)

    votes: Dict[Tuple[Tuple[str, str], ...], int] = {}
    for step in every:
        key = tuple(sorted(step.variables.items()))
        votes[key] = votes.get(key, 0) + links(step)

    def rank(step: Step) -> Tuple[int, int, bool]:
        support = votes[tuple(sorted(step.variables.items()))]
        return support, links(step), is_zero(forward, step.before["h"])

    chosen = []
    for steps in nodes:
        ordered = sorted(steps, key=rank, reverse=True)
        # Nothing tells which of two kernels multiplies the state: it is not guessed.
        if len(ordered) == 1 or rank(ordered[0]) != rank(ordered[1]):
            chosen.append(ordered[0])
    return chosen


def _dynamic(forward: Forward, step: Step) -> _Application:
    initial: _States = {}
    final: _States = {}
    group = step.op
    for name in step.before:
        state = carried_state(forward, step, name)
        if state is not None:
            initial[name] = outside(forward, state.variable.initial, state.cuts)
            final[name] = None if state.cuts else state.variable.final
            group = state.variable.frame
    if final["h"] is None:
        final["h"] = last_written(forward, step)
    ends = loop_ends(forward, step)
    return _Application(step, ends, initial, final, group, set(step.nodes))


def _static(forward: Forward, chain: Sequence[Step]) -> _Application:
    first, last = chain[0], chain[-1]
    ends = chain_ends(forward, chain)
    initial = {name: outside(forward, tensor) for name, tensor in first.before.items()}
    # Behind the end of a sequence the last step gives another state than the cell computes.
    stopped = ends.lengths is not None or ends.masked
    final: _States = dict.fromkeys(last.after) if stopped else dict(last.after)
    nodes = {name for step in chain for name in step.nodes}
    return _Application(first, ends, initial, final, first.op, nodes)


def _fused(forward: Forward, step: Step) -> _Application:
    initial = {name: outside(forward, tensor) for name, tensor in step.before.items()}
    output = step.after["h"]
    outputs = forms_after(forward, output) if forward.readers(output) else []
    missing = None if outputs else "nothing reads its outputs as a sequence"
    inputs = [] if step.data is None else forms_before(forward, step.data)
    ends = Ends(inputs, outputs, "fused", missing=missing)
    final: _States = dict.fromkeys(step.after)
    return _Application(step, ends, initial, final, step.op, set(step.nodes))


def _cudnn(forward: Forward, node: Node, one: CudnnLayer) -> _Application:
    inputs = forms_before(forward, node.operand(0), turned=one.is_backward) if one.is_first else []
    output = f"{node.name}:0"
    is_read = one.has_output and bool(forward.readers(output))
    outputs = forms_after(forward, output) if is_read else []
    missing = None if outputs else "its op gives no tensor with its outputs alone"
    names = ("h", "c") if one.step.kind == "lstm" else ("h",)
    initial = {name: outside(forward, node.operand(1 + at)) for at, name in enumerate(names)}
    # Layers of one direction are one group: what the lowest reads, the highest gives.
    group = f"{node.name} backward" if one.is_backward else node.name
    ends = Ends(inputs, outputs, "fused", missing=missing)
    nodes = set(one.step.nodes)
    return _Application(one.step, ends, initial, dict.fromkeys(names), group, nodes)


def _without_probes(forward: Forward, found: List[_Application]) -> List[_Application]:
    """Leave out single steps that Keras makes to see the shape of what a loop will give.

    What they consist of goes to the loop: nothing else reads it.
    """
    looping = {_key(one): one for one in found if one.ends.loop == "dynamic"}
    probes: Set[str] = set()
    kept = []
    # Of a stack of cells the upper one reads what the lower one gives.
    for one in reversed(found):
        loop = looping.get(_key(one)) if one.ends.loop == "step" else None
        readers = [] if loop is None else forward.readers(one.step.after["h"])
        unread = all(use.node.op in SHAPE_OPS or use.node.name in probes for use in readers)
        if loop is not None and unread:
            loop.nodes.update(one.nodes)
            probes |= one.nodes
        else:
            kept.append(one)
    return kept[::-1]


def _key(one: _Application) -> Tuple[Tuple[str, str], ...]:
    return tuple(sorted(one.step.variables.items()))


def _layer(one: _Application, every: Sequence[_Application]) -> Layer:
    mine = [other.ends for other in every if other.group == one.group]
    inputs = one.ends.inputs or next((ends.inputs for ends in mine if ends.inputs), ())
    outputs = one.ends.outputs or next((ends.outputs for ends in mine if ends.outputs), ())
    chosen = choose(one.ends._replace(inputs=inputs, outputs=outputs))
    form = chosen.input or chosen.output
    source = chosen.input if one.ends.inputs else None
    result = chosen.output if one.ends.outputs else None
    step, is_single = one.step, one.ends.loop == "step"
    output = step.after["h"] if is_single else "" if result is None else result.tensor
    reason = None if output else one.ends.missing or chosen.reason
    if one.ends.masked:
        reason, output = "a mask leaves out some of its steps", ""
    return Layer(
        kind=step.kind,
        op=step.op,
        variables=step.variables,
        axes=step.axes,
        input=step.data if is_single else None if source is None else source.tensor,
        op_output=output,
        output=output,
        attributes={
            **step.attributes,
            "direction": "backward" if form is not None and form.turned else "forward",
            "time_major": None if form is None else form.time_major,
            "loop": one.ends.loop,
            "sequence_length": one.ends.lengths,
            "initial_state": states_json(one.initial),
            "final_state": states_json(one.final),
            "step_input": step.data,
            "step_output": step.after.get("h"),
        },
        nodes=frozenset(one.nodes),
        reason=reason,
    )
