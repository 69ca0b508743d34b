"""The static shapes of a graph that was saved without them, by TensorFlow's own inference.

A Saver writes them beside each node; who freezes a graph mostly does not. A layer's flatten, for
one, cannot be described without.
"""

from __future__ import annotations

import tensorflow
from tensorflow.core.framework.graph_pb2 import GraphDef

from stage_extract.graph.graphdef import MetaGraph, to_meta_graph
from stage_extract.reference.operators import register_ops
from stage_extract.reference.result import ReferenceUnavailable
from stage_extract.source import GraphFile

_SHAPES = "_output_shapes"


class ShapedGraph(GraphFile):
    """A graph with the static shapes of its tensors.

    Args:
        plain: the graph as it was saved.
    """

    def __init__(self, plain: GraphFile) -> None:
        self.kind = plain.kind
        self.words = plain.words
        self._plain = plain

    def parse(self) -> MetaGraph:
        """Read the graph (see `GraphFile.parse`)."""
        return with_shapes(self._plain.parse())


def with_shapes(meta: MetaGraph) -> MetaGraph:
    """Add the static shapes to a graph that has none.

    Returns:
        The same graph if it has some, or if TensorFlow cannot import it: shapes are a help.
    """
    if any(node.has_shapes() for node in meta.graph):
        return meta
    graph_def = GraphDef()
    graph_def.CopyFrom(meta.proto.graph_def)
    for node in graph_def.node:
        node.device = ""
        if "_class" in node.attr:
            del node.attr["_class"]
    graph = tensorflow.Graph()
    try:
        register_ops(graph_def)
        with graph.as_default():
            stated_ops = meta.proto.meta_info_def.stripped_op_list
            tensorflow.import_graph_def(
                graph_def, name="", producer_op_list=stated_ops if stated_ops.op else None
            )
    except (ReferenceUnavailable, ValueError, TypeError, tensorflow.errors.OpError):
        return meta
    for node in meta.proto.graph_def.node:
        for output in graph.get_operation_by_name(node.name).outputs:
            node.attr[_SHAPES].list.shape.add().CopyFrom(output.shape.as_proto())
    return to_meta_graph(meta.proto)
