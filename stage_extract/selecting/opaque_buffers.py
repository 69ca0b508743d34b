"""Buffers of cuDNN's recurrent layers, which the checkpoint holds beside what they are made from.

Their arrangement is the business of one version of cuDNN on one kind of device; restoring makes
them again from TensorFlow's kernels and biases (tensorflow/contrib/cudnn_rnn/python/ops/
cudnn_rnn_ops.py, CudnnOpaqueParamsSaveable).
"""

from __future__ import annotations

from typing import Dict, FrozenSet, Mapping, Optional, Set

from stage_extract.messages import MetaGraphDef, NodeDef

_MAKING_OPS = frozenset(("CudnnRNNCanonicalToParams", "CudnnRNNCanonicalToParamsV2"))
_ASSIGN_OPS = frozenset(("Assign", "AssignVariableOp"))
# num_layers, num_units and input_size come before the parameters.
_SIZES = 3


def opaque_buffers(graph: MetaGraphDef, keys: Mapping[str, str]) -> Dict[str, FrozenSet[str]]:
    """Give each buffer that is restored from other tensors, and the names of those.

    Args:
        keys: node of a variable -> its name in the checkpoint, where they differ.
    """
    if not any(node.op in _MAKING_OPS for node in graph.graph_def.node):
        return {}
    nodes = {node.name: node for node in graph.graph_def.node}
    found = {}
    for node in graph.graph_def.node:
        is_assigning = node.op in _ASSIGN_OPS and len(node.input) > 1
        making = nodes.get(_source(node.input[1])) if is_assigning else None
        if making is not None and making.op in _MAKING_OPS:
            names = {_restored_name(nodes, tensor) for tensor in making.input[_SIZES:]}
            known = frozenset(name for name in names if name is not None)
            # Where a parameter is drawn at random, this is how the buffer starts.
            if known == names:
                variable = _source(node.input[0])
                found[keys.get(variable, variable)] = known
    return found


def _restored_name(nodes: Mapping[str, NodeDef], tensor: str) -> Optional[str]:
    """Give the name under which the values of a tensor are restored; None if they are not."""
    seen: Set[str] = set()
    while tensor not in seen:
        seen.add(tensor)
        node = nodes.get(_source(tensor))
        if node is None or not node.input:
            return None
        if node.op == "RestoreV2":
            names = nodes.get(_source(node.input[1]))
            values = names.attr["value"].tensor.string_val if names is not None else ()
            place = int(tensor.partition(":")[2] or 0)
            return values[place].decode("utf-8") if place < len(values) else None
        # Split has the axis first.
        tensor = node.input[1 if node.op == "Split" and len(node.input) > 1 else 0]
    return None


def _source(tensor: str) -> str:
    return tensor.partition(":")[0]
