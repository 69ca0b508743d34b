"""Variables that the inference graph reads and the checkpoint lacks: a Saver may save only some."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.savers import READ_OPS, VARIABLE_OPS
from stage_extract.graph.variables import VariableTable

_SHOWN = 3


class Missing(NamedTuple):
    """One variable of the graph that has no value.

    Attributes:
        variable: its name in the graph.
        shape: as the graph states it, None if it does not.
        dtype: numpy's name.
        reason: in words.
    """

    variable: str
    shape: Any
    dtype: str
    reason: str

    def to_json(self) -> Dict[str, Any]:
        """Give the entry of graph.json's "missing"."""
        return dict(self._asdict())


def find_missing(nodes: Sequence[Node], table: VariableTable) -> List[Missing]:
    """Give the variables among some nodes that no key of the checkpoint fills, sorted by name."""
    found = []
    for node in nodes:
        if node.op in VARIABLE_OPS and table.name_of(node.name) is None:
            readers = [f"'{one.name}' ({one.op})" for one in _readers(node, table)]
            reader = readers[0] if readers else "nothing"
            why = f"the checkpoint holds no value of it; {reader} reads it"
            shape, dtype = node.attribute("shape"), str(node.attribute("dtype"))
            found.append(Missing(node.name, shape, dtype, why))
    return sorted(found, key=lambda one: one.variable)


def _readers(node: Node, table: VariableTable) -> List[Node]:
    """Give the nodes that read a variable, behind what hands it on."""
    found: List[Node] = []
    pending = [node.name]
    while pending and not found:
        uses = [use.node for name in pending for use in table.graph.successors(name)]
        found = [one for one in uses if one.op not in READ_OPS and not one.op.startswith("Assign")]
        pending = [one.name for one in uses if one.op in READ_OPS and one.name != node.name]
    return found


def missing_warnings(missing: Sequence[Missing], filled: int) -> Tuple[str, ...]:
    """Say how many are missing.

    Args:
        filled: how many variables of the inference graph have a value.
    """
    if not missing:
        return ()
    names = ", ".join(f"'{one.variable}'" for one in missing[:_SHOWN])
    more = ", …" if len(missing) > _SHOWN else ""
    return (
        f"{len(missing)} of the {len(missing) + filled} variables that the network reads are not "
        f"in the checkpoint: {names}{more}. The rest is exported; `missing` in graph.json lists "
        "them. --outputs may name a part of the network that does without, and --allow-missing "
        "leaves tensors of the torch model as initialised.",
    )
