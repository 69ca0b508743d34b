"""Under which name a graph saves each of its variables, and which part of a whole it is.

The Saver that wrote the file says it best. Then other Savers, the collections of variables, and
names alone.
"""

from __future__ import annotations

from typing import AbstractSet, Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from stage_extract.graph.graphdef import MetaGraph, node_name, tensor_name
from stage_extract.graph.savers import PART_NAME, VARIABLE_OPS, Saver, Slice, find_savers
from stage_extract.messages import DecodeError, VariableDef

VARIABLE_COLLECTIONS = ("variables", "trainable_variables")


class SavedNames(NamedTuple):
    """What a graph says of the names of its variables.

    Attributes:
        names: variable node -> the names under which any Saver saves it.
        savers: all Savers, first the one that the graph was written with.
        slices: variable node -> the part that it is.
        trainable: variable node -> whether the optimizer trains it; empty without collections.
    """

    names: Dict[str, List[str]]
    savers: Sequence[Saver]
    slices: Dict[str, Slice]
    trainable: Dict[str, bool]

    def keys_of(self, checkpoint: AbstractSet[str]) -> Mapping[str, Sequence[str]]:
        """Give the keys of the Saver that can have written a checkpoint, none if that is not clear.

        Then nothing else counts: a Saver may exchange the names of two variables.

        Args:
            checkpoint: names of the checkpoint's variables; the Saver writes all of them.
        """
        able = [saver for saver in self.savers if checkpoint <= saver.names]
        if not able:
            return {}
        if able[0].is_own:
            return able[0].keys
        able = [saver for saver in able if checkpoint == saver.names] or able
        said = [_restricted(saver, checkpoint) for saver in able]
        return said[0] if all(one == said[0] for one in said) else {}


def _restricted(saver: Saver, names: AbstractSet[str]) -> Dict[str, Tuple[str, ...]]:
    found = {node: tuple(key for key in keys if key in names) for node, keys in saver.keys.items()}
    return {node: keys for node, keys in found.items() if keys}


def find_saved_names(meta: MetaGraph) -> SavedNames:
    """Read the names from the Saver's ops, the collections and the node names of a graph."""
    definitions = list(_variables_in(meta, "variables"))
    initializers = {tensor_name(one.initializer_name) for _, one in definitions}
    savers = find_savers(meta, {node_name(one) for one in initializers})
    saved = SavedNames({}, savers, {}, {})
    # The first to tell the slice of a variable is believed.
    for saver in savers:
        for node, names in saver.keys.items():
            known = saved.names.setdefault(node, [])
            known.extend(name for name in names if name not in known)
        for node, part in saver.slices.items():
            saved.slices.setdefault(node, part)
    _read_collections(meta, definitions, saved)
    for holder in meta.graph:
        named = PART_NAME.match(holder.name) if holder.op in VARIABLE_OPS else None
        if named is not None and holder.name not in saved.slices:
            saved.slices[holder.name] = Slice(named["whole"], None, int(named["part"]))
    return saved


def _read_collections(
    meta: MetaGraph, definitions: Sequence[Tuple[str, Any]], saved: SavedNames
) -> None:
    trainable = {name for name, _ in _variables_in(meta, "trainable_variables")}
    for name, definition in definitions:
        saved.trainable[name] = name in trainable
        if definition.HasField("save_slice_info_def") and name not in saved.slices:
            info = definition.save_slice_info_def
            part = PART_NAME.match(name)
            number = int(part["part"]) if part is not None else 0
            saved.slices[name] = Slice(info.full_name, tuple(info.var_offset), number)


def unreadable_variables(meta: MetaGraph, collection: str) -> int:
    """Give how many entries of a collection are no VariableDef."""
    if collection not in meta.proto.collection_def:
        return 0
    contents = meta.proto.collection_def[collection].bytes_list.value
    return sum(_definition(content) is None for content in contents)


def _variables_in(meta: MetaGraph, collection: str) -> Iterator[Tuple[str, Any]]:
    """Give (node, VariableDef) of a collection; entries that are no VariableDef are left out."""
    if collection not in meta.proto.collection_def:
        return
    for content in meta.proto.collection_def[collection].bytes_list.value:
        definition = _definition(content)
        if definition is not None and definition.variable_name:
            yield node_name(definition.variable_name) or definition.variable_name, definition


def _definition(content: bytes) -> Any:
    definition = VariableDef()
    try:
        definition.ParseFromString(content)
    except (DecodeError, RuntimeError):
        return None
    return definition
