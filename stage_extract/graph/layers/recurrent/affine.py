"""Sums of matrix products, biases and numbers, whatever order they are cut and added in.

Cells write the input of a gate in many ways: one product with all gates' columns that is then
split, four products with the columns of one gate each, biases added before or after. They all are
a sum of products with columns of variables, columns of bias vectors, and a number.
"""

from __future__ import annotations

from typing import Dict, FrozenSet, List, NamedTuple, Optional, Set, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward
from stage_extract.graph.layers.recurrent.columns import (
    STEP_OPS,
    Columns,
    Cuts,
    variable_columns,
    whole_of,
)
from stage_extract.graph.traverse import behind

_ADD_OPS = frozenset(("Add", "AddV2", "BiasAdd", "BiasAddV1"))
# A gate's sum has a dozen nodes; the bound ends the walk over anything else early.
_MAX_NODES = 48


class Product(NamedTuple):
    """data · weights.

    Attributes:
        data: the left operand, a tensor [N, rows].
        weights: the columns of the right one.
        node: the MatMul.
    """

    data: str
    weights: Columns
    node: str


class Scaled(NamedTuple):
    """An elementwise product in a sum: a peephole, or what a reset gate lets through."""

    node: Node
    cuts: Cuts


class Affine(NamedTuple):
    """A sum.

    Attributes:
        products: its matrix products, in the order in which they are added.
        vectors: its bias vectors.
        scaled: its elementwise products.
        number: the sum of its constants.
        nodes: the nodes that compute it.
    """

    products: Tuple[Product, ...]
    vectors: Tuple[Columns, ...]
    scaled: Tuple[Scaled, ...]
    number: float
    nodes: FrozenSet[str]


def read_affine(forward: Forward, tensor: str, cuts: Cuts = ()) -> Optional[Affine]:
    """Read a tensor, or columns of it, as a sum; None if it is anything else."""
    reader = _AffineReader(forward)
    return reader.read(tensor, cuts)


class _AffineReader:
    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._products: List[Product] = []
        self._vectors: List[Columns] = []
        self._scaled: List[Scaled] = []
        self._number = 0.0
        self._nodes: Set[str] = set()

    def read(self, tensor: str, cuts: Cuts) -> Optional[Affine]:
        pending: List[Tuple[str, Cuts]] = [(tensor, cuts)]
        for _ in range(_MAX_NODES):
            if not pending:
                return Affine(
                    tuple(self._products),
                    tuple(self._vectors),
                    tuple(self._scaled),
                    self._number,
                    frozenset(self._nodes),
                )
            found = self._operands(*pending.pop())
            if found is None:
                return None
            pending.extend(reversed(found))
        return None

    def _operands(self, tensor: str, cuts: Cuts) -> Optional[List[Tuple[str, Cuts]]]:
        """Take one summand, and give those that it consists of; None if it is none."""
        forward = self._forward
        columns = variable_columns(forward, tensor, cuts)
        if columns is not None:
            self._vectors.append(columns[0])
            self._nodes.update(columns[1])
            return []
        number = forward.evaluator.scalar(tensor)
        if number is not None:
            self._number += float(number)
            return []
        node = forward.graph.producer(tensor)
        if node is None:
            return None
        self._nodes.add(node.name)
        if node.op in STEP_OPS and node.inputs:
            return [(node.operand(0), cuts)]
        whole = whole_of(forward, tensor)
        if whole is not None:
            return [(whole[0], (whole[1], *cuts))]
        if node.op in _ADD_OPS and len(node.inputs) == 2:
            return [(operand, cuts) for operand in node.inputs]
        if node.op == "Mul" and len(node.inputs) == 2:
            self._scaled.append(Scaled(node, cuts))
            return []
        return [] if node.op == "MatMul" and self._take_product(node, cuts) else None

    def _take_product(self, node: Node, cuts: Cuts) -> bool:
        if len(node.inputs) != 2 or node.attribute("transpose_a") or node.attribute("transpose_b"):
            return False
        found = variable_columns(self._forward, node.operand(1), cuts)
        if found is None or len(self._forward.table.info[found[0].variable].shape) != 2:
            return False
        self._nodes.update(found[1])
        data = behind(self._forward.graph, node.operand(0), STEP_OPS)
        self._products.append(Product(data, found[0], node.name))
        return True


def of_one_variable(columns: Dict[str, Columns]) -> Optional[Tuple[str, Dict[str, int]]]:
    """Give the variable whose columns, in blocks of one size, belong to the gates; and each block.

    Args:
        columns: gate letter -> its columns. They must be all columns of the variable.
    """
    if len({(one.variable, one.row) for one in columns.values()}) != 1:
        return None
    sizes = {one.stop - one.start for one in columns.values()}
    if len(sizes) != 1:
        return None
    size = sizes.pop()
    blocks = {letter: one.start // size for letter, one in columns.items()}
    fits = not any(one.start % size for one in columns.values())
    if not fits or sorted(blocks.values()) != list(range(len(blocks))):
        return None
    return next(iter(columns.values())).variable, blocks
