"""Where the state of a cell comes from, and where it goes: around a loop, or to the next step."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

from stage_extract.graph.graphdef import Node, node_name
from stage_extract.graph.layers.layer import Forward
from stage_extract.graph.layers.recurrent.columns import STEP_OPS, Cuts, Part, resolve, whole_of
from stage_extract.graph.tiles import CONCATENATIONS
from stage_extract.graph.traverse import ENTER_OPS, EXIT_OPS, LOOP_BACK_OPS, MERGE_OPS, behind

SELECT_OPS = frozenset(("Select", "SelectV2"))
SWITCH_OPS = frozenset(("RefSwitch", "Switch"))
_ADD_OPS = frozenset(("Add", "AddV2"))
# Ops that arrange zeros anew, or make zeros of anything.
_ZERO_KEEPING_OPS = frozenset(("BroadcastTo", "ExpandDims", "Identity", "Reshape", "Tile"))
# A state passes a handful of choices between two steps.
_MAX_MET = 64


class LoopVariable(NamedTuple):
    """A value that a while loop hands from one turn to the next.

    Attributes:
        merge: the node at which it arrives.
        frame: the loop.
        initial: the tensor before the loop.
        following: the tensor that a turn sends to the next one.
        final: the tensor behind the loop, None if nothing reads it.
    """

    merge: str
    frame: str
    initial: str
    following: str
    final: Optional[str]


def loop_variable(forward: Forward, tensor: str) -> Optional[LoopVariable]:
    """Give the loop variable that a tensor inside a loop is; None if it is none."""
    merge = forward.graph.producer(behind(forward.graph, tensor, STEP_OPS))
    if merge is None or merge.op not in MERGE_OPS:
        return None
    enter, back = None, None
    for operand in merge.inputs:
        node = forward.graph.producer(operand)
        if node is not None and node.op in ENTER_OPS:
            enter = node
        elif node is not None and node.op in LOOP_BACK_OPS:
            back = node
    if enter is None or back is None:
        return None
    frame = str(enter.attribute("frame_name"))
    final = _final(forward, merge)
    return LoopVariable(merge.name, frame, enter.operand(0), back.operand(0), final)


def _final(forward: Forward, merge: Node) -> Optional[str]:
    for use in forward.graph.successors(merge.name):
        if use.node.op in SWITCH_OPS:
            for leaving in forward.graph.successors(use.node.name):
                if leaving.node.op in EXIT_OPS:
                    return f"{leaving.node.name}:0"
    return None


def is_counter(forward: Forward, tensor: str) -> bool:
    """Tell whether a tensor counts the turns of its loop: 0, 1, 2 …"""
    counter = loop_variable(forward, tensor)
    if counter is None or forward.evaluator.scalar(counter.initial) != 0:
        return False
    addition = forward.graph.producer(behind(forward.graph, counter.following, STEP_OPS))
    if addition is None or addition.op not in _ADD_OPS:
        return False
    operands = [behind(forward.graph, one, STEP_OPS) for one in addition.inputs]
    steps = [forward.evaluator.scalar(one) for one in addition.inputs]
    return f"{counter.merge}:0" in operands and 1 in steps


class Carried(NamedTuple):
    """A state inside a loop: a loop variable, or columns of one."""

    variable: LoopVariable
    cuts: Cuts


def carried(forward: Forward, tensor: str) -> Optional[Carried]:
    """Give the loop variable that a state is, or is cut from; None outside of loops."""
    cuts: Cuts = ()
    for _ in range(_MAX_MET):
        tensor = behind(forward.graph, tensor, STEP_OPS)
        found = loop_variable(forward, tensor)
        if found is not None:
            return Carried(found, cuts)
        whole = whole_of(forward, tensor)
        if whole is None:
            return None
        tensor, cuts = whole[0], (whole[1], *cuts)
    return None


class Met(NamedTuple):
    """What a state may be: the tensors, and the choices between a new state and an old one."""

    tensors: Set[str]
    choices: List[Node]


def possible_values(forward: Forward, tensor: str, cuts: Cuts = ()) -> Met:
    """Give the tensors that a tensor, or columns of it, may hand on."""
    met = Met(set(), [])
    pending: List[Tuple[str, Cuts]] = [(tensor, cuts)]
    seen: Set[Tuple[str, Cuts]] = set()
    while pending and len(seen) < _MAX_MET:
        current, cuts = pending.pop()
        current = behind(forward.graph, current, STEP_OPS)
        if (current, cuts) in seen:
            continue
        seen.add((current, cuts))
        if not cuts:
            met.tensors.add(current)
        node = forward.graph.producer(current)
        whole = whole_of(forward, current)
        if whole is not None:
            pending.append((whole[0], (whole[1], *cuts)))
        elif node is not None and node.op in SELECT_OPS:
            met.choices.append(node)
            pending.extend((operand, cuts) for operand in node.inputs[1:])
        elif node is not None and node.op in MERGE_OPS and loop_variable(forward, current) is None:
            pending.extend((operand, cuts) for operand in node.inputs)
        elif node is not None and node.op in CONCATENATIONS and cuts:
            pending.extend(_joined_part(forward, node, cuts))
    return met


def _joined_part(forward: Forward, node: Node, cuts: Cuts) -> List[Tuple[str, Cuts]]:
    """Give the operand of a concatenation along the last axis that a cut takes out again."""
    axis_first = node.op == "Concat"
    operands = node.inputs[1:] if axis_first else node.inputs[:-1]
    axis = forward.evaluator.scalar(node.operand(0 if axis_first else len(operands)))
    if axis not in (1, -1):
        return []
    first = cuts[0]
    if isinstance(first, Part) and first.parts == len(operands):
        return [(operands[first.place], cuts[1:])]
    shapes = [forward.shapes.of(operand) for operand in operands]
    widths = [shape[-1] if shape else None for shape in shapes]
    known = [width for width in widths if width is not None]
    wanted = resolve((first,), sum(known)) if len(known) == len(widths) else None
    ends = [sum(known[: index + 1]) for index in range(len(known))]
    for operand, width, end in zip(operands, known, ends):
        if wanted == (end - width, end):
            return [(operand, cuts[1:])]
    return []


def is_zero(forward: Forward, tensor: str) -> bool:
    """Tell whether a tensor is made of zeros, of whatever size."""
    for _ in range(_MAX_MET):
        whole = whole_of(forward, tensor)
        if whole is not None:
            tensor = whole[0]
            continue
        node = forward.graph.producer(tensor)
        if node is None:
            return False
        if node.op == "ZerosLike":
            return True
        if node.op == "Fill":
            return bool(forward.evaluator.scalar(node.operand(1)) == 0)
        if node.op == "Const":
            value = node.constant()
            return value is not None and value.dtype != object and not value.any()
        if node.op not in _ZERO_KEEPING_OPS | ENTER_OPS:
            return False
        tensor = node.operand(0)
    return False


def outside(forward: Forward, tensor: str, cuts: Cuts = ()) -> Optional[str]:
    """Give the tensor of a state before the first step; None if it is zero."""
    if is_zero(forward, tensor):
        return None
    if not cuts:
        return tensor
    met = sorted(possible_values(forward, tensor, cuts).tensors)
    if len(met) == 1:
        return None if is_zero(forward, met[0]) else met[0]
    return tensor


def states_json(states: Dict[str, Optional[str]]) -> Optional[Dict[str, Any]]:
    """Give the tensors of states as an attribute: null where there are none."""
    return dict(states) if any(states.values()) else None


def frame_of(forward: Forward, tensor: str) -> Optional[str]:
    """Give the loop of a state, None outside of loops."""
    found = carried(forward, tensor)
    return None if found is None else found.variable.frame


def in_graph(forward: Forward, tensor: str) -> bool:
    """Tell whether the inference graph has the node of a tensor."""
    return node_name(tensor) in forward.graph
