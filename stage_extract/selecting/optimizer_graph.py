"""What the graph itself says of the training's state: which variables the optimizers update with.

Names are a convention; an op that applies a gradient names its slots as inputs. The graph therefore
also finds the slots of an optimizer that the user renamed, and shows that a variable is trained.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Optional, Sequence

from stage_extract.graph.graphdef import GraphUnreadable
from stage_extract.graph.keys import find_naming
from stage_extract.messages import DecodeError, MetaGraphDef, NodeDef, VariableDef
from stage_extract.messages.tables import ENUMS
from stage_extract.reader import VariableInfo
from stage_extract.selecting.opaque_buffers import opaque_buffers
from stage_extract.selecting.plain_names import without_output
from stage_extract.selecting.updates import without_updates
from stage_extract.source import GraphFile

_APPLY_STARTS = ("Apply", "ResourceApply", "SparseApply", "ResourceSparseApply")
_VARIABLE_OPS = frozenset({"Variable", "VariableV2", "VarHandleOp", "AutoReloadVariable"})
_COUNTING_OPS = frozenset({"AssignAdd", "AssignAddVariableOp"})
_WHOLE_NUMBERS = frozenset(ENUMS["DataType"][name] for name in ("DT_INT32", "DT_INT64"))
_VARIABLE_COLLECTIONS = ("variables", "trainable_variables", "model_variables")


class OptimizerHints(NamedTuple):
    """What a graph says of the variables of a checkpoint; all names are the checkpoint's keys.

    Attributes:
        slots: slot -> the variable that it belongs to.
        slot_words: last parts of the slots' names ("my_optimizer"), without a number.
        trainable: the trained variables.
        step_counters: the graph's global steps, and whole numbers that an op counts up by one.
        still: variables that the graph never updates: they are no slots.
        opaque: buffer in an arrangement of cuDNN's own -> the tensors that it is restored from.
    """

    slots: Mapping[str, str]
    slot_words: FrozenSet[str]
    trainable: FrozenSet[str]
    step_counters: FrozenSet[str]
    opaque: Mapping[str, FrozenSet[str]] = MappingProxyType({})
    still: FrozenSet[str] = frozenset()

    def without_outputs(self) -> OptimizerHints:
        """Give the same of keys without their ":0"."""

        def plain(names: Iterable[str]) -> FrozenSet[str]:
            return frozenset(map(without_output, names))

        return OptimizerHints(
            slots={without_output(slot): without_output(of) for slot, of in self.slots.items()},
            slot_words=plain(self.slot_words),
            trainable=plain(self.trainable),
            step_counters=plain(self.step_counters),
            opaque={without_output(name): plain(parts) for name, parts in self.opaque.items()},
            still=plain(self.still),
        )


NO_HINTS = OptimizerHints(MappingProxyType({}), frozenset(), frozenset(), frozenset())


def _read_variable_definitions(graph: MetaGraphDef, collection: str) -> List[VariableDef]:
    if collection not in graph.collection_def:
        return []
    definitions = []
    for value in graph.collection_def[collection].bytes_list.value:
        definition = VariableDef()
        try:
            definition.ParseFromString(value)
        except DecodeError:
            # A user's own objects may lie in a collection of this name.
            continue
        definitions.append(definition)
    return definitions


def _key(definition: VariableDef) -> str:
    """Give the checkpoint's key: a part of a partitioned variable is stored under the whole."""
    return str(definition.save_slice_info_def.full_name) or _node(definition)


def _node(definition: VariableDef) -> str:
    return str(definition.variable_name).partition(":")[0]


def _keys_by_node(graph: MetaGraphDef) -> Dict[str, str]:
    return {
        _node(definition): _key(definition)
        for collection in _VARIABLE_COLLECTIONS
        for definition in _read_variable_definitions(graph, collection)
    }


def _collected(graph: MetaGraphDef, collection: str, keys: Mapping[str, str]) -> FrozenSet[str]:
    """Give the keys of a collection's variables."""
    definitions = _read_variable_definitions(graph, collection)
    return frozenset(keys.get(_node(one), _key(one)) for one in definitions)


def _initializers(graph: MetaGraphDef) -> FrozenSet[str]:
    definitions = _read_variable_definitions(graph, "variables")
    return frozenset(str(one.initializer_name).partition(":")[0] for one in definitions)


def strip_number(word: str) -> str:
    """Take off the number that makes a name unique ("Adam_1" -> "Adam")."""
    head, underscore, number = word.rpartition("_")
    return head if underscore and head and number.isdigit() else word


def optimizer_hints(
    file: Optional[GraphFile], variables: Sequence[VariableInfo] = ()
) -> OptimizerHints:
    """Read the hints from a graph.

    Args:
        variables: everything that the checkpoint holds, by whose keys the hints speak.

    Returns:
        No hints without a graph, or if it cannot be decoded (the description says that).

    Raises:
        NotReadable: the operating system refuses.
    """
    if file is None:
        return NO_HINTS
    try:
        meta = file.parse()
    except GraphUnreadable:
        return NO_HINTS
    graph = meta.proto
    keys = {**_keys_by_node(graph), **find_naming(meta, variables).keys}
    slots = _slots(graph, keys)
    return OptimizerHints(
        slots=MappingProxyType(slots),
        slot_words=frozenset(strip_number(slot.rpartition("/")[2]) for slot in slots),
        trainable=_collected(graph, "trainable_variables", keys),
        step_counters=_collected(graph, "global_step", keys) | _counters(graph, keys),
        opaque=MappingProxyType(opaque_buffers(graph, keys)),
        still=frozenset(
            keys.get(name, name) for name in without_updates(meta.graph, _initializers(graph))
        ),
    )


def _slots(graph: MetaGraphDef, keys: Mapping[str, str]) -> Dict[str, str]:
    """Find the variables that an op which applies a gradient takes besides the first one."""
    nodes = graph.graph_def.node
    applying = [node for node in nodes if node.op.startswith(_APPLY_STARTS)]
    if not applying:
        return {}
    variables = {node.name for node in nodes if node.op in _VARIABLE_OPS}
    slots = {}
    for node in applying:
        inputs = [name.partition(":")[0] for name in node.input]
        for name in inputs[1:]:
            if name in variables and name != inputs[0]:
                slots[keys.get(name, name)] = keys.get(inputs[0], inputs[0])
    return slots


def _counters(graph: MetaGraphDef, keys: Mapping[str, str]) -> FrozenSet[str]:
    """Find whole numbers that are counted up: a global step by any name, trainable or not."""
    nodes = {node.name: node for node in graph.graph_def.node}
    found = set()
    for node in graph.graph_def.node:
        if node.op in _COUNTING_OPS and len(node.input) > 1:
            variable, step = (nodes.get(name.partition(":")[0]) for name in node.input[:2])
            if variable is None or variable.op not in _VARIABLE_OPS or step is None:
                continue
            dtype = variable.attr["dtype"].type
            if dtype in _WHOLE_NUMBERS and step.op == "Const" and _is_one(step):
                found.add(keys.get(variable.name, variable.name))
    return frozenset(found)


def _is_one(constant: NodeDef) -> bool:
    value = constant.attr["value"].tensor
    content = (*value.int_val, *value.int64_val)
    packed = value.tensor_content
    return content == (1,) or (bool(packed) and int.from_bytes(packed, "little") == 1)
