"""GRU cells that are written out: GRUCell, CudnnCompatibleGRUCell, Keras.

    h' = u * h + (1 - u) * tanh(candidate)

where u, and the reset gate r, are gates of the input and h. GRUCell lets r through before the
candidate's product, (r * h) · K; cuDNN and Keras with reset_after behind it, r * (h · K + bias)
(tensorflow/python/ops/rnn_cell_impl.py, tensorflow/contrib/cudnn_rnn/python/ops/cudnn_rnn_ops.py,
tensorflow/python/keras/layers/recurrent.py).
"""

from __future__ import annotations

from typing import Dict, FrozenSet, List, NamedTuple, Optional, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward
from stage_extract.graph.layers.recurrent.affine import Affine, read_affine
from stage_extract.graph.layers.recurrent.columns import STEP_OPS, Columns
from stage_extract.graph.layers.recurrent.gates import Gate, read_function, read_gate
from stage_extract.graph.layers.recurrent.step import (
    Step,
    Weights,
    cell_attributes,
    mul_operands,
    read_weights,
    sides_of,
)
from stage_extract.graph.traverse import behind


class _Candidate(NamedTuple):
    """The argument of the candidate's function.

    Attributes:
        reset: the reset gate.
        affine: the sum of the input's part and the state's, as if the reset gate were open.
        is_after: the gate multiplies the product of the state, not the state.
        nodes: the nodes that compute it.
    """

    reset: Gate
    affine: Affine
    is_after: bool
    nodes: FrozenSet[str]


class _Body(NamedTuple):
    node: Node
    update: Gate
    candidate: _Candidate
    function: str
    state: str
    nodes: FrozenSet[str]


def match_gru(forward: Forward, node: Node) -> List[Step]:
    """Match the addition that gives a new state, in each way in which it can be understood."""
    body = _read_body(forward, node)
    if body is None or body.update.function != body.candidate.reset.function:
        return []
    gates = {"u": body.update, "r": body.candidate.reset}
    if any(gate.affine.number or gate.affine.scaled for gate in gates.values()):
        return []
    if len(body.update.affine.products) == 1:
        found = [_joined_step(forward, body, weights) for weights in read_weights(forward, gates)]
    else:
        found = _keras_steps(forward, body)
    return [step for step in found if step is not None]


def _read_body(forward: Forward, node: Node) -> Optional[_Body]:
    products = [mul_operands(forward, tensor) for tensor in node.inputs]
    if len(products) != 2 or products[0] is None or products[1] is None:
        return None
    for kept, added in ((products[0], products[1]), (products[1], products[0])):
        for rest, active in ((added[1], added[2]), (added[2], added[1])):
            update = _complement(forward, rest)
            if update is None or update not in kept[1:]:
                continue
            state = kept[2] if kept[1] == update else kept[1]
            gate, function = read_gate(forward, update), read_function(forward, active)
            candidate = None if function is None else _candidate(forward, function[1], state)
            if gate is None or function is None or candidate is None:
                continue
            names = {node.name, kept[0].name, added[0].name, rest.rpartition(":")[0], *function[2]}
            nodes = gate.nodes | candidate.nodes | candidate.reset.nodes | names
            return _Body(node, gate, candidate, function[0], state, nodes)
    return None


def _complement(forward: Forward, tensor: str) -> Optional[str]:
    """Give u of 1 - u."""
    node = forward.graph.producer(tensor)
    if node is None or node.op != "Sub" or forward.evaluator.scalar(node.operand(0)) != 1:
        return None
    return behind(forward.graph, node.operand(1), STEP_OPS)


def _candidate(forward: Forward, tensor: str, state: str) -> Optional[_Candidate]:
    affine = read_affine(forward, tensor)
    if affine is None or affine.number:
        return None
    if affine.scaled:
        return _reset_after(forward, affine, state)
    return _reset_before(forward, affine, state)


def _reset_before(forward: Forward, affine: Affine, state: str) -> Optional[_Candidate]:
    """Read products of which one multiplies r * h, alone or beside the input."""
    for product in affine.products:
        sides = sides_of(forward, product.data)
        scaled = product.data if sides is None else sides[1]
        reset = _gate_of_state(forward, scaled, state)
        if reset is None:
            continue
        products = tuple(
            one._replace(data=state) if one.data == scaled else one for one in affine.products
        )
        nodes = affine.nodes | {scaled.rpartition(":")[0]}
        return _Candidate(reset, affine._replace(products=products), False, nodes)
    return None


def _reset_after(forward: Forward, affine: Affine, state: str) -> Optional[_Candidate]:
    """Read a sum of which one part is r * (h · K + bias)."""
    if len(affine.scaled) != 1 or affine.scaled[0].cuts:
        return None
    node = affine.scaled[0].node
    for gate, product in ((node.operand(0), node.operand(1)), (node.operand(1), node.operand(0))):
        reset, inner = read_gate(forward, gate), read_affine(forward, product)
        if reset is None or inner is None or [one.data for one in inner.products] != [state]:
            continue
        if inner.number or inner.scaled:
            continue
        whole = Affine(
            affine.products + inner.products,
            affine.vectors + inner.vectors,
            (),
            0.0,
            affine.nodes | inner.nodes,
        )
        return _Candidate(reset, whole, True, whole.nodes)
    return None


def _gate_of_state(forward: Forward, tensor: str, state: str) -> Optional[Gate]:
    operands = mul_operands(forward, tensor)
    if operands is None or state not in operands[1:]:
        return None
    return read_gate(forward, operands[2] if operands[1] == state else operands[1])


def _joined_step(forward: Forward, body: _Body, weights: Weights) -> Optional[Step]:
    """Make the step of a cell whose gates have one kernel, and whose candidate another."""
    if weights.state != body.state:
        return None
    variables = {"gate_kernel": weights.variables["kernel"]}
    if "bias" in weights.variables:
        variables["gate_bias"] = weights.variables["bias"]
    affine = body.candidate.affine
    own = _candidate_variables(forward, affine, weights, body.candidate.is_after)
    if own is None:
        return None
    variables.update(own)
    inputs = forward.table.info[variables["gate_kernel"]].shape[0] - weights.units
    axes = {variable: _AXES[role] for role, variable in variables.items()}
    cell = "gru_cudnn" if body.candidate.is_after else "gru"
    return _step(body, cell, weights, variables, axes, inputs)


_AXES = {
    "gate_kernel": "(IR)(GU)",
    "gate_bias": "(GU)",
    "candidate_kernel": "(IR)U",
    "candidate_bias": "U",
    "candidate_input_kernel": "IU",
    "candidate_input_bias": "U",
    "candidate_recurrent_kernel": "RU",
    "candidate_recurrent_bias": "U",
}


def _candidate_variables(
    forward: Forward, affine: Affine, weights: Weights, is_after: bool
) -> Optional[Dict[str, str]]:
    """Give role -> variable of the candidate's own kernels, all of which it must use whole."""
    prefixes = ("candidate_input", "candidate_recurrent") if is_after else ("candidate",)
    columns: List[Tuple[str, Columns]] = []
    if len(affine.products) != len(prefixes) or len(affine.vectors) not in (0, len(prefixes)):
        return None
    for prefix, product in zip(prefixes, affine.products):
        columns.append((f"{prefix}_kernel", product.weights))
    for prefix, vector in zip(prefixes, affine.vectors):
        columns.append((f"{prefix}_bias", vector))
    for _, one in columns:
        shape = forward.table.info[one.variable].shape
        if one.row is not None or (one.start, one.stop) != (0, shape[-1]):
            return None
        if one.stop != weights.units:
            return None
    found = {role: one.variable for role, one in columns}
    return found if len(set(found.values())) == len(found) else None


def _keras_steps(forward: Forward, body: _Body) -> List[Optional[Step]]:
    """Make the steps of a cell with one kernel of all gates for the input, one for the state."""
    candidate = Gate(body.function, body.candidate.affine, frozenset())
    gates = {"z": body.update, "r": body.candidate.reset, "h": candidate}
    found: List[Optional[Step]] = []
    for weights in read_weights(forward, gates):
        if weights.state != body.state:
            continue
        bias = weights.variables.get("bias")
        rank = 0 if bias is None else len(forward.table.info[bias].shape)
        axes = {
            weights.variables["kernel"]: "I(GU)",
            weights.variables["recurrent_kernel"]: "R(GU)",
        }
        if bias is not None:
            axes[bias] = "B(GU)" if rank == 2 else "(GU)"
        inputs = weights.rows[0]
        found.append(_step(body, "keras_gru", weights, weights.variables, axes, inputs))
    return found


def _step(
    body: _Body,
    cell: str,
    weights: Weights,
    variables: Dict[str, str],
    axes: Dict[str, str],
    inputs: Optional[int],
) -> Step:
    return Step(
        kind="gru",
        op=weights.op,
        variables=variables,
        axes=axes,
        attributes=cell_attributes(
            cell=cell,
            gate_order=weights.order,
            units=weights.units,
            input_size=inputs,
            activation=body.function,
            recurrent_activation=body.update.function,
            reset_after=body.candidate.is_after,
        ),
        data=weights.data,
        before={"h": body.state},
        after={"h": f"{body.node.name}:0"},
        nodes=body.nodes,
    )
