"""Kernels that the graph computes from variables alone, such as g * v / |v| of a normalised weight.

At inference such a kernel is a number like any other: it is computed once and exported as one more
variable, and the layer that reads it is a plain one.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from stage_extract.graph.dtypes import output_dtype
from stage_extract.graph.graphdef import Node, node_name, output_index
from stage_extract.graph.savers import READ_OPS, VARIABLE_OPS
from stage_extract.graph.shapes import StaticShapes
from stage_extract.graph.tiles import CONCATENATIONS
from stage_extract.graph.traverse import PASS_THROUGH, behind
from stage_extract.graph.variables import RESHAPING_OPS, VariableTable
from stage_extract.reader import VariableInfo

# Which operand of which op is the kernel or the table that its layer reads.
_KERNEL_OPERANDS: Mapping[str, int] = MappingProxyType(
    {
        "Conv2D": 1,
        "Conv2DBackpropInput": 1,
        "Conv3D": 1,
        "Conv3DBackpropInputV2": 1,
        "DepthwiseConv2dNative": 1,
        "Gather": 0,
        "GatherV2": 0,
        "MatMul": 1,
        "ResourceGather": 0,
    }
)
_ARRANGING_OPS = (
    PASS_THROUGH
    | READ_OPS
    | RESHAPING_OPS
    | CONCATENATIONS
    | frozenset(("Cast", "Pack", "Slice", "Split", "SplitV", "StridedSlice", "Unpack"))
)
# Ops of one value for one operand, that neither draw nor keep anything.
_ARITHMETIC_OPS = frozenset(
    ("Abs", "Add", "AddN", "AddV2", "BatchMatMul", "BatchMatMulV2", "Div", "Exp", "L2Loss", "Log",
     "MatMul", "Max", "Maximum", "Mean", "Min", "Minimum", "Mul", "Neg", "Pow", "Prod", "RealDiv",
     "Reciprocal", "Round", "Rsqrt", "Select", "Sigmoid", "Sign", "Softmax", "Softplus", "Sqrt",
     "Square", "SquaredDifference", "Sub", "Sum", "Tanh", "Tile")
)  # fmt: skip
_SIZING_OPS = frozenset(("Fill", "OnesLike", "Prod", "Range", "Rank", "Shape", "Size", "ZerosLike"))
# Arithmetic of shapes.
_INTEGER_TYPES = frozenset(("int32", "int64"))
# A power iteration unrolled a few times is the longest that is known.
_MAX_NODES = 256


class Folded(NamedTuple):
    """A kernel that is computed from variables.

    Attributes:
        tensor: what is computed.
        info: its name, type and shape, as a variable's.
        sources: the variables of the checkpoint that it is computed from, sorted.
        nodes: the nodes that compute it.
        readers: the ops that read it as their kernel.
    """

    tensor: str
    info: VariableInfo
    sources: Tuple[str, ...]
    nodes: FrozenSet[str]
    readers: Tuple[str, ...]

    @property
    def why(self) -> str:
        """Say what was done, for graph.json."""
        return (
            f"the graph computes it from {len(self.sources)} variable"
            f"{'' if len(self.sources) == 1 else 's'}; computed once, as inference would"
        )


def fold_kernels(
    nodes: Sequence[Node], table: VariableTable, shapes: StaticShapes
) -> Tuple[Folded, ...]:
    """Find the kernels that are computed from variables alone, and make variables of them.

    Args:
        nodes: the inference graph.
        table: takes what is found; a kernel that a variable is handed on as stays that variable.
    """
    by_name = {node.name: node for node in nodes}
    found: Dict[str, Folded] = {}
    for node in nodes:
        operand = _KERNEL_OPERANDS.get(node.op)
        if operand is None or operand >= len(node.inputs):
            continue
        tensor = behind(table.graph, node.inputs[operand], PASS_THROUGH)
        if tensor in found:
            found[tensor] = found[tensor]._replace(readers=(*found[tensor].readers, node.name))
        elif table.origin(tensor) is None:
            folded = _folded(by_name, tensor, node, table, shapes)
            if folded is not None:
                found[tensor] = folded
                table.add_folded(folded.tensor, folded.info)
    return tuple(found.values())


def _folded(
    by_name: Mapping[str, Node],
    tensor: str,
    reader: Node,
    table: VariableTable,
    shapes: StaticShapes,
) -> Optional[Folded]:
    shape, producer = shapes.of(tensor), by_name.get(node_name(tensor))
    dtype = None if producer is None else output_dtype(producer, output_index(tensor))
    if dtype is None or not dtype.startswith("float") or not shape or None in shape:
        return None
    computing = _computing(by_name, tensor, table)
    # A product inside of a power iteration is no layer.
    if computing is None or _computing(by_name, f"{reader.name}:0", table) is not None:
        return None
    names = {table.name_of(one.name) for one in computing if one.op in VARIABLE_OPS}
    sources = tuple(sorted(name for name in names if name is not None))
    sizes = tuple(size for size in shape if size is not None)
    info = VariableInfo(table.free_name(node_name(tensor)), dtype, sizes)
    inner = frozenset(one.name for one in computing)
    return Folded(tensor, info, sources, inner, (reader.name,)) if sources else None


def _computing(
    by_name: Mapping[str, Node], tensor: str, table: VariableTable
) -> Optional[List[Node]]:
    """Give the nodes that compute a tensor; None if they read anything but variables.

    None as well where they only cut and join: parts of a variable are read by recurrent cells,
    which are layers of their own.
    """
    found: Dict[str, Node] = {}
    pending = [tensor]
    while pending:
        node = by_name.get(node_name(pending.pop()))
        if node is None or len(found) > _MAX_NODES:
            return None
        if node.name in found:
            continue
        if not _is_allowed(node, table):
            return None
        found[node.name] = node
        pending.extend(node.inputs)
    computes = any(
        node.op in _ARITHMETIC_OPS or _joins_constant(node, by_name)
        for node in found.values()
        if node.attribute("T") not in _INTEGER_TYPES
    )
    return list(found.values()) if computes else None


def _is_allowed(node: Node, table: VariableTable) -> bool:
    if node.op in VARIABLE_OPS:
        return table.name_of(node.name) is not None
    if node.op == "Const":
        return True
    known = node.op in _ARRANGING_OPS or node.op in _ARITHMETIC_OPS or node.op in _SIZING_OPS
    return known and bool(node.inputs)


def _joins_constant(node: Node, by_name: Mapping[str, Node]) -> bool:
    """Tell whether a concatenation adds rows that are no variable's, such as one of zeros."""
    if node.op not in CONCATENATIONS:
        return False
    parts = node.inputs[1:] if node.op == "Concat" else node.inputs[:-1]
    producers = [by_name.get(node_name(part)) for part in parts]
    return any(one is not None and one.op in ("Const", "Fill", "ZerosLike") for one in producers)
