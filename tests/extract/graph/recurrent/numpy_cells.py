"""Recurrent layers computed in numpy from nothing but their description."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

import numpy

Array = Any
_FUNCTIONS: Dict[str, Callable[[Array], Array]] = {
    "hard_sigmoid": lambda x: numpy.clip(0.2 * x + 0.5, 0, 1),
    "relu": lambda x: numpy.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + numpy.exp(-x)),
    "softsign": lambda x: x / (1 + numpy.abs(x)),
    "tanh": numpy.tanh,
}


class Result(NamedTuple):
    """All steps [N, T, units] in the order of the input, and the state after the last one."""

    outputs: Array
    state: Dict[str, Array]


def run_layer(
    layer: Mapping[str, Any],
    values: Mapping[str, Array],
    sequence: Array,
    lengths: Optional[Array],
    initial: Mapping[str, Optional[Array]],
) -> Result:
    """Run a layer over a sequence [N, T, inputs].

    Args:
        layer: the contract's entry.
        values: variable -> its value.
        lengths: of each sequence [N]; None if all steps count.
        initial: the state before the first step, None for zeros.
    """
    weights = {role: values[name] for role, name in layer["variables"].items()}
    attributes = layer["attributes"]
    rows, steps = sequence.shape[:2]
    ends = numpy.full(rows, steps) if lengths is None else lengths
    backward = attributes["direction"] == "backward"
    width = attributes["projection_size"] or attributes["units"]
    state = {"h": numpy.zeros((rows, width)), "c": numpy.zeros((rows, attributes["units"]))}
    state.update({name: one for name, one in initial.items() if one is not None})
    step = lstm_step if layer["kind"] == "lstm" else gru_step
    outputs = numpy.zeros((rows, steps, width))
    for turn in range(steps):
        # A sequence is turned round within its own length.
        place = ends - 1 - turn if backward else numpy.full(rows, turn)
        alive = (turn < ends)[:, None]
        data = sequence[numpy.arange(rows), place]
        new = step(weights, attributes, data, state)
        state = {name: numpy.where(alive, new[name], state[name]) for name in new}
        outputs[numpy.arange(rows)[alive[:, 0]], place[alive[:, 0]]] = state["h"][alive[:, 0]]
    return Result(outputs, state)


def lstm_step(
    weights: Mapping[str, Array], attributes: Mapping[str, Any], data: Array, state: Dict[str, Any]
) -> Dict[str, Array]:
    """Compute one step of an LSTM."""
    act, gate = (_FUNCTIONS[attributes[key]] for key in ("activation", "recurrent_activation"))
    summed = _summed(weights, "kernel", "recurrent_kernel", data, state["h"])
    summed = summed + weights.get("bias", 0)
    parts = dict(zip(attributes["gate_order"], numpy.split(summed, 4, axis=1)))
    forget = parts["f"] + attributes["forget_bias"] + weights.get("peephole_forget", 0) * state["c"]
    write = parts["i"] + weights.get("peephole_input", 0) * state["c"]
    cell = gate(forget) * state["c"] + gate(write) * act(parts["j"])
    cell = _clipped(cell, attributes["cell_clip"])
    result = gate(parts["o"] + weights.get("peephole_output", 0) * cell) * act(cell)
    if "projection" in weights:
        result = _clipped(result @ weights["projection"], attributes["projection_clip"])
    return {"h": result, "c": cell}


def gru_step(
    weights: Mapping[str, Array], attributes: Mapping[str, Any], data: Array, state: Dict[str, Any]
) -> Dict[str, Array]:
    """Compute one step of a GRU."""
    act, gate = (_FUNCTIONS[attributes[key]] for key in ("activation", "recurrent_activation"))
    old = state["h"]
    if attributes["cell"] == "keras_gru":
        update, candidate = _keras_gru(weights, attributes, data, old, gate)
    else:
        summed = numpy.hstack([data, old]) @ weights["gate_kernel"] + weights["gate_bias"]
        parts = dict(zip(attributes["gate_order"], numpy.split(gate(summed), 2, axis=1)))
        update, reset = parts["u"], parts["r"]
        if attributes["reset_after"]:
            inner = old @ weights["candidate_recurrent_kernel"]
            candidate = data @ weights["candidate_input_kernel"] + weights["candidate_input_bias"]
            candidate = candidate + reset * (inner + weights["candidate_recurrent_bias"])
        else:
            candidate = numpy.hstack([data, reset * old]) @ weights["candidate_kernel"]
            candidate = candidate + weights["candidate_bias"]
    return {"h": update * old + (1 - update) * act(candidate)}


def _keras_gru(
    weights: Mapping[str, Array],
    attributes: Mapping[str, Any],
    data: Array,
    old: Array,
    gate: Callable[[Array], Array],
) -> Any:
    bias = weights.get("bias", numpy.zeros(weights["kernel"].shape[1]))
    of_data, of_state = bias if bias.ndim == 2 else (bias, numpy.zeros_like(bias))
    entering = dict(zip("zrh", numpy.split(data @ weights["kernel"] + of_data, 3, axis=1)))
    kernels = dict(zip("zrh", numpy.split(weights["recurrent_kernel"], 3, axis=1)))
    biases = dict(zip("zrh", numpy.split(of_state, 3)))
    assert attributes["gate_order"] == "zrh"
    update, reset = (gate(entering[x] + old @ kernels[x] + biases[x]) for x in "zr")
    if attributes["reset_after"]:
        return update, entering["h"] + reset * (old @ kernels["h"] + biases["h"])
    return update, entering["h"] + (reset * old) @ kernels["h"]


def _summed(
    weights: Mapping[str, Array], kernel: str, recurrent: str, data: Array, old: Array
) -> Array:
    if recurrent in weights:
        return data @ weights[kernel] + old @ weights[recurrent]
    return numpy.hstack([data, old]) @ weights[kernel]


def _clipped(value: Array, bound: Optional[float]) -> Array:
    return value if bound is None else numpy.clip(value, -bound, bound)
