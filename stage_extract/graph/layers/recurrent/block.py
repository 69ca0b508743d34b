"""Cells that are one op: LSTMBlockCell, BlockLSTM, GRUBlockCell (core/ops/rnn_ops.cc)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.layers.layer import Forward
from stage_extract.graph.layers.recurrent.columns import STEP_OPS, variable_columns
from stage_extract.graph.layers.recurrent.lstm import lstm_axes
from stage_extract.graph.layers.recurrent.step import Step, cell_attributes
from stage_extract.graph.traverse import behind

FUSED_OPS = frozenset(("BlockLSTM",))
_PEEPHOLES = ("peephole_input", "peephole_forget", "peephole_output")
# Defaults of the ops, for graphs saved without attributes that have their default.
_FORGET_BIAS = 1.0
_CELL_CLIP = 3.0


class _Operands(NamedTuple):
    """Where an op has its operands and results.

    Attributes:
        kind: "lstm" or "gru".
        cell: the contract's word for the cell.
        data: operand of the input.
        states: state -> (operand, output).
        weights: role -> operand.
    """

    kind: str
    cell: str
    data: int
    states: Mapping[str, Tuple[int, int]]
    weights: Mapping[str, int]


def _lstm(cell: str, data: int) -> _Operands:
    # x, cs_prev, h_prev, w, wci, wcf, wco, b -> i, cs, f, o, ci, co, h
    roles = ("kernel", *_PEEPHOLES, "bias")
    weights = {role: data + 3 + place for place, role in enumerate(roles)}
    return _Operands("lstm", cell, data, {"h": (data + 2, 6), "c": (data + 1, 1)}, weights)


# x, h_prev, w_ru, w_c, b_ru, b_c -> r, u, c, h
_GRU = _Operands(
    "gru",
    "gru",
    0,
    {"h": (1, 3)},
    {"gate_kernel": 2, "candidate_kernel": 3, "gate_bias": 4, "candidate_bias": 5},
)
_OPERANDS: Mapping[str, _Operands] = MappingProxyType(
    {
        "BlockLSTM": _lstm("lstm_block_fused", 1),
        "GRUBlockCell": _GRU,
        "LSTMBlockCell": _lstm("lstm_block", 0),
    }
)
_GRU_AXES = {
    "gate_kernel": "(IR)(GU)",
    "gate_bias": "(GU)",
    "candidate_kernel": "(IR)U",
    "candidate_bias": "U",
}


def match_block(forward: Forward, node: Node) -> List[Step]:
    """Match an op that is a whole cell; the data of a fused one is the whole sequence."""
    operands = _OPERANDS.get(node.op)
    if operands is None or len(node.inputs) <= max(operands.weights.values()):
        return []
    use_peephole = bool(node.attribute("use_peephole"))
    variables: Dict[str, str] = {}
    for role, operand in operands.weights.items():
        if role in _PEEPHOLES and not use_peephole:
            continue
        variable = _whole_variable(forward, node.operand(operand))
        if variable is None:
            return []
        variables[role] = variable
    is_lstm = operands.kind == "lstm"
    return [
        Step(
            kind=operands.kind,
            op=node.name,
            variables=variables,
            axes=lstm_axes(variables)
            if is_lstm
            else {variable: _GRU_AXES[role] for role, variable in variables.items()},
            attributes=_attributes(forward, node, operands, variables),
            data=behind(forward.graph, node.operand(operands.data), STEP_OPS),
            before={
                name: behind(forward.graph, node.operand(operand), STEP_OPS)
                for name, (operand, _) in operands.states.items()
            },
            after={name: f"{node.name}:{out}" for name, (_, out) in operands.states.items()},
            nodes=frozenset((node.name,)),
        )
    ]


def _whole_variable(forward: Forward, tensor: str) -> Optional[str]:
    found = variable_columns(forward, tensor)
    if found is None or found[1]:
        return None
    return found[0].variable


def _attributes(
    forward: Forward, node: Node, operands: _Operands, variables: Mapping[str, str]
) -> Dict[str, Any]:
    kernel = variables.get("kernel") or variables["gate_kernel"]
    rows, columns = forward.table.info[kernel].shape
    if operands.kind == "gru":
        units = columns // 2
        return cell_attributes(
            cell=operands.cell,
            gate_order="ru",
            units=units,
            input_size=rows - units,
            activation="tanh",
            recurrent_activation="sigmoid",
            reset_after=False,
        )
    units = columns // 4
    forget_bias, clip = node.attribute("forget_bias"), node.attribute("cell_clip")
    bound = _CELL_CLIP if clip is None else clip
    return cell_attributes(
        cell=operands.cell,
        gate_order="ijfo",
        forget_bias=_FORGET_BIAS if forget_bias is None else forget_bias,
        units=units,
        input_size=rows - units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_peephole="peephole_input" in variables,
        # The kernels clip where the bound is above zero.
        cell_clip=bound if bound > 0 else None,
    )
