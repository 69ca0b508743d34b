"""LSTM cells that are written out: BasicLSTMCell, LSTMCell, Keras, and the like.

    c' = sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(j)
    h' = sigmoid(o) * tanh(c')

where i, j, f and o are sums of products with the input and with the state h (tensorflow/python/ops/
rnn_cell_impl.py, tensorflow/python/keras/layers/recurrent.py). Peepholes add w * c to f and i, and
w * c' to o; c' may be clipped, h' projected by one more matrix and clipped.
"""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward
from stage_extract.graph.layers.recurrent.columns import STEP_OPS, variable_columns
from stage_extract.graph.layers.recurrent.gates import (
    Clipped,
    Gate,
    clipped,
    read_function,
    read_gate,
)
from stage_extract.graph.layers.recurrent.step import (
    Step,
    Weights,
    cell_attributes,
    mul_operands,
    read_weights,
)
from stage_extract.graph.traverse import behind

_PEEPHOLE_ROLES = {"i": "peephole_input", "f": "peephole_forget", "o": "peephole_output"}


class _Memory(NamedTuple):
    """The new cell state: forget gate times old state, plus input gate times candidate."""

    gates: Dict[str, Gate]
    before: str
    nodes: FrozenSet[str]


class _Output(NamedTuple):
    """The output gate times a function of the cell state."""

    gate: Gate
    function: str
    tensor: str
    nodes: FrozenSet[str]


def match_lstm(forward: Forward, node: Node) -> List[Step]:
    """Match the addition that gives a new cell state, in each way in which it can be understood."""
    memory = _read_memory(forward, node)
    if memory is None:
        return []
    cell = clipped(forward, f"{node.name}:0")
    steps: List[Step] = []
    for output in _read_outputs(forward, cell.tensor):
        gates = {**memory.gates, "o": output.gate}
        functions = {gates[letter].function for letter in "ifo"}
        if len(functions) != 1 or gates["j"].function != output.function:
            continue
        peepholes = _read_peepholes(forward, gates, memory.before, cell.tensor)
        if peepholes is None or any(gates[one].affine.number for one in "ijo"):
            continue
        for weights in read_weights(forward, gates):
            body = _Body(memory, cell, output, gates, peepholes, weights)
            steps.extend(_steps(forward, body))
    return steps


class _Body(NamedTuple):
    memory: _Memory
    cell: Clipped
    output: _Output
    gates: Dict[str, Gate]
    peepholes: Dict[str, str]
    weights: Weights


def _read_memory(forward: Forward, node: Node) -> Optional[_Memory]:
    products = [mul_operands(forward, tensor) for tensor in node.inputs]
    if len(products) != 2 or products[0] is None or products[1] is None:
        return None
    for kept, added in ((products[0], products[1]), (products[1], products[0])):
        for state, forget in ((kept[1], kept[2]), (kept[2], kept[1])):
            gates = {"f": read_gate(forward, forget)}
            gates["i"], gates["j"] = (read_gate(forward, one) for one in added[1:])
            found = {letter: gate for letter, gate in gates.items() if gate is not None}
            if len(found) != len(gates):
                continue
            if found["i"].function != found["f"].function:
                found["i"], found["j"] = found["j"], found["i"]
            inner = (gate.nodes for gate in found.values())
            names = (node.name, kept[0].name, added[0].name)
            return _Memory(found, state, frozenset(names).union(*inner))
    return None


def _read_outputs(forward: Forward, cell: str) -> Iterator[_Output]:
    """Give what the cell gives for a new cell state: a gate times a function of it."""
    for use in forward.readers(cell):
        function = read_function(forward, f"{use.node.name}:0")
        if function is None or behind(forward.graph, function[1], STEP_OPS) != cell:
            continue
        active = f"{use.node.name}:0"
        for product in forward.readers(active):
            operands = mul_operands(forward, f"{product.node.name}:0")
            if operands is None:
                continue
            gate = read_gate(forward, operands[2] if operands[1] == active else operands[1])
            if gate is not None:
                names = frozenset((product.node.name, *function[2])) | gate.nodes
                yield _Output(gate, function[0], f"{product.node.name}:0", names)


def _read_peepholes(
    forward: Forward, gates: Dict[str, Gate], before: str, after: str
) -> Optional[Dict[str, str]]:
    """Give role -> variable of the vectors that multiply the cell state; None for anything else."""
    found: Dict[str, str] = {}
    for letter, gate in gates.items():
        for scaled in gate.affine.scaled:
            state = after if letter == "o" else before
            variable = _peephole(forward, scaled.node, state)
            if variable is None or scaled.cuts or _PEEPHOLE_ROLES.get(letter, "j") in (*found, "j"):
                return None
            found[_PEEPHOLE_ROLES[letter]] = variable
    return found if len(found) in (0, len(_PEEPHOLE_ROLES)) else None


def _peephole(forward: Forward, node: Node, state: str) -> Optional[str]:
    for index in (0, 1):
        columns = variable_columns(forward, node.operand(index))
        other = behind(forward.graph, node.operand(1 - index), STEP_OPS)
        if columns is not None and other == state:
            variable = columns[0].variable
            whole = (columns[0].stop,) == forward.table.info[variable].shape
            return variable if whole and not columns[0].start else None
    return None


def _steps(forward: Forward, body: _Body) -> Iterator[Step]:
    states = body.weights.rows[1]
    units = body.weights.units
    projection = _projection(forward, body.output.tensor, units)
    if projection is not None and states in (None, projection.size):
        yield _step(forward, body, projection)
    if states in (None, units):
        yield _step(forward, body, None)


class _Projection(NamedTuple):
    variable: str
    size: int
    result: Clipped
    nodes: Tuple[str, ...]


def _projection(forward: Forward, tensor: str, units: int) -> Optional[_Projection]:
    use = forward.sole_reader(tensor)
    if use is None or use.node.op != "MatMul" or use.operand != 0 or len(use.node.inputs) != 2:
        return None
    if use.node.attribute("transpose_a") or use.node.attribute("transpose_b"):
        return None
    columns = variable_columns(forward, use.node.operand(1))
    if columns is None:
        return None
    shape = forward.table.info[columns[0].variable].shape
    if len(shape) != 2 or shape[0] != units or (columns[0].start, columns[0].stop) != (0, shape[1]):
        return None
    result = clipped(forward, f"{use.node.name}:0")
    return _Projection(columns[0].variable, shape[1], result, (use.node.name, *result.nodes))


def _step(forward: Forward, body: _Body, projection: Optional[_Projection]) -> Step:
    weights, gates = body.weights, body.gates
    variables = {**weights.variables, **body.peepholes}
    nodes = body.memory.nodes | body.output.nodes | frozenset(body.cell.nodes)
    after = body.output.tensor
    if projection is not None:
        variables["projection"] = projection.variable
        nodes = nodes | frozenset(projection.nodes)
        after = projection.result.tensor
    rows = forward.table.info[weights.variables["kernel"]].shape[0]
    separate = "recurrent_kernel" in variables
    recurrent = weights.units if projection is None else projection.size
    return Step(
        kind="lstm",
        op=weights.op,
        variables=variables,
        axes=lstm_axes(variables),
        attributes=cell_attributes(
            cell="keras_lstm" if separate else "lstm_peephole" if body.peepholes else "lstm",
            gate_order=weights.order,
            forget_bias=gates["f"].affine.number,
            units=weights.units,
            input_size=rows if separate else rows - recurrent,
            projection_size=None if projection is None else projection.size,
            activation=gates["j"].function,
            recurrent_activation=gates["f"].function,
            use_peephole=bool(body.peepholes),
            cell_clip=body.cell.bound,
            projection_clip=None if projection is None else projection.result.bound,
        ),
        data=weights.data,
        before={"h": weights.state, "c": body.memory.before},
        after={"h": after, "c": body.cell.tensor},
        nodes=nodes,
    )


def lstm_axes(variables: Dict[str, str]) -> Dict[str, str]:
    """Give the axes of the variables of an LSTM, by role."""
    letters: Dict[str, Any] = {
        "kernel": "I(GU)" if "recurrent_kernel" in variables else "(IR)(GU)",
        "recurrent_kernel": "R(GU)",
        "bias": "(GU)",
        "projection": "UR",
        **dict.fromkeys(_PEEPHOLE_ROLES.values(), "U"),
    }
    return {variable: letters[role] for role, variable in variables.items()}
