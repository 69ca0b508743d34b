"""One application of a recurrent cell to one step of a sequence."""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward
from stage_extract.graph.layers.recurrent.affine import Affine, Product, of_one_variable
from stage_extract.graph.layers.recurrent.columns import STEP_OPS, Columns
from stage_extract.graph.layers.recurrent.gates import Gate
from stage_extract.graph.traverse import behind

# What every recurrent layer says; a cell sets those that it knows.
CELL_ATTRIBUTES = (
    "cell", "gate_order", "forget_bias", "units", "input_size", "projection_size", "activation",
    "recurrent_activation", "use_peephole", "cell_clip", "projection_clip", "reset_after",
)  # fmt: skip


class Step(NamedTuple):
    """One step.

    Attributes:
        kind: "lstm" or "gru".
        op: the node that reads the (first) kernel.
        variables: role -> variable.
        axes: variable -> letters of its axes.
        attributes: those of `CELL_ATTRIBUTES`.
        data: the tensor [N, inputs] that enters, None if it is joined from several.
        before: state ("h", "c") -> the tensor before the step.
        after: state -> the tensor after it; "h" is what the cell gives.
        nodes: the nodes that the step consists of.
    """

    kind: str
    op: str
    variables: Mapping[str, str]
    axes: Mapping[str, str]
    attributes: Mapping[str, Any]
    data: Optional[str]
    before: Mapping[str, str]
    after: Mapping[str, str]
    nodes: FrozenSet[str]


class Weights(NamedTuple):
    """The variables of several gates.

    Attributes:
        variables: kernel (and recurrent_kernel), and bias if there is one.
        order: the letters of the gates, in the order in which the kernel holds them.
        units: columns of one gate.
        rows: rows of the input, and of the state: of one kernel together, as far as known.
        data: the tensor that enters, None if several are joined.
        state: the state that enters.
        op: the first product.
    """

    variables: Dict[str, str]
    order: str
    units: int
    rows: Tuple[Optional[int], Optional[int]]
    data: Optional[str]
    state: str
    op: str


def cell_attributes(**known: Any) -> Dict[str, Any]:
    """Give all attributes of a cell, null where nothing is known."""
    return {**dict.fromkeys(CELL_ATTRIBUTES), **known}


def read_weights(forward: Forward, gates: Mapping[str, Gate]) -> List[Weights]:
    """Read the weights that gates share, in each way in which they can be understood.

    Two kernels of equal shape do not tell which of them multiplies the state.
    """
    sums = {letter: gate.affine for letter, gate in gates.items()}
    count = {len(one.products) for one in sums.values()}
    if count == {1}:
        joined = _joined(forward, sums)
        return [] if joined is None else [joined]
    if count != {2}:
        return []
    found = (_separate(forward, sums, data) for data in (0, 1))
    return [one for one in found if one is not None]


def _joined(forward: Forward, sums: Mapping[str, Affine]) -> Optional[Weights]:
    """Read gates that multiply the input and the state, side by side, with one kernel."""
    products = {letter: one.products[0] for letter, one in sums.items()}
    kernel = _kernel(forward, products)
    sides = sides_of(forward, next(iter(products.values())).data)
    if kernel is None or sides is None:
        return None
    bias = read_bias({letter: one.vectors for letter, one in sums.items()}, kernel[1])
    if bias is None:
        return None
    variable, order, units, rows = kernel
    inputs = known_width(forward, sides[0])
    states = None if inputs is None else rows - inputs
    variables = {"kernel": variable, **bias}
    op = min(one.node for one in products.values())
    return Weights(variables, order, units, (inputs, states), sides[0], sides[1], op)


def _separate(forward: Forward, sums: Mapping[str, Affine], data: int) -> Optional[Weights]:
    """Read gates that add a product of the input and one of the state."""
    first = next(iter(sums.values())).products[data].data
    of_data, of_state = {}, {}
    for letter, one in sums.items():
        at = data if one.products[data].data == first else 1 - data
        of_data[letter], of_state[letter] = one.products[at], one.products[1 - at]
    inputs, states = _kernel(forward, of_data), _kernel(forward, of_state)
    if inputs is None or states is None or inputs[1:3] != states[1:3] or states[3] != states[2]:
        return None
    bias = read_bias({letter: one.vectors for letter, one in sums.items()}, inputs[1])
    if bias is None or inputs[0] == states[0]:
        return None
    variables = {"kernel": inputs[0], "recurrent_kernel": states[0], **bias}
    state = next(iter(of_state.values())).data
    op = min(one.node for one in of_data.values())
    return Weights(variables, inputs[1], inputs[2], (inputs[3], states[3]), first, state, op)


def _kernel(
    forward: Forward, products: Mapping[str, Product]
) -> Optional[Tuple[str, str, int, int]]:
    """Give (variable, order of the gates, units, rows) of products with one matrix."""
    blocks = of_one_variable({letter: one.weights for letter, one in products.items()})
    if blocks is None or len({one.data for one in products.values()}) != 1:
        return None
    variable, places = blocks
    rows, columns = forward.table.info[variable].shape
    order = "".join(sorted(places, key=places.__getitem__))
    units = columns // len(places)
    whole = all(one.weights.stop - one.weights.start == units for one in products.values())
    return (variable, order, units, rows) if whole else None


def read_bias(vectors: Mapping[str, Tuple[Columns, ...]], order: str) -> Optional[Dict[str, str]]:
    """Give the role of the bias that gates share; empty if they have none, None if it differs.

    A bias of two rows is added to the product of the input (row 0) and that of the state (row 1).
    """
    count = {len(one) for one in vectors.values()}
    if count == {0}:
        return {}
    if count not in ({1}, {2}):
        return None
    rows: Tuple[Optional[int], ...] = (None,) if count == {1} else (0, 1)
    variables = set()
    for row in rows:
        columns = {letter: one for letter, own in vectors.items() for one in own if one.row == row}
        blocks = of_one_variable(columns) if len(columns) == len(vectors) else None
        if blocks is None or "".join(sorted(blocks[1], key=blocks[1].__getitem__)) != order:
            return None
        variables.add(blocks[0])
    return {"bias": variables.pop()} if len(variables) == 1 else None


def sides_of(forward: Forward, tensor: str) -> Optional[Tuple[Optional[str], str]]:
    """Give the input and the state that are joined side by side, the state last."""
    node = forward.graph.producer(tensor)
    if node is None or node.op not in ("Concat", "ConcatV2"):
        return None
    axis_first = node.op == "Concat"
    operands = node.inputs[1:] if axis_first else node.inputs[:-1]
    axis = forward.evaluator.scalar(node.operand(0 if axis_first else len(operands)))
    if axis not in (1, -1) or len(operands) < 2:
        return None
    sides = [behind(forward.graph, operand, STEP_OPS) for operand in operands]
    return (sides[0] if len(sides) == 2 else None), sides[-1]


def known_width(forward: Forward, tensor: Optional[str]) -> Optional[int]:
    """Give the number of columns of a matrix, None if the graph does not say it."""
    shape = forward.shapes.of(tensor) if tensor is not None else None
    return shape[-1] if shape else None


def mul_operands(forward: Forward, tensor: str) -> Optional[Tuple[Node, str, str]]:
    """Give an elementwise product and its operands, None if the tensor is none."""
    node = forward.graph.producer(behind(forward.graph, tensor, STEP_OPS))
    if node is None or node.op != "Mul" or len(node.inputs) != 2:
        return None
    left, right = (behind(forward.graph, one, STEP_OPS) for one in node.inputs)
    return node, left, right
