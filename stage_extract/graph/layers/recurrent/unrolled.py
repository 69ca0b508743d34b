"""Cells whose steps stand one after the other: static_rnn, Keras with unroll, single steps."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from stage_extract.graph.graphdef import Node, output_index
from stage_extract.graph.layers.layer import Forward
from stage_extract.graph.layers.recurrent.columns import STEP_OPS
from stage_extract.graph.layers.recurrent.dynamic import lengths_of
from stage_extract.graph.layers.recurrent.sequences import Ends, forms_after, forms_before
from stage_extract.graph.layers.recurrent.states import SELECT_OPS, SWITCH_OPS, possible_values
from stage_extract.graph.layers.recurrent.step import Step
from stage_extract.graph.traverse import MERGE_OPS, behind


def chains(forward: Forward, steps: Sequence[Step]) -> List[List[Step]]:
    """Join steps of the same variables, each of which reads the state that the one before gives."""
    giving = {(step.after["h"], _key(step)): index for index, step in enumerate(steps)}
    found: List[List[Step]] = []
    chain_of: Dict[int, List[Step]] = {}
    for index, step in enumerate(steps):
        met = sorted(possible_values(forward, step.before["h"]).tensors)
        earlier = [giving.get((tensor, _key(step))) for tensor in met]
        chain = next((chain_of[one] for one in earlier if one in chain_of), None)
        # Two steps may go on from one state: only the first continues its chain.
        if chain is None or giving[(chain[-1].after["h"], _key(step))] not in earlier:
            chain = []
            found.append(chain)
        chain.append(step)
        chain_of[index] = chain
    return found


def _key(step: Step) -> Tuple[Tuple[str, str], ...]:
    return tuple(sorted(step.variables.items()))


def chain_ends(forward: Forward, chain: Sequence[Step]) -> Ends:
    """Give the sequences that steps read and write."""
    sources = [None if one.data is None else _source(forward, one.data) for one in chain]
    source = _joint(sources)
    if len(chain) == 1 and source is None:
        return Ends((), (), "step", missing="a single step has no sequence")
    inputs = [] if source is None else forms_before(forward, *source)
    stacked = _stacked(forward, [one.after["h"] for one in chain])
    outputs = [] if stacked is None else forms_after(forward, *stacked)
    choices = [
        choice for one in chain[1:] for choice in possible_values(forward, one.before["h"]).choices
    ]
    lengths = lengths_of(forward, choices)
    missing = None if outputs else "no one tensor holds its outputs of all steps"
    return Ends(inputs, outputs, "static", lengths, bool(choices) and lengths is None, missing)


class _Place(NamedTuple):
    """A step's place in a sequence.

    Attributes:
        tensor: the sequence.
        axis: of the time.
        place: along it.
        steps: how many it has, None if the graph does not say it.
    """

    tensor: str
    axis: int
    place: int
    steps: Optional[int]


def _joint(places: Sequence[Optional[_Place]]) -> Optional[Tuple[str, bool, bool]]:
    """Give (sequence, time major, turned) of places that are all its steps in their order."""
    known = [place for place in places if place is not None]
    if len(known) != len(places) or len({place[:2] for place in known}) != 1:
        return None
    first = known[0]
    indices = [place.place for place in known]
    straight = list(range(len(known)))
    if first.steps not in (None, len(known)) or indices not in (straight, straight[::-1]):
        return None
    return first.tensor, first.axis == 0, indices != straight


def _source(forward: Forward, tensor: str) -> Optional[_Place]:
    """Give the sequence of which a tensor is one step."""
    tensor = behind(forward.graph, tensor, STEP_OPS)
    node = forward.graph.producer(tensor)
    if node is None:
        return None
    if node.op == "Unpack":
        axis = int(node.attribute("axis") or 0)
        return _checked(_Place(node.operand(0), axis, output_index(tensor), node.attribute("num")))
    if node.op == "StridedSlice":
        return _sliced(forward, node)
    if node.op in ("Reshape", "Squeeze"):
        return _split(forward, node.operand(0), False)
    return _split(forward, tensor, True)


def _checked(place: _Place) -> Optional[_Place]:
    return place if place.axis in (0, 1) else None


def _sliced(forward: Forward, node: Node) -> Optional[_Place]:
    """Read x[:, t] and x[t] of a sequence with three axes."""
    shape = forward.shapes.of(node.operand(0))
    begin = forward.evaluator.vector(node.operand(1))
    mask = int(node.attribute("shrink_axis_mask") or 0)
    if shape is None or len(shape) != 3 or begin is None or mask not in (1, 2):
        return None
    axis = mask - 1
    if node.attribute("ellipsis_mask") or node.attribute("new_axis_mask"):
        return None
    open_begin, open_end = node.attribute("begin_mask") or 0, node.attribute("end_mask") or 0
    others = ((1 << len(begin)) - 1) & ~mask
    index = begin[axis] if axis < len(begin) else None
    if index is None or index < 0 or open_begin & open_end & others != others:
        return None
    return _Place(node.operand(0), axis, index, shape[axis])


def _split(forward: Forward, tensor: str, is_flat: bool) -> Optional[_Place]:
    """Read one of the parts of tf.split, of the sequence or of all its steps below each other."""
    node = forward.graph.producer(behind(forward.graph, tensor, STEP_OPS))
    if node is None or node.op != "Split":
        return None
    axis, count = forward.evaluator.scalar(node.operand(0)), node.attribute("num_split")
    whole = behind(forward.graph, node.operand(1), STEP_OPS)
    if is_flat:
        flat = forward.graph.producer(whole)
        if axis != 0 or flat is None or flat.op != "Reshape":
            return None
        whole = flat.operand(0)
    shape = forward.shapes.of(whole)
    if shape is None or len(shape) != 3 or axis not in (0, 1) or shape[axis] not in (None, count):
        return None
    return _Place(whole, axis, output_index(tensor), count)


def _stacked(forward: Forward, tensors: Sequence[str]) -> Optional[Tuple[str, bool, bool]]:
    """Give (sequence, time major, turned) of tf.stack over the results of all steps."""
    for node in _packs(forward, tensors[0]):
        axis = int(node.attribute("axis") or 0)
        if axis not in (0, 1) or len(node.inputs) != len(tensors):
            continue
        held = [possible_values(forward, operand).tensors for operand in node.inputs]
        for turned in (False, True):
            wanted = list(reversed(tensors)) if turned else list(tensors)
            if all(one in met for one, met in zip(wanted, held)):
                return f"{node.name}:0", axis == 0, turned
    return None


def _packs(forward: Forward, tensor: str) -> List[Node]:
    """Give the ops that stack a tensor, which may pass choices between it and zeros."""
    found: List[Node] = []
    pending: List[str] = [tensor]
    seen: Set[str] = set()
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        for use in forward.readers(current):
            if use.node.op == "Pack":
                found.append(use.node)
            elif use.node.op in SELECT_OPS | MERGE_OPS | SWITCH_OPS:
                pending.extend(f"{use.node.name}:{output}" for output in (0, 1))
    return found
