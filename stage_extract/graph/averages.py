"""Moving averages of trained variables: which variable of a checkpoint is the average of which.

tf.train.ExponentialMovingAverage keeps a shadow of each variable. The op that updates a shadow
proves it; where a graph was cut for inference, or there is none, its name tells.
"""

from __future__ import annotations

import re
from typing import Callable, Dict, Iterator, Mapping, Optional, Sequence, Tuple

from stage_extract.graph.graphdef import Graph
from stage_extract.graph.savers import READ_OPS
from stage_extract.graph.traverse import behind
from stage_extract.graph.variables import VariableTable
from stage_extract.reader import VariableInfo
from stage_extract.selecting.plain_names import without_output

_UPDATES = frozenset(("AssignSub", "AssignSubVariableOp"))
_FLOATS = frozenset(("bfloat16", "float16", "float32", "float64"))
# TensorFlow's default name, and tensorpack's. tensorpack's batch norm has "mean/EMA" without a
# "mean": that is the moving statistic itself.
_SHADOW_NAME = re.compile(r"(?P<owner>.+)/(?:ExponentialMovingAverage|EMA)(?:_\d+)?")


def find_averages(graph: Graph, table: VariableTable) -> Dict[str, str]:
    """Give variable -> its moving average, both of the same shape and type.

    Args:
        graph: as it was saved, with the ops of its training.
        table: its variables as they are, none in the place of another.
    """
    found: Dict[str, str] = {}
    for owner, shadow in _by_updates(graph, table):
        if _alike(table.info[owner], table.info[shadow]):
            found.setdefault(owner, shadow)
    # The names of nodes: a Saver that swaps averages exchanges the keys.
    return _with_named(found, table.info, table.own_name)


def averages_by_name(variables: Sequence[VariableInfo]) -> Dict[str, str]:
    """Give variable -> its moving average, for a checkpoint without a graph."""
    return _with_named({}, {info.name: info for info in variables}, lambda key: key)


def _with_named(
    proven: Mapping[str, str],
    known: Mapping[str, VariableInfo],
    own_name: Callable[[str], Optional[str]],
) -> Dict[str, str]:
    found = dict(proven)
    keys = {without_output(own_name(key) or key): key for key in known}
    taken = {*found, *found.values()}
    for name in sorted(keys):
        match = _SHADOW_NAME.fullmatch(name)
        owner = _owner(match["owner"], keys) if match is not None else None
        shadow = keys[name]
        if owner is None or owner in taken or shadow in taken:
            continue
        if _alike(known[owner], known[shadow]):
            found[owner] = shadow
            taken |= {owner, shadow}
    return found


def _owner(name: str, keys: Mapping[str, str]) -> Optional[str]:
    """Give the key of a shadow's variable; the shadow may stand in a further scope."""
    parts = name.split("/")
    inner = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((keys[one] for one in inner if one in keys), None)


def _alike(one: VariableInfo, other: VariableInfo) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and one.dtype in _FLOATS


def _by_updates(graph: Graph, table: VariableTable) -> Iterator[Tuple[str, str]]:
    """Give (variable, shadow) of each ``shadow -= (shadow - variable) * (1 - decay)``."""
    for node in graph:
        if node.op not in _UPDATES or len(node.inputs) < 2:
            continue
        shadow = table.origin(node.inputs[0])
        product = graph.producer(behind(graph, node.inputs[1], READ_OPS))
        if shadow is None or product is None or product.op != "Mul":
            continue
        for factor in product.inputs:
            difference = graph.producer(factor)
            if difference is None or difference.op != "Sub" or len(difference.inputs) != 2:
                continue
            kept, owner = (table.origin(one) for one in difference.inputs)
            if kept is None or owner is None or kept.variable != shadow.variable:
                continue
            if owner.variable != kept.variable:
                yield owner.variable, kept.variable
