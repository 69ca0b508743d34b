"""Finds the op that makes two runs of one graph differ."""

from __future__ import annotations

from tensorflow.python.framework import op_def_registry

from stage_extract.graph.graphdef import Graph
from stage_extract.graph.savers import VARIABLE_OPS
from stage_extract.graph.traverse import forward_order

# Stateful for TensorFlow, but they give the same value as long as nobody writes to their variable.
_CONSTANT_STATE_OPS = VARIABLE_OPS | {"ReadVariableOp", "ResourceGather", "ResourceGatherNd"}
# Stateful because a loop fills them; what they give depends on their inputs alone.
_LOOP_STATE_PREFIXES = ("TensorArray", "Stack")
# Stateless for TensorFlow, but they draw: what lies beside an image, or where a window begins.
_DRAWING_OPS = frozenset(("ExtractGlimpse", "FractionalAvgPool", "FractionalMaxPool"))


def is_random(op: str) -> bool:
    """Tell whether an op type may give another value at each run."""
    if op in _CONSTANT_STATE_OPS or op.startswith(_LOOP_STATE_PREFIXES):
        return False
    if op in _DRAWING_OPS:
        return True
    definition = op_def_registry.get_registered_ops().get(op)
    return definition is not None and bool(definition.is_stateful)


def random_op_before(graph: Graph, tensor: str) -> str:
    """Say which op upstream of a tensor is the first, in forward order, to change between runs."""
    for node in forward_order(graph, [tensor]):
        if is_random(node.op):
            return f"the first random or stateful op before it is '{node.name}' (op {node.op})"
    return "no op before it is random, so one of TensorFlow's kernels is not repeatable"
