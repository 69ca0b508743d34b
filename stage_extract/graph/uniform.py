"""Keys that differ from a graph's names in one way: another prefix, or ":0" behind all of them.

A Saver of another program wrote such a checkpoint, so that nothing in the graph tells. The one
difference is believed only if it leaves no variable over, with all sizes and types equal.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.saved_names import SavedNames
from stage_extract.reader import VariableInfo
from stage_extract.selecting.plain_names import OUTPUT

# Each costs a walk over all variables.
_MAX_CHANGES = 32


class Uniform(NamedTuple):
    """A difference that all names have.

    Attributes:
        keys: variable node -> its key.
        warning: the difference, for the user.
    """

    keys: Mapping[str, str]
    warning: str


class _Change(NamedTuple):
    """What is taken off a graph's name and put before and behind it to give the key."""

    removed: str
    added: str
    behind: str

    def key(self, name: str) -> Optional[str]:
        if not name.startswith(self.removed):
            return None
        return self.added + name[len(self.removed) :] + self.behind

    def words(self) -> str:
        parts = []
        if self.removed:
            parts.append(f"lack {self.removed!r} at the front")
        if self.added:
            parts.append(f"have {self.added!r} in front")
        if self.behind:
            parts.append(f"have {self.behind!r} behind")
        return " and ".join(parts)


def find_uniform(
    nodes: Sequence[Node],
    saved: SavedNames,
    checkpoint: Sequence[VariableInfo],
    found: Mapping[str, str],
) -> Optional[Uniform]:
    """Find the one difference between a graph's names and a checkpoint's keys.

    Args:
        nodes: the graph's variables.
        found: variable node -> key, as far as the graph tells them.

    Returns:
        None if there is none, if two would do, or if the graph tells the key of any variable that
        is larger than a counter.
    """
    by_key = {info.name: info for info in checkpoint}
    if any(by_key[key].shape for key in found.values()):
        return None
    names = {node.name: _name(node, saved) for node in nodes if node.name not in found}
    left = [info.name for info in checkpoint if info.shape and info.dtype != "string"]
    if not left or not names:
        return None
    fitting: List[Tuple[_Change, Dict[str, str]]] = []
    for change in _changes(left, sorted(set(names.values()))):
        keys = _applied(change, nodes, names, by_key)
        unfilled = [node for node in nodes if node.name in names.keys() - keys and _is_sized(node)]
        if keys and (not unfilled or set(left) <= set(keys.values())):
            fitting.append((change, keys))
    if not fitting or any(keys != fitting[0][1] for _, keys in fitting):
        return None
    change, keys = fitting[0]
    return Uniform(
        {**found, **keys},
        f"The checkpoint's keys are not the graph's names: they {change.words()}. All "
        f"{len(keys)} variables fit so, with their shapes and types.",
    )


def _is_sized(node: Node) -> bool:
    """Tell a variable from a counter, which programs keep outside of their scopes."""
    return bool(node.attribute("shape") != [])


def _changes(keys: Sequence[str], names: Sequence[str]) -> List[_Change]:
    """Give the differences that the longest key or the longest name may show."""
    behind = OUTPUT if all(key.endswith(OUTPUT) for key in keys) else ""
    bare = [key[: len(key) - len(behind)] for key in keys]
    longest_key, longest_name = max(bare, key=len), max(names, key=len)
    pairs = [(name, longest_key) for name in names] + [(longest_name, key) for key in bare]
    changes: Dict[_Change, None] = {}
    for name, key in pairs:
        if len(changes) == _MAX_CHANGES:
            break
        front = _front(name, key)
        if front is not None and (behind or front != ("", "")):
            changes[_Change(*front, behind)] = None
    return list(changes)


def _front(name: str, key: str) -> Optional[Tuple[str, str]]:
    """Give what a name has in front that a key lacks, and the other way round."""
    if name == key:
        return "", ""
    if key.endswith("/" + name):
        return "", key[: -len(name)]
    if name.endswith("/" + key):
        return name[: -len(key)], ""
    name_scope, _, name_rest = name.partition("/")
    key_scope, _, key_rest = key.partition("/")
    return (name_scope + "/", key_scope + "/") if name_rest and name_rest == key_rest else None


def _name(node: Node, saved: SavedNames) -> str:
    part = saved.slices.get(node.name)
    return part.whole if part is not None else node.name


def _applied(
    change: _Change,
    nodes: Sequence[Node],
    names: Mapping[str, str],
    by_key: Mapping[str, VariableInfo],
) -> Dict[str, str]:
    keys = {}
    for node in nodes:
        key = change.key(names[node.name]) if node.name in names else None
        if key is None or key not in by_key:
            continue
        if _fits(node, names[node.name] != node.name, by_key[key]):
            keys[node.name] = key
    return keys


def _fits(node: Node, is_part: bool, info: VariableInfo) -> bool:
    shape: Optional[Tuple[int, ...]] = node.attribute("shape")
    if node.attribute("dtype") != info.dtype or shape is None:
        return False
    if is_part:
        return len(shape) == len(info.shape)
    return tuple(shape) == info.shape
