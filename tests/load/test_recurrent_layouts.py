"""LSTM and GRU layouts: torch's modules against the formulas of TensorFlow's cells, in numpy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stage_load.contract import definition_path
from stage_load.layouts.registry import FAMILIES
from stage_load.layouts.rule import RuleError
from stage_load.trace import trace_model

BATCH, TIME, INPUTS, UNITS, PROJECTION = 2, 7, 5, 3, 2
PLAIN = {
    "gate_order": "ijfo",
    "forget_bias": 1.0,
    "projection_size": None,
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "use_peephole": False,
    "cell_clip": None,
    "projection_clip": None,
}
KERAS = {**PLAIN, "gate_order": "ifjo", "forget_bias": 0.0}
GRU = {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": True}
PROJECTED = {**PLAIN, "projection_size": PROJECTION}
CUDNN_GRU = {**GRU, "gate_order": "ru"}
KERAS_GRU = {**GRU, "gate_order": "zrh"}

Arrays = Mapping[str, Any]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(attributes: Arrays, weights: Arrays, x: Any) -> Any:
    """TF 1.15.5 rnn_cell_impl.py, LSTMCell, and keras/layers/recurrent.py, LSTMCell."""
    kernel = np.concatenate([weights["kernel"], weights.get("recurrent_kernel", np.zeros((0, 12)))])
    size = weights["projection"].shape[1] if "projection" in weights else UNITS
    h, c, outputs = np.zeros((BATCH, size)), np.zeros((BATCH, UNITS)), []
    for step in range(TIME):
        product = np.concatenate([x[:, step], h], 1) @ kernel + weights.get("bias", 0.0)
        gate = dict(zip(attributes["gate_order"], np.split(product, 4, 1), strict=True))
        forget = sigmoid(gate["f"] + attributes["forget_bias"])
        c = forget * c + sigmoid(gate["i"]) * np.tanh(gate["j"])
        h = sigmoid(gate["o"]) * np.tanh(c)
        h = h @ weights["projection"] if "projection" in weights else h
        outputs.append(h)
    return np.stack(outputs, 1)


def cudnn_gru(attributes: Arrays, weights: Arrays, x: Any) -> Any:
    """TF 1.15.5 contrib/cudnn_rnn/python/ops/cudnn_rnn_ops.py, CudnnCompatibleGRUCell."""
    h, outputs = np.zeros((BATCH, UNITS)), []
    for step in range(TIME):
        joined = np.concatenate([x[:, step], h], 1)
        r, u = np.split(sigmoid(joined @ weights["gate_kernel"] + weights["gate_bias"]), 2, 1)
        state = h @ weights["candidate_recurrent_kernel"] + weights["candidate_recurrent_bias"]
        of_input = x[:, step] @ weights["candidate_input_kernel"] + weights["candidate_input_bias"]
        h = (1 - u) * np.tanh(of_input + r * state) + u * h
        outputs.append(h)
    return np.stack(outputs, 1)


def keras_gru(attributes: Arrays, weights: Arrays, x: Any) -> Any:
    """TF 1.15.5 keras/layers/recurrent.py, GRUCell with reset_after."""
    bias = weights.get("bias", np.zeros((2, 3 * UNITS)))
    h, outputs = np.zeros((BATCH, UNITS)), []
    for step in range(TIME):
        xz, xr, xh = np.split(x[:, step] @ weights["kernel"] + bias[0], 3, 1)
        hz, hr, hh = np.split(h @ weights["recurrent_kernel"] + bias[1], 3, 1)
        z = sigmoid(xz + hz)
        h = z * h + (1 - z) * np.tanh(xh + sigmoid(xr + hr) * hh)
        outputs.append(h)
    return np.stack(outputs, 1)


LSTM_SHAPES = {"kernel": (INPUTS + UNITS, 4 * UNITS), "bias": (4 * UNITS,)}
KERAS_SHAPES = {
    "kernel": (INPUTS, 4 * UNITS),
    "recurrent_kernel": (UNITS, 4 * UNITS),
    "bias": (4 * UNITS,),
}
GRU_SHAPES = {
    "gate_kernel": (INPUTS + UNITS, 2 * UNITS),
    "gate_bias": (2 * UNITS,),
    "candidate_input_kernel": (INPUTS, UNITS),
    "candidate_input_bias": (UNITS,),
    "candidate_recurrent_kernel": (UNITS, UNITS),
    "candidate_recurrent_bias": (UNITS,),
}
KERAS_GRU_SHAPES = {
    "kernel": (INPUTS, 3 * UNITS),
    "recurrent_kernel": (UNITS, 3 * UNITS),
    "bias": (2, 3 * UNITS),
}
PROJECTED_SHAPES = {
    "kernel": (INPUTS + PROJECTION, 4 * UNITS),
    "bias": (4 * UNITS,),
    "projection": (UNITS, PROJECTION),
}


def without_bias(shapes):
    return {role: shape for role, shape in shapes.items() if role != "bias"}


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(
    ("kind", "attributes", "shapes", "formula"),
    [
        pytest.param("lstm", PLAIN, LSTM_SHAPES, lstm, id="lstm"),
        pytest.param("lstm", {**PLAIN, "forget_bias": 0.3}, LSTM_SHAPES, lstm, id="forget-bias"),
        pytest.param("lstm", PLAIN, without_bias(LSTM_SHAPES), lstm, id="forget-bias-alone"),
        pytest.param("lstm", PROJECTED, PROJECTED_SHAPES, lstm, id="projected"),
        pytest.param("lstm", KERAS, KERAS_SHAPES, lstm, id="keras-lstm"),
        pytest.param("lstm", KERAS, without_bias(KERAS_SHAPES), lstm, id="keras-lstm-no-bias"),
        pytest.param("gru", CUDNN_GRU, GRU_SHAPES, cudnn_gru, id="cudnn-gru"),
        pytest.param("gru", KERAS_GRU, KERAS_GRU_SHAPES, keras_gru, id="keras-gru"),
        pytest.param(
            "gru",
            KERAS_GRU,
            without_bias(KERAS_GRU_SHAPES),
            keras_gru,
            id="keras-gru-no-bias",
        ),
    ],
)
def test_the_module_computes_what_the_cell_does(kind, attributes, shapes, formula):
    random = np.random.default_rng(0)
    weights = {role: random.normal(size=shape) for role, shape in shapes.items()}
    family = FAMILIES[kind]
    assert family.fills is not None
    assert family.constants is not None
    options = {"proj_size": PROJECTION} if "projection" in shapes else {}
    module = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](INPUTS, UNITS, batch_first=True, **options)
    tensors = {name.removesuffix("_l0"): value for name, value in module.named_parameters()}
    filled = dict.fromkeys(tensors, 0)
    with torch.no_grad():
        for role, fills in family.fills(attributes, shapes).items():
            for fill in fills:
                value = torch.from_numpy(fill.rule.apply(weights[role]))
                tensors[fill.parameter][fill.rule.part.index] = value.float()
                filled[fill.parameter] += value.numel()
        for name, constant in family.constants(attributes, shapes):
            part = tensors[name][constant.part.index]
            part.copy_(torch.tensor(constant.value).expand(part.shape))
            filled[name] += part.numel()
        x = random.normal(size=(BATCH, TIME, INPUTS))
        found = module(torch.from_numpy(x).float())[0].numpy()
    assert filled == {name: tensor.numel() for name, tensor in tensors.items()}
    np.testing.assert_allclose(found, formula(attributes, weights, x), atol=2e-6)


@pytest.mark.parametrize(
    ("kind", "attributes", "shapes", "message"),
    [
        pytest.param("lstm", {**PLAIN, "use_peephole": True}, LSTM_SHAPES, "peepholes", id="peeps"),
        pytest.param("lstm", {**PLAIN, "cell_clip": 0.5}, LSTM_SHAPES, "cell_clip=0.5", id="clip"),
        pytest.param(
            "lstm",
            {**PLAIN, "projection_clip": 3.0},
            LSTM_SHAPES,
            "projection_clip",
            id="projection",
        ),
        pytest.param("lstm", {**PLAIN, "activation": "relu"}, LSTM_SHAPES, "relu", id="activation"),
        pytest.param(
            "lstm",
            {**KERAS, "recurrent_activation": "hard_sigmoid"},
            KERAS_SHAPES,
            "hard_sigmoid",
            id="hard-sigmoid",
        ),
        pytest.param("lstm", {**PLAIN, "gate_order": None}, LSTM_SHAPES, "the gates", id="gates"),
        pytest.param(
            "lstm", {**PLAIN, "projection_size": 9}, LSTM_SHAPES, "has none for an input", id="rows"
        ),
        pytest.param(
            "gru", {**GRU, "reset_after": False}, GRU_SHAPES, "resets the state", id="reset-before"
        ),
        pytest.param("gru", {**GRU, "gate_order": "ij"}, GRU_SHAPES, "the gates", id="gru-gates"),
    ],
)
def test_what_torch_does_not_compute_is_refused(kind, attributes, shapes, message):
    with pytest.raises(RuleError, match=message):
        FAMILIES[kind].fills(attributes, shapes)


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(4, 3, num_layers=2, bidirectional=True, batch_first=True)
        self.one = nn.GRU(6, 2)
        self.cell = nn.GRUCell(2, 5)
        self.plain = nn.RNN(5, 2)

    def forward(self, x):
        return self.plain(self.cell(self.one(self.rnn(x)[0])[0][:, 0]))


def test_a_recurrent_module_is_a_unit_for_each_layer_and_direction():
    units = trace_model(Stack(), (torch.zeros(2, 7, 4),)).units
    assert [(unit.path, unit.kind, unit.is_reverse) for unit in units] == [
        ("rnn:l0", "lstm", False),
        ("rnn:l0_reverse", "lstm", True),
        ("rnn:l1", "lstm", False),
        ("rnn:l1_reverse", "lstm", True),
        ("one", "gru", False),
        ("cell", "gru", False),
        ("plain", None, False),
    ]
    upper = units[3].tensors
    assert {name: tensor.name for name, tensor in upper.items()} == {
        "weight_ih": "rnn.weight_ih_l1_reverse",
        "weight_hh": "rnn.weight_hh_l1_reverse",
        "bias_ih": "rnn.bias_ih_l1_reverse",
        "bias_hh": "rnn.bias_hh_l1_reverse",
    }
    assert upper["weight_ih"].shape == (12, 6)


@pytest.mark.parametrize(
    ("kind", "variants", "refused"),
    [
        pytest.param(
            "lstm",
            [(PLAIN, LSTM_SHAPES), (PROJECTED, PROJECTED_SHAPES), (KERAS, KERAS_SHAPES)],
            {"peephole_input", "peephole_forget", "peephole_output"},
            id="lstm",
        ),
        pytest.param(
            "gru",
            [(CUDNN_GRU, GRU_SHAPES), (KERAS_GRU, KERAS_GRU_SHAPES)],
            {"candidate_kernel", "candidate_bias"},
            id="gru",
        ),
    ],
)
def test_every_role_of_the_contract_has_rules_or_is_refused(kind, variants, refused):
    """A kernel "(IR)(GU)" is taken apart by one rule for its rows I and one for R."""
    roles = json.loads(definition_path(1).read_text())["op_kinds"][kind]["roles"]
    known: dict[str, set[str]] = {}
    for attributes, shapes in variants:
        for role, fills in FAMILIES[kind].fills(attributes, shapes).items():
            sources = list(dict.fromkeys(fill.rule.source for fill in fills))
            heads = "".join(source[0] for source in sources)
            axes = sources[0] if len(sources) == 1 else f"({heads}){sources[0][1:]}"
            known.setdefault(role, set()).add(axes)
    described = {role: set(entry["source_axes"]) for role, entry in roles.items()}
    # The bias of a Keras GRU without reset_after, which is refused, has one row only.
    if kind == "gru":
        described["bias"].remove("(GU)")
    assert known == {role: axes for role, axes in described.items() if role not in refused}
    assert refused <= described.keys()
