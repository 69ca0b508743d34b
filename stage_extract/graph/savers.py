"""The Savers of a graph: under which names each of them writes and reads the graph's variables.

A Saver holds the names and slices as constants, once beside the ops that write a checkpoint and
once beside those that read one. A graph that was cut for inference may have lost the first.
"""

from __future__ import annotations

import re
from typing import AbstractSet, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from stage_extract.graph import attributes
from stage_extract.graph.graphdef import Graph, MetaGraph, Node, node_name, output_index
from stage_extract.graph.traverse import MAX_CHAIN, PASS_THROUGH, behind

VARIABLE_OPS = frozenset(
    ("AutoReloadVariable", "TemporaryVariable", "VarHandleOp", "Variable", "VariableV2")
)
READ_OPS = PASS_THROUGH | frozenset(("ReadVariableOp",))
PART_NAME = re.compile(r"^(?P<whole>.+)/part_(?P<part>\d+)$")

# op -> operands of (names, slices, first tensor)
_SAVE_OPS = {"SaveV2": (1, 2, 3), "SaveSlices": (1, 2, 3), "Save": (1, None, 2)}
# op -> operands of (names, slices)
_RESTORE_OPS = {"RestoreV2": (1, 2), "RestoreSlice": (1, 2), "Restore": (1, None)}
_ASSIGN_OPS = frozenset(("Assign", "AssignVariableOp"))
# What may lie between a restored value and its assignment.
_HANDING_ON = PASS_THROUGH | frozenset(("Cast", "ExpandDims", "Reshape", "Squeeze"))
# op -> operand that is cut
_SPLIT_OPS = {"Split": 1, "SplitV": 0}
_FILE_OPS = frozenset(("Const", "Placeholder", "PlaceholderWithDefault"))
# tf.train.Saver's own word for a file that it is told later.
_UNTOLD_FILE = "model"


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


class Saver(NamedTuple):
    """One Saver of a graph.

    Attributes:
        is_own: the graph was written with it.
        names: all names that it writes or reads, also of what is no variable.
        keys: variable node -> its names.
        slices: variable node -> the part of a whole that it is.
    """

    is_own: bool
    names: AbstractSet[str]
    keys: Mapping[str, Sequence[str]]
    slices: Mapping[str, Slice]


class _Entry(NamedTuple):
    """One name, the variable node behind it (None: another object), and which part that is."""

    name: str
    variable: Optional[str]
    part: Optional[Slice]


def find_savers(meta: MetaGraph, initializers: AbstractSet[str]) -> List[Saver]:
    """Give the Savers of a graph, first the one that the graph was written with.

    Args:
        initializers: names of the ops that initialise variables: tf.train.init_from_checkpoint
            makes them read another checkpoint, whose names say nothing of this one's.
    """
    graph = meta.graph
    own_file = _file_of(graph, meta.proto.saver_def.filename_tensor_name)
    written: Dict[str, List[_Entry]] = {}
    for node in graph:
        if node.op in _SAVE_OPS and node.inputs:
            entries = written.setdefault(_file_of(graph, node.inputs[0]), [])
            entries.extend(_saved(graph, node))
    read = _read_groups(graph, initializers)
    files = [*written, *(file for file in read if file not in written)]
    files = [one for one in files if one in written or not _is_foreign(graph, one, own_file, read)]
    files.sort(key=lambda file: file != own_file)
    return [
        _saver(file == own_file, [*written.get(file, ()), *read.get(file, ())]) for file in files
    ]


def _saver(is_own: bool, entries: Sequence[_Entry]) -> Saver:
    keys: Dict[str, List[str]] = {}
    slices: Dict[str, Slice] = {}
    for name, variable, part in entries:
        if variable is None:
            continue
        known = keys.setdefault(variable, [])
        if name not in known:
            known.append(name)
        if part is not None:
            slices.setdefault(variable, part)
    return Saver(is_own, frozenset(entry.name for entry in entries), keys, slices)


def _is_foreign(
    graph: Graph, file: str, own_file: str, read: Mapping[str, Sequence[_Entry]]
) -> bool:
    """Tell whether what reads a file is no Saver's: it has a path, or only initialises."""
    if file == own_file:
        return False
    if all(entry.variable is None for entry in read[file]):
        return True
    node = graph.get(file)
    return node is not None and node.op == "Const" and strings(graph, f"{file}:0") != [_UNTOLD_FILE]


def _file_of(graph: Graph, tensor: str) -> str:
    """Give the node that tells an op's file: the first that is told, perhaps a shard's, later."""
    name = node_name(tensor)
    for _ in range(MAX_CHAIN):
        node = graph.get(name)
        if node is None or node.op in _FILE_OPS or not node.inputs:
            break
        name = node_name(node.inputs[0])
    return name


def _saved(graph: Graph, node: Node) -> Iterator[_Entry]:
    names_operand, slices_operand, first = _SAVE_OPS[node.op]
    if len(node.inputs) <= first:
        return
    names = strings(graph, node.inputs[names_operand])
    tensors = node.inputs[first:]
    if len(names) != len(tensors):
        return
    specs = _specs(graph, node, slices_operand, len(names))
    for name, tensor, spec in zip(names, tensors, specs):
        yield _entry(graph, name, tensor, spec)


def _entry(graph: Graph, name: str, tensor: str, spec: str) -> _Entry:
    variable = graph.producer(behind(graph, tensor, READ_OPS))
    if variable is None or variable.op not in VARIABLE_OPS:
        return _Entry(name, None, None)
    offset = _slice_offset(spec)
    match = PART_NAME.match(variable.name)
    number = int(match["part"]) if match is not None else 0
    return _Entry(name, variable.name, None if offset is None else Slice(name, offset, number))


def _read_groups(graph: Graph, initializers: AbstractSet[str]) -> Dict[str, List[_Entry]]:
    """Give what is read from each file, first all of its names, then those of variables."""
    names: Dict[str, List[str]] = {}
    groups: Dict[str, List[_Entry]] = {}
    for node in graph:
        if node.op in _RESTORE_OPS and len(node.inputs) > 1:
            names[node.name] = strings(graph, node.inputs[_RESTORE_OPS[node.op][0]])
            entries = groups.setdefault(_file_of(graph, node.inputs[0]), [])
            entries.extend(_Entry(name, None, None) for name in names[node.name])
    for node in graph:
        if node.op not in _ASSIGN_OPS or len(node.inputs) < 2 or node.name in initializers:
            continue
        restore, output, split = _restored(graph, node.inputs[1])
        if restore is None or output >= len(names.get(restore.name, ())):
            continue
        name = names[restore.name][output]
        specs = _specs(graph, restore, _RESTORE_OPS[restore.op][1], len(names[restore.name]))
        entry = _entry(graph, name, node.inputs[0], specs[output])
        if split is not None and entry.variable is not None:
            entry = entry._replace(part=Slice(name, None, split))
        groups[_file_of(graph, restore.inputs[0])].append(entry)
    return groups


def _restored(graph: Graph, tensor: str) -> Tuple[Optional[Node], int, Optional[int]]:
    """Give the op that reads an assigned value, which of its outputs, and the part cut out."""
    split = None
    for _ in range(MAX_CHAIN):
        node = graph.producer(tensor)
        if node is None:
            break
        if node.op in _RESTORE_OPS:
            return node, output_index(tensor), split
        if node.op in _SPLIT_OPS and len(node.inputs) > 1:
            split = output_index(tensor)
            tensor = node.inputs[_SPLIT_OPS[node.op]]
        elif node.op in _HANDING_ON and node.inputs:
            tensor = node.inputs[0]
        else:
            break
    return None, 0, None


def strings(graph: Graph, tensor: str) -> List[str]:
    """Give the texts of a constant; none for anything else."""
    node = graph.get(node_name(tensor))
    if node is None or node.op != "Const":
        return []
    return [attributes.text(value) for value in node.proto.attr["value"].tensor.string_val]


def _specs(graph: Graph, node: Node, operand: Optional[int], count: int) -> List[str]:
    found = strings(graph, node.inputs[operand]) if operand is not None else []
    return found if len(found) == count else [""] * count


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
