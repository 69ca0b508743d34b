"""Under which name a graph saves each of its variables, and which part of a whole it is.

The op of the Saver that wrote the file says it best: it holds the names and slices as constants.
Then the ops of other Savers, the collections of variables, and names alone.
"""

from __future__ import annotations

import re
from typing import (
    AbstractSet,
    Any,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from google.protobuf.message import DecodeError
from tensorflow.core.framework import variable_pb2

from stage_extract.graph import attributes
from stage_extract.graph.graphdef import Graph, MetaGraph, Node, node_name
from stage_extract.graph.traverse import PASS_THROUGH, ancestors, behind

VARIABLE_OPS = frozenset(
    ("AutoReloadVariable", "TemporaryVariable", "VarHandleOp", "Variable", "VariableV2")
)
READ_OPS = PASS_THROUGH | frozenset(("ReadVariableOp",))

# op -> operands of (names, slices, first tensor)
_SAVE_OPS = {"SaveV2": (1, 2, 3), "SaveSlices": (1, 2, 3), "Save": (1, None, 2)}
_PART_NAME = re.compile(r"^(?P<whole>.+)/part_(?P<part>\d+)$")


class Slice(NamedTuple):
    """The part of a whole variable that one node holds.

    Attributes:
        whole: name of the whole variable.
        offset: where the part begins, for each axis; None if only the order of the parts is known.
        part: number of the part.
    """

    whole: str
    offset: Optional[Tuple[int, ...]]
    part: int


class SavedNames(NamedTuple):
    """What a graph says of the names of its variables.

    Attributes:
        names: variable node -> the names under which any Saver saves it.
        own_keys: the same of the one Saver that the graph was written with.
        own_names: all names that this Saver writes, also of what is no variable.
        slices: variable node -> the part that it is.
        trainable: variable node -> whether the optimizer trains it; empty without collections.
    """

    names: Dict[str, List[str]]
    own_keys: Dict[str, List[str]]
    own_names: Set[str]
    slices: Dict[str, Slice]
    trainable: Dict[str, bool]

    def keys_of(self, checkpoint: AbstractSet[str]) -> Mapping[str, Sequence[str]]:
        """Give the keys of the graph's own Saver if it can have written a checkpoint, else none.

        Then nothing else counts: a Saver may exchange the names of two variables.

        Args:
            checkpoint: names of the checkpoint's variables; this Saver writes all of them.
        """
        return self.own_keys if checkpoint <= self.own_names else {}


def find_saved_names(meta: MetaGraph) -> SavedNames:
    """Read the names from the Saver's ops, the collections and the node names of a graph."""
    saved = SavedNames({}, {}, set(), {}, {})
    own_file = node_name(meta.proto.saver_def.filename_tensor_name)
    nodes = [node for node in meta.graph if node.op in _SAVE_OPS]
    own = {node.name for node in nodes if own_file in ancestors(meta.graph, node.inputs[:1])}
    # The first to tell the slice of a variable is believed.
    for node in sorted(nodes, key=lambda node: node.name not in own):
        for name, variable, part in _read_save_op(meta.graph, node):
            if node.name in own:
                saved.own_names.add(name)
            if variable is None:
                continue
            _add(saved.names, variable.name, name)
            if node.name in own:
                _add(saved.own_keys, variable.name, name)
            if part is not None:
                saved.slices.setdefault(variable.name, part)
    _read_collections(meta, saved)
    for node in meta.graph:
        named = _PART_NAME.match(node.name) if node.op in VARIABLE_OPS else None
        if named is not None and node.name not in saved.slices:
            saved.slices[node.name] = Slice(named["whole"], None, int(named["part"]))
    return saved


def _read_save_op(
    graph: Graph, node: Node
) -> Iterator[Tuple[str, Optional[Node], Optional[Slice]]]:
    """Give each name of a Saver's op, the variable saved under it, and which part that is."""
    names_operand, slices_operand, first = _SAVE_OPS[node.op]
    if len(node.inputs) <= first:
        return
    names = _strings(graph, node.inputs[names_operand])
    tensors = node.inputs[first:]
    if len(names) != len(tensors):
        return
    slices = [""] * len(names)
    if slices_operand is not None:
        slices = _strings(graph, node.inputs[slices_operand])
    for name, tensor, spec in zip(names, tensors, slices):
        variable = graph.producer(behind(graph, tensor, READ_OPS))
        if variable is None or variable.op not in VARIABLE_OPS:
            yield name, None, None
            continue
        offset = _slice_offset(spec)
        match = _PART_NAME.match(variable.name)
        number = int(match["part"]) if match is not None else 0
        yield name, variable, None if offset is None else Slice(name, offset, number)


def _add(names: Dict[str, List[str]], node: str, name: str) -> None:
    known = names.setdefault(node, [])
    if name not in known:
        known.append(name)


def _strings(graph: Graph, tensor: str) -> List[str]:
    node = graph.get(node_name(tensor))
    if node is None or node.op != "Const":
        return []
    return [attributes.text(value) for value in node.proto.attr["value"].tensor.string_val]


def _slice_offset(spec: str) -> Optional[Tuple[int, ...]]:
    """Read the offsets of "full_shape slice", as in "10 4 5,5:-" (rows 5 to 9, all columns)."""
    extents = spec.split(" ")[-1].split(":") if spec else []
    offset = []
    for extent in extents:
        begin = extent.partition(",")[0]
        if begin != "-" and not begin.isdigit():
            return None
        offset.append(0 if begin == "-" else int(begin))
    return tuple(offset) or None


def _read_collections(meta: MetaGraph, saved: SavedNames) -> None:
    trainable = {name for name, _ in _variables_in(meta, "trainable_variables")}
    for name, definition in _variables_in(meta, "variables"):
        saved.trainable[name] = name in trainable
        if definition.HasField("save_slice_info_def") and name not in saved.slices:
            info = definition.save_slice_info_def
            part = _PART_NAME.match(name)
            number = int(part["part"]) if part is not None else 0
            saved.slices[name] = Slice(info.full_name, tuple(info.var_offset), number)


def _variables_in(meta: MetaGraph, collection: str) -> Iterator[Tuple[str, Any]]:
    """Give (node, VariableDef) of a collection; entries that are no VariableDef are left out."""
    if collection not in meta.proto.collection_def:
        return
    for content in meta.proto.collection_def[collection].bytes_list.value:
        definition = variable_pb2.VariableDef()
        try:
            definition.ParseFromString(content)
        except (DecodeError, RuntimeError):
            continue
        if definition.variable_name:
            yield node_name(definition.variable_name) or definition.variable_name, definition
