"""Which variables a graph reads and never updates.

A slot is updated at each step, so these are part of the model whatever their names, as
"gate/Momentum" in a graph that was made for inference.
"""

from __future__ import annotations

from typing import AbstractSet, FrozenSet, Set

from stage_extract.graph.graphdef import Graph, Node
from stage_extract.graph.savers import READ_OPS, VARIABLE_OPS
from stage_extract.graph.traverse import ancestors

_RESTORE_OPS = frozenset(("Restore", "RestoreSlice", "RestoreV2"))
_ASSIGN_OPS = frozenset(("Assign", "AssignVariableOp"))
_ASKING = ("Assign", "IsVariableInitialized", "Save", "VarIsInitializedOp")
# What reads a variable, or only asks about it.
_READING = (
    "Identity", "IsVariableInitialized", "ReadVariableOp", "RefIdentity", "RefSwitch",
    "ResourceGather", "Save", "Switch", "VarIsInitializedOp", "VariableShape",
)  # fmt: skip


def without_updates(graph: Graph, initializers: AbstractSet[str]) -> FrozenSet[str]:
    """Give the names of the variable nodes that are read, and hold their initial value for ever.

    Args:
        initializers: names of the ops that initialise variables.
    """
    return frozenset(
        node.name
        for node in graph
        if node.op in VARIABLE_OPS
        and _is_read(graph, node)
        and not _is_updated(graph, node, initializers)
    )


def _is_read(graph: Graph, variable: Node) -> bool:
    """Tell whether anything but a Saver or a check of its state reads a variable."""
    pending = [variable.name]
    seen: Set[str] = set()
    while pending:
        for use in graph.successors(pending.pop()):
            node = use.node
            if node.op in READ_OPS and node.name not in seen:
                seen.add(node.name)
                pending.append(node.name)
            elif node.op not in READ_OPS and not node.op.startswith(_ASKING):
                return True
    return False


def _is_updated(graph: Graph, variable: Node, initializers: AbstractSet[str]) -> bool:
    seen: Set[str] = set()
    pending = [variable.name]
    while pending:
        for use in graph.successors(pending.pop()):
            node = use.node
            if node.name in seen:
                continue
            seen.add(node.name)
            # A branch or a loop hands a variable on, by reference, to what may update it.
            if node.op in ("RefIdentity", "RefSwitch", "Enter", "RefEnter", "Switch"):
                pending.append(node.name)
            elif use.operand == 0 and node.op in _ASSIGN_OPS:
                if not _starts(graph, variable, node, initializers):
                    return True
            elif _may_update(variable, node):
                return True
    return False


def _starts(graph: Graph, variable: Node, node: Node, initializers: AbstractSet[str]) -> bool:
    """Tell an initial or restored value from an update."""
    if node.name in initializers or node.name == f"{variable.name}/Assign":
        return True
    above = (graph.get(name) for name in ancestors(graph, node.inputs[1:2]))
    return any(one is not None and one.op in _RESTORE_OPS for one in above)


def _may_update(variable: Node, node: Node) -> bool:
    if variable.op == "VarHandleOp":
        # Whatever else takes a handle, a function for one, may write through it.
        return not node.op.startswith(_READING)
    name = node.op[len("Sparse") :] if node.op.startswith("Sparse") else node.op
    return name.startswith(("Apply", "AssignAdd", "AssignSub", "Scatter", "CountUpTo"))
