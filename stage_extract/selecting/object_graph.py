"""Object-based checkpoints: the graph of Python objects that tells what each key means.

Their keys are paths through objects ("model/layer-1/kernel/.ATTRIBUTES/VARIABLE_VALUE"); a text in
the checkpoint holds the objects (tensorflow/core/protobuf/trackable_object_graph.proto, written by
tensorflow/python/training/tracking/graph_view.py). It knows each variable's own name, which of
them are slots of optimizers, and the order in which objects were made parts of others.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from stage_extract.messages import DecodeError, TrackableObjectGraph
from stage_extract.reader import VariableInfo
from stage_extract.selecting.selection import OPTIMIZER_SLOT, STEP_COUNTER

OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
ATTRIBUTES = "/.ATTRIBUTES/"
_VALUE = "VARIABLE_VALUE"
_SLOTS = "/.OPTIMIZER_SLOT/"
# "." is written "..", and "/" in a name ".S".
_ESCAPED = re.compile(r"\.(.)")
# What Keras' optimizers keep besides slots (tensorflow/python/keras/optimizer_v2).
_SETTINGS = frozenset(
    (
        "iter", "learning_rate", "decay", "beta_1", "beta_2", "rho", "momentum", "epsilon",
        "initial_accumulator_value", "learning_rate_power", "l1_regularization_strength",
        "l2_regularization_strength", "beta1_power", "beta2_power",
    )
)  # fmt: skip
_STEPS = frozenset(("iter", "save_counter"))

TrainingState = Mapping[str, Optional[Tuple[str, str]]]


class ObjectGraphUnreadable(Exception):
    """The text is no object graph, or not this checkpoint's."""


class ObjectNames(NamedTuple):
    """What the objects say of a checkpoint.

    Attributes:
        names: key -> readable name, for every key; unique.
        order: readable names of variables, in the order of their layers.
        training_state: see `Source.training_state`.
    """

    names: Mapping[str, str]
    order: Tuple[str, ...]
    training_state: TrainingState


class _Attribute(NamedTuple):
    """One stored value of an object."""

    node: int
    key: str
    full_name: str


class _Objects:
    """An object graph whose numbers are checked, and the checkpoint's keys in it."""

    def __init__(self, content: bytes, keys: Set[str]) -> None:
        proto = TrackableObjectGraph()
        try:
            proto.ParseFromString(content)
        except (DecodeError, RuntimeError) as error:
            raise ObjectGraphUnreadable(f"its object graph cannot be decoded ({error})") from error
        self.nodes = proto.nodes
        self._check_numbers()
        self.attributes = {
            attribute.checkpoint_key: _Attribute(
                number, attribute.checkpoint_key, attribute.full_name
            )
            for number, node in enumerate(self.nodes)
            for attribute in node.attributes
            if attribute.checkpoint_key in keys
        }
        if not self.attributes:
            raise ObjectGraphUnreadable("its object graph names none of its tensors")
        # slot's node -> (variable's node, name of the slot)
        self.slots = {
            slot.slot_variable_node_id: (slot.original_variable_node_id, slot.slot_name)
            for node in self.nodes
            for slot in node.slot_variables
        }

    def _check_numbers(self) -> None:
        for node in self.nodes:
            numbers = [child.node_id for child in node.children]
            for slot in node.slot_variables:
                numbers += [slot.original_variable_node_id, slot.slot_variable_node_id]
            if any(not 0 <= number < len(self.nodes) for number in numbers):
                raise ObjectGraphUnreadable("its object graph refers to objects that it lacks")

    def settings(self) -> Dict[int, str]:
        """Give the nodes that belong to optimizers and are no slots, and their names there."""
        found = {}
        for node in self.nodes:
            children = {child.local_name: child.node_id for child in node.children}
            stored = {name: number for name, number in children.items() if self._stores(number)}
            # Not all optimizers have slots; then all that they keep is called as Keras calls it.
            if node.slot_variables or ("learning_rate" in stored and set(stored) <= _SETTINGS):
                found.update({number: name for name, number in stored.items()})
        return {number: name for number, name in found.items() if number not in self.slots}

    def _stores(self, number: int) -> bool:
        return bool(self.nodes[number].attributes)

    def counters(self) -> Set[int]:
        """Give the nodes that count the saves: tf.train.Checkpoint adds one to the root."""
        if not self.nodes:
            return set()
        return {one.node_id for one in self.nodes[0].children if one.local_name in _STEPS}

    def in_order(self) -> Iterator[int]:
        """Give the nodes from the root on, the parts of each in the order in which it got them."""
        pending = [0] if self.nodes else []
        seen: Set[int] = set()
        while pending:
            number = pending.pop()
            if number not in seen:
                seen.add(number)
                yield number
                pending += [child.node_id for child in reversed(self.nodes[number].children)]


def read_object_graph(content: bytes, variables: Sequence[VariableInfo]) -> ObjectNames:
    """Decode an object graph and apply it to the keys of its checkpoint.

    A variable is called by its own name where all of the model's have one and no two share one
    (optimizers' likewise, for themselves); else by its path, with TensorFlow's escapes undone.

    Args:
        content: the text under `OBJECT_GRAPH_KEY`.
        variables: everything in the checkpoint.

    Raises:
        ObjectGraphUnreadable: it is damaged, or another checkpoint's.
    """
    objects = _Objects(content, {info.name for info in variables})
    shapes = {info.name: info.shape for info in variables}
    state = _training_state(objects, shapes)
    names = _names(objects, [info.name for info in variables], state)
    order = _in_order(objects, names, state)
    return ObjectNames(names, order, {names[key]: found for key, found in state.items()})


def _training_state(
    objects: _Objects, shapes: Mapping[str, Tuple[int, ...]]
) -> Dict[str, Optional[Tuple[str, str]]]:
    """Tell of each key in the graph which state of the training it is; None for none."""
    settings, counters = objects.settings(), objects.counters()
    keys = {one.node: one.key for one in objects.attributes.values()}
    state: Dict[str, Optional[Tuple[str, str]]] = {}
    for key, (node, _, _) in objects.attributes.items():
        state[key] = None
        if node in objects.slots:
            owner, word = objects.slots[node]
            path = readable_path(keys[owner]) if owner in keys else "a variable that is not saved"
            state[key] = OPTIMIZER_SLOT, f"{word} slot of {path} (the object graph says so)"
        elif node in counters:
            state[key] = STEP_COUNTER, "counts the steps or saves of the training"
        elif node in settings and shapes[key] == ():
            category = STEP_COUNTER if settings[node] in _STEPS else OPTIMIZER_SLOT
            state[key] = category, "a setting or counter of the optimizer object"
    return state


def _names(
    objects: _Objects, keys: Sequence[str], state: Mapping[str, Optional[Tuple[str, str]]]
) -> Dict[str, str]:
    names = {key: readable_path(key) for key in keys}
    taken: Set[str] = {names[key] for key in keys if key not in objects.attributes}
    for is_state in (False, True):
        group = [key for key in state if (state[key] is not None) == is_state]
        values = [key for key in group if key.endswith(ATTRIBUTES + _VALUE)]
        full = [objects.attributes[key].full_name for key in values]
        if all(full) and len(set(full)) == len(full) and not taken & set(full):
            names.update(zip(values, full))
        taken.update(names[key] for key in group)
    # Two objects may have parts that are called alike, but for the escapes.
    twice = {name for name, count in Counter(names.values()).items() if count > 1}
    return {key: key if name in twice else name for key, name in names.items()}


def _in_order(
    objects: _Objects,
    names: Mapping[str, str],
    state: Mapping[str, Optional[Tuple[str, str]]],
) -> Tuple[str, ...]:
    by_node: Dict[int, List[str]] = {}
    for attribute in objects.attributes.values():
        if state[attribute.key] is None:
            by_node.setdefault(attribute.node, []).append(names[attribute.key])
    return tuple(name for number in objects.in_order() for name in by_node.get(number, ()))


def readable_path(key: str) -> str:
    """Give the path in a key, without TensorFlow's own words and escapes.

    "net/a..b/kernel/.ATTRIBUTES/VARIABLE_VALUE" is "net/a.b/kernel"; the slot
    "net/kernel/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE" is
    "net/kernel/optimizer/m"; of other attributes, as in ".ATTRIBUTES/OBJECT_CONFIG_JSON", the name
    stays.
    """
    path, found, attribute = key.rpartition(ATTRIBUTES)
    if not found or not path:
        return key
    plain = path.replace(_SLOTS, "/")
    readable = _ESCAPED.sub(lambda match: "/" if match[1] == "S" else match[1], plain)
    return readable if attribute == _VALUE else f"{readable}/{attribute}"
