"""The constants of a frozen graph that were variables before it was frozen.

What an op does with a constant tells it: the filter of a convolution, the table of a look-up, what
is multiplied with the data or added to it. Freezing leaves the variable's read op behind, as an
Identity, unless the graph was optimised afterwards; where such ops are left, what the arithmetic
reads without one is a constant that the author wrote.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional, Set, Tuple

import numpy

from stage_extract.graph.attributes import Shape, shape_value
from stage_extract.graph.graphdef import Graph, Node, Use
from stage_extract.graph.traverse import PASS_THROUGH

# Op -> the operands at which it reads nothing but weights, if they do not depend on the data.
_WEIGHT_OPERANDS: Mapping[str, Tuple[int, ...]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("Conv2D", "Conv3D", "DepthwiseConv2dNative", "Dilation2D", "BiasAdd", "BiasAddV1"),
            (1,),
        ),
        **dict.fromkeys(
            ("Conv2DBackpropInput", "Conv3DBackpropInput", "Conv3DBackpropInputV2"), (1,)
        ),
        "DepthwiseConv2dNativeBackpropInput": (1,),
        "FusedPadConv2D": (2,),
        "FusedResizeAndPadConv2D": (3,),
        **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2", "SparseMatMul"), (0, 1)),
        "SparseTensorDenseMatMul": (3,),
        **dict.fromkeys(("Gather", "GatherV2", "GatherNd"), (0,)),
        **dict.fromkeys(
            ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3",
             "BatchNormWithGlobalNormalization"),
            (1, 2, 3, 4),
        ),
        "LSTMBlockCell": (3, 4, 5, 6, 7),
        "BlockLSTM": (4, 5, 6, 7, 8),
        "GRUBlockCell": (2, 3, 4, 5),
        "CudnnRNN": (3,),
    }
)  # fmt: skip
_FUSED_BATCH_NORMS = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"))
# Operand of a fused batch norm -> what TensorFlow writes there where the layer has no variable.
_ABSENT_PARAMETERS = MappingProxyType({1: 1.0, 2: 0.0})
_ARITHMETIC_OPS = frozenset(
    ("Add", "AddN", "AddV2", "Div", "Maximum", "Minimum", "Mul", "Pow", "RealDiv",
     "SquaredDifference", "Sub")
)  # fmt: skip
# Ops of one value for one operand, that neither draw, nor read anything from outside.
_STATIC_OPS = (
    PASS_THROUGH
    | _ARITHMETIC_OPS
    | frozenset(
        ("Abs", "Cast", "Concat", "ConcatV2", "Dequantize", "Exp", "ExpandDims",
         "FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel",
         "Fill", "L2Loss", "Log", "Max", "Mean", "Min", "Neg", "Pack", "Pad", "Prod", "Reciprocal",
         "Reshape", "Reverse", "ReverseV2", "Rsqrt", "Sigmoid", "Sign", "Slice", "Softmax",
         "Softplus", "Split", "SplitV", "Sqrt", "Square", "Squeeze", "StridedSlice", "Sum", "Tanh",
         "Tile", "Transpose", "Unpack")
    )
)  # fmt: skip
# A placeholder's default is a setting, whatever it comes from.
_NO_READERS = frozenset(("Assert", "PlaceholderWithDefault"))
# What freezing makes of a variable's read op.
_READ_OP = "Identity"
_FLOATS = frozenset(("bfloat16", "float16", "float32", "float64"))
_WHOLE_NUMBERS = frozenset(("int8", "uint8", "int16", "uint16", "int32"))
_QUANTISED = frozenset(("qint8", "quint8", "qint16", "quint16", "qint32"))


class Weights(NamedTuple):
    """What a frozen graph has for variables.

    Attributes:
        names: the Const nodes, in the order of the file.
        quantised: those of them that hold numbers of a quantised type: nothing reads them.
    """

    names: List[str]
    quantised: List[str]


def constant_shape(node: Node) -> Shape:
    """Give the shape of a Const node of any size, None if it does not say it."""
    if node.op != "Const" or "value" not in node.proto.attr:
        return None
    return shape_value(node.proto.attr["value"].tensor.tensor_shape)


def find_weights(graph: Graph) -> Weights:
    """Find the constants that were variables.

    Every one becomes a variable that an op of `_WEIGHT_OPERANDS` reads at that operand, directly or
    through arithmetic of constants alone. Of all other ops, those do that are read through an
    Identity; and, where no weight of the graph is, those that arithmetic joins with data, and that
    are no scalars.
    """
    finder = _Finder(graph)
    found = finder.find()
    names = [node.name for node in graph if node.name in found]
    quantised = {name for name in names if _dtype(graph.get(name)) in _QUANTISED}
    return Weights(
        [name for name in names if name not in quantised],
        [name for name in names if name in quantised],
    )


class _Finder:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._static = _static_nodes(graph)

    def find(self) -> Set[str]:
        strong: Set[str] = set()
        read: Set[str] = set()
        bare: Set[str] = set()
        for node in self._graph:
            if node.name in self._static or node.op in _NO_READERS:
                continue
            places = _WEIGHT_OPERANDS.get(node.op, ())
            for operand, tensor in enumerate(node.inputs):
                leaves = self._leaves(tensor)
                if operand in places:
                    strong.update(self._weights_at(node, operand, leaves))
                read.update(name for name, reader in leaves.items() if reader == _READ_OP)
                if node.op in _ARITHMETIC_OPS:
                    bare.update(leaves)
        read = {name for name in read if _is_float(self._graph.get(name))}
        if not read:
            read = {name for name in bare if _is_tensor_of_floats(self._graph.get(name))}
        return strong | read

    def _weights_at(self, node: Node, operand: int, leaves: Mapping[str, str]) -> Iterable[str]:
        for name, reader in leaves.items():
            constant = self._graph.get(name)
            if constant is None or not _may_be_weight(constant, reader):
                continue
            alone = len(leaves) == 1 and reader != _READ_OP
            if node.op in _FUSED_BATCH_NORMS and alone and _is_absent(constant, operand):
                continue
            yield name

    def _leaves(self, tensor: str) -> Dict[str, str]:
        """Give the constants that a static tensor is computed from, and the op that reads each."""
        found: Dict[str, str] = {}
        seen: Set[str] = set()
        pending: List[Tuple[str, Optional[Node]]] = [(tensor, None)]
        while pending:
            current, reader = pending.pop()
            producer = self._graph.producer(current)
            if producer is None or producer.name not in self._static:
                continue
            if producer.op == "Const":
                if found.get(producer.name) != _READ_OP:
                    found[producer.name] = "" if reader is None else reader.op
            elif producer.name not in seen:
                seen.add(producer.name)
                operands = producer.inputs[:1] if producer.op in PASS_THROUGH else producer.inputs
                pending.extend((one, producer) for one in operands)
        return found


def _static_nodes(graph: Graph) -> Set[str]:
    """Give the nodes whose values follow from constants alone, without an op that reads weights."""
    static = {node.name for node in graph if node.op == "Const"}
    pending = list(static)
    while pending:
        for use in graph.successors(pending.pop()):
            if use.node.name not in static and _is_static(graph, use, static):
                static.add(use.node.name)
                pending.append(use.node.name)
    return static


def _is_static(graph: Graph, use: Use, static: Set[str]) -> bool:
    node = use.node
    if node.op not in _STATIC_OPS:
        return False
    if node.op in PASS_THROUGH:
        return use.operand == 0
    producers = map(graph.producer, node.inputs)
    return all(producer is not None and producer.name in static for producer in producers)


def _dtype(node: Optional[Node]) -> Optional[str]:
    dtype = node.attribute("dtype") if node is not None else None
    return dtype if isinstance(dtype, str) else None


def _is_float(node: Optional[Node]) -> bool:
    return _dtype(node) in _FLOATS


def _is_tensor(node: Node) -> bool:
    """Tell numbers along axes, at least one of them, from a scalar."""
    shape = constant_shape(node)
    return shape is not None and len(shape) > 0 and 0 not in shape


def _is_tensor_of_floats(node: Optional[Node]) -> bool:
    return node is not None and _is_float(node) and _is_tensor(node)


def _may_be_weight(node: Node, reader: str) -> bool:
    """Tell a weight from the scalars, the axes and the sizes that it is computed with."""
    dtype = _dtype(node)
    if dtype in _FLOATS:
        return reader == _READ_OP or _is_tensor(node)
    if dtype in _WHOLE_NUMBERS:
        return reader == "Cast" and _is_tensor(node)
    return dtype in _QUANTISED


def _is_absent(node: Node, operand: int) -> bool:
    value = node.constant()
    number = _ABSENT_PARAMETERS.get(operand)
    return number is not None and value is not None and bool(numpy.all(value == number))
