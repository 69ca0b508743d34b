"""Under which key of a checkpoint each variable node of a graph lies."""

from __future__ import annotations

from typing import AbstractSet, Dict, Mapping, NamedTuple, Optional, Sequence

from stage_extract.graph.graphdef import MetaGraph, Node
from stage_extract.graph.saved_names import SavedNames, find_saved_names
from stage_extract.graph.savers import VARIABLE_OPS
from stage_extract.graph.uniform import find_uniform
from stage_extract.reader import VariableInfo

# contrib's ElasticAverage, ModelAverage and AGN optimizers train a copy of each variable on each
# worker; what they save is the workers' mean, in this scope.
WORKERS_MEAN = "global_center_variable/"


class Naming(NamedTuple):
    """What joins a graph's variables to a checkpoint's keys.

    Attributes:
        saved: what the graph says of names.
        keys: variable node -> its `VariableInfo.name`; without those that the checkpoint lacks.
        warning: what had to be taken for granted, None if the graph itself tells the keys.
    """

    saved: SavedNames
    keys: Mapping[str, str]
    warning: Optional[str]


def find_naming(meta: MetaGraph, checkpoint: Sequence[VariableInfo]) -> Naming:
    """Find the keys: from the Saver that wrote the checkpoint, else by the variables' names.

    Args:
        checkpoint: everything that it holds, also what is not exported.
    """
    saved = find_saved_names(meta)
    stored = {info.stored_name: info.name for info in checkpoint}
    known = {**stored, **{info.name: info.name for info in checkpoint}}
    by_saver = saved.keys_of(stored.keys())
    taken = {known[name] for names in by_saver.values() for name in names if name in known}
    keys: Dict[str, str] = {}
    nodes = [node for node in meta.graph if node.op in VARIABLE_OPS]
    for node in nodes:
        own = (known[key] for key in by_saver.get(node.name, ()) if key in known)
        key = next(own, None) or _free_name(node, saved, known, taken)
        if key is not None:
            keys[node.name] = key
    uniform = find_uniform(nodes, saved, checkpoint, keys)
    if uniform is None:
        return Naming(saved, keys, None)
    return Naming(saved, uniform.keys, uniform.warning)


def _free_name(
    node: Node, saved: SavedNames, known: Mapping[str, str], taken: AbstractSet[str]
) -> Optional[str]:
    """Give the name that a variable most likely has, unless the Saver gave it another one."""
    shared = node.attribute("shared_name") if node.op == "VarHandleOp" else None
    part = saved.slices.get(node.name)
    candidates = [shared, node.name, *saved.names.get(node.name, ())]
    candidates.append(part.whole if part is not None else None)
    candidates.append(WORKERS_MEAN + node.name)
    names = (known[name] for name in candidates if name and name in known)
    free = (name for name in names if name not in taken)
    return next(free, None)
