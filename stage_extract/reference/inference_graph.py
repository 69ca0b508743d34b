"""The saved graph with the few nodes changed that its inference cannot run as they are."""

from __future__ import annotations

from typing import AbstractSet, Dict, Mapping, Tuple

import numpy
from tensorflow.core.framework import node_def_pb2
from tensorflow.python.framework import dtypes, tensor_util

from stage_extract.graph.graphdef import MetaGraph, Node
from stage_extract.graph.moving_statistics import in_inference
from stage_extract.reference.subgraph import PLACEHOLDER_OPS


def in_inference_graph(
    meta: MetaGraph, batch_norms: Mapping[str, Tuple[str, str]], needed: AbstractSet[str]
) -> MetaGraph:
    """Change batch norms in training mode, and placeholders that only dead branches read.

    A tf.cond wants the value of everything that either of its branches reads. A placeholder whose
    value goes nowhere in inference gets one element of zero for each axis of unknown size.

    Args:
        meta: the graph as it was saved.
        batch_norms: fused batch norm -> the moving mean and variance that it reads.
        needed: names of the nodes that inference needs.
    """
    changed: Dict[str, Node] = {}
    for node in meta.graph:
        if node.name in batch_norms:
            changed[node.name] = in_inference(node, batch_norms[node.name])
        elif node.op in PLACEHOLDER_OPS and node.name not in needed:
            changed[node.name] = _zero(node)
    return meta._replace(graph=meta.graph.with_nodes(changed))


def _zero(node: Node) -> Node:
    dtype = dtypes.as_dtype(node.attribute("dtype"))
    sizes = [1 if size is None or size < 0 else size for size in node.attribute("shape") or ()]
    # numpy's type for TensorFlow's strings is object, whose zero is the number 0.
    value = numpy.full(sizes, "" if dtype == dtypes.string else 0, dtype.as_numpy_dtype)
    proto = node_def_pb2.NodeDef(name=node.name, op="Const")
    proto.attr["dtype"].type = dtype.as_datatype_enum
    proto.attr["value"].tensor.CopyFrom(tensor_util.make_tensor_proto(value, dtype))
    return Node(node.name, "Const", (), (), proto)
