"""Which nodes are no part of the model: gradients, optimizers, savers, summaries."""

from __future__ import annotations

import re
from typing import Callable, Set

from stage_extract.graph.graphdef import Graph, Node, Use

# tf.gradients names its scope so, with a number when it is called again.
_GRADIENT_SCOPE = re.compile(r"(^|/)gradients(_\d+)?/")
_GRADIENT_OP = re.compile(r"Grad(V\d+)?$|Backprop|GradGrad")
_UPDATE_OP = re.compile(
    r"^(Assign|Apply|ResourceApply|SparseApply|ResourceSparseApply|Scatter(Update|Add|Sub|Mul|Div|Nd)"
    r"|ResourceScatter|Save|MergeV2Checkpoints|Queue(Enqueue|Close)|LookupTableI|InitializeTable"
    r"|Stack(Push|Close)|DeleteSessionTensor|Barrier|Stage$|AccumulatorApply)"
)
_WATCH_OP = re.compile(r"Summary(V\d+)?$|^Write\w*Summary|^(Assert|Abort|NoOp|Restore|ShardedFile)")
# The value of these follows from a shape, not from the data.
SHAPE_OPS = frozenset(("OnesLike", "Rank", "Shape", "ShapeN", "Size", "ZerosLike"))

# Operands that say how large or where, not what.
_SHAPE_OPERANDS = {
    "BroadcastTo": (1,),
    "Conv2DBackpropInput": (0,),
    "Conv3DBackpropInputV2": (0,),
    "ExpandDims": (1,),
    "Fill": (0,),
    "Max": (1,),
    "Mean": (1,),
    "Min": (1,),
    "OneHot": (1, 2, 3),
    "Pad": (1,),
    "PadV2": (1,),
    "Prod": (1,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "ResizeBilinear": (1,),
    "ResizeNearestNeighbor": (1,),
    "Slice": (1, 2),
    "StridedSlice": (1, 2, 3),
    "Sum": (1,),
    "Tile": (1,),
    "Transpose": (1,),
}


def is_gradient(node: Node) -> bool:
    """Tell whether a node belongs to a backward pass."""
    if _GRADIENT_SCOPE.search(node.name):
        return True
    # A transposed convolution of the forward pass is a Conv2DBackpropInput as well.
    is_transposed = node.op.endswith(("BackpropInput", "BackpropInputV2"))
    return bool(_GRADIENT_OP.search(node.op)) and not is_transposed


def is_update(node: Node) -> bool:
    """Tell whether a node changes a state: a variable, a file, a queue."""
    return bool(_UPDATE_OP.search(node.op))


def is_watching(node: Node) -> bool:
    """Tell whether a node only reports or checks what others compute."""
    return bool(_WATCH_OP.search(node.op))


def find_machinery(graph: Graph) -> Set[str]:
    """Give the names of all gradient, update and watching nodes."""
    return {
        node.name for node in graph if is_gradient(node) or is_update(node) or is_watching(node)
    }


def carries_data(use: Use) -> bool:
    """Tell whether the reader's values depend on that operand, not only its sizes or places."""
    return use.node.op not in SHAPE_OPS and use.operand not in _SHAPE_OPERANDS.get(use.node.op, ())


def leading_only_to(
    graph: Graph,
    ends: Callable[[Node], bool],
    ignored: Callable[[Node], bool],
    barrier: Callable[[Node], bool] = lambda node: False,
) -> Set[str]:
    """Give the nodes from which every way forward leads to an end, the ends included.

    Args:
        ends: nodes at which a way ends.
        ignored: nodes that do not count, as readers or otherwise.
        barrier: nodes that have a meaning of their own, whatever they lead to.
    """
    found = {node.name for node in graph if ends(node)}
    pending = list(found)
    while pending:
        node = graph.get(pending.pop())
        if node is None:
            continue
        for tensor in node.inputs:
            producer = graph.producer(tensor)
            if producer is None or producer.name in found:
                continue
            if ignored(producer):
                continue
            readers = [use.node for use in graph.successors(producer.name)]
            if any(one.name not in found and not ignored(one) for one in readers):
                continue
            if not barrier(producer):
                found.add(producer.name)
                pending.append(producer.name)
    return found
