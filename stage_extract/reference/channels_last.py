"""Lets ops of layout NCHW run where TensorFlow has them in NHWC alone: on a CPU.

Each such op becomes a transposition, the same op in the other layout, and the transposition back,
under the op's own name. The values are the same: only their places change. The graph that is
described stays as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import numpy
import tensorflow
from tensorflow.core.framework import graph_pb2

from stage_extract.reference.subgraph import Subgraph

_SCOPE = "reference_layout"
# channels first -> channels last
_LAYOUTS = {b"NCHW": b"NHWC", b"NCDHW": b"NDHWC"}
_PER_AXIS_ATTRIBUTES = ("dilations", "ksize", "strides")
# Two numbers, before and behind, for each axis.
_PADDINGS_ATTRIBUTE = "explicit_paddings"


class _Operands(NamedTuple):
    """Which operands have the layout's axes.

    Attributes:
        tensors: those with these axes.
        vectors: those with one number for each.
    """

    tensors: Tuple[int, ...] = (0,)
    vectors: Tuple[int, ...] = ()


# BiasAdd is not among them: its kernel knows both layouts.
_OPS = {
    "AvgPool": _Operands(),
    "AvgPool3D": _Operands(),
    "Conv2D": _Operands(),
    "Conv2DBackpropInput": _Operands((2,), (0,)),
    "Conv3D": _Operands(),
    "Conv3DBackpropInputV2": _Operands((2,), (0,)),
    "DepthToSpace": _Operands(),
    "DepthwiseConv2dNative": _Operands(),
    "DepthwiseConv2dNativeBackpropInput": _Operands((2,), (0,)),
    "FusedBatchNorm": _Operands(),
    "FusedBatchNormV2": _Operands(),
    "FusedBatchNormV3": _Operands(),
    "MaxPool": _Operands(),
    "MaxPool3D": _Operands(),
    "MaxPoolV2": _Operands((0,), (1, 2)),
    "SpaceToDepth": _Operands(),
}
_LATER_OUTPUTS = {"FusedBatchNorm": 4, "FusedBatchNormV2": 4, "FusedBatchNormV3": 5}


def with_channels_last(subgraph: Subgraph) -> Subgraph:
    """Let every op that needs it run with its channels last."""
    changed = [node for node in subgraph.graph_def.node if _is_channels_first(node)]
    if not changed:
        return subgraph
    graph_def = graph_pb2.GraphDef()
    graph_def.CopyFrom(subgraph.graph_def)
    del graph_def.node[:]
    moved: Dict[str, str] = {}
    names = {node.name: f"{_SCOPE}/{place}" for place, node in enumerate(changed)}
    for node in subgraph.graph_def.node:
        if node.name not in names:
            graph_def.node.add().CopyFrom(node)
            continue
        graph_def.node.extend(_turned(node, names[node.name]))
        for output in range(1, _LATER_OUTPUTS.get(node.op, 1)):
            # The statistics of a batch norm have one axis.
            moved[f"{node.name}:{output}"] = f"{names[node.name]}:{output}"
    for node in graph_def.node:
        node.input[:] = [moved.get(tensor, tensor) for tensor in node.input]
    fetched = {name: moved.get(tensor, tensor) for name, tensor in subgraph.fetch_names.items()}
    return replace(
        subgraph,
        graph_def=graph_def,
        fetch_names=fetched,
        turned=tuple(node.name for node in changed),
    )


def _is_channels_first(node: Any) -> bool:
    return node.op in _OPS and node.attr["data_format"].s in _LAYOUTS


def _turned(node: Any, name: str) -> Iterator[Any]:
    """Give the nodes that stand for one; the op itself gets `name`."""
    axes = len(node.attr["data_format"].s)
    to_last = [0, *range(2, axes), 1]
    to_first = [0, axes - 1, *range(1, axes - 1)]
    operands = _OPS[node.op]
    last, first = f"{name}/to_last", f"{name}/to_first"
    # A constant belongs to a loop or to a branch by what it waits for alone.
    waits_for = f"^{node.input[operands.tensors[0]].partition(':')[0]}"
    yield _constant(last, to_last, waits_for)
    yield _constant(first, to_first, waits_for)
    turned = _copy(node, name)
    turned.attr["data_format"].s = _LAYOUTS[node.attr["data_format"].s]
    for place in operands.tensors:
        turned.input[place] = f"{name}/input_{place}"
        yield _transpose(turned.input[place], (node.input[place], last), node)
    for place in operands.vectors:
        turned.input[place] = f"{name}/input_{place}"
        yield _gather(turned.input[place], (node.input[place], last), node)
    for key in _PER_AXIS_ATTRIBUTES:
        _permute(turned, key, to_last, 1)
    _permute(turned, _PADDINGS_ATTRIBUTE, to_last, 2)
    yield turned
    yield _transpose(node.name, (name, first), node)


def _permute(node: Any, key: str, order: Sequence[int], width: int) -> None:
    """Give an attribute of `width` numbers an axis the order of other axes."""
    values: List[int] = list(node.attr[key].list.i) if key in node.attr else []
    if len(values) == width * len(order):
        groups = [values[width * axis : width * (axis + 1)] for axis in order]
        node.attr[key].list.i[:] = [value for group in groups for value in group]


def _copy(node: Any, name: str) -> Any:
    copy = type(node)()
    copy.CopyFrom(node)
    copy.name = name
    return copy


def _node(op: str, name: str, inputs: Sequence[str], **types: int) -> Any:
    node = graph_pb2.GraphDef().node.add(name=name, op=op, input=inputs)
    for key, number in types.items():
        node.attr[key].type = number
    return node


def _constant(name: str, values: Sequence[int], waits_for: str) -> Any:
    node = _node("Const", name, (waits_for,), dtype=tensorflow.int32.as_datatype_enum)
    tensor = tensorflow.make_tensor_proto(numpy.asarray(values, numpy.int32))
    node.attr["value"].tensor.CopyFrom(tensor)
    return node


def _transpose(name: str, inputs: Sequence[str], source: Any) -> Any:
    order_type = tensorflow.int32.as_datatype_enum
    return _node("Transpose", name, inputs, T=source.attr["T"].type, Tperm=order_type)


def _gather(name: str, inputs: Sequence[str], source: Any) -> Any:
    """Make a node that puts the sizes of a shape, or the numbers of a window, in another order."""
    order_type = tensorflow.int32.as_datatype_enum
    stated = source.attr["Tshape"].type if "Tshape" in source.attr else order_type
    return _node("Gather", name, inputs, Tparams=stated, Tindices=order_type)
