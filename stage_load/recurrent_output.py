"""What of a recurrent module's result is the output of one layer and direction.

``nn.LSTM`` and ``nn.GRU`` return the sequence of their last layer, both directions side by side on
the last axis, and the states after the last step. Cells return the state after one step.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from stage_load.export_view import Layer

_SEQUENCE_AXES = 3


class NoOutput(Exception):
    """The module returns no tensor that is the layer's output; the message says why."""


def recurrent_output(module: nn.Module, part: str, layer: Layer, output: Any) -> Tensor:
    """Return the output of one layer and direction, in the axes that TensorFlow's has.

    Args:
        module: an ``nn.LSTM``, ``nn.GRU``, ``nn.LSTMCell`` or ``nn.GRUCell``.
        part: ``"l1_reverse"``; empty for a module with one layer and direction.
        layer: TensorFlow's; its output is [T, N, U] where its attribute time_major is true.
        output: what the module returned.

    Raises:
        NoOutput: there is none.
    """
    if isinstance(module, nn.LSTMCell | nn.GRUCell):
        if layer.attributes.get("loop") != "step":
            raise NoOutput("its module computes single steps, the layer a sequence")
        state: Tensor = output[0] if isinstance(output, tuple) else output
        return state
    if not isinstance(module, nn.LSTM | nn.GRU):
        raise NoOutput(f"its module returns a {type(output).__name__}")
    sequence = output[0]
    if not isinstance(sequence, Tensor):
        raise NoOutput("its module returns a packed sequence")
    if part and part.removesuffix("_reverse") != f"l{module.num_layers - 1}":
        raise NoOutput("its module returns the sequence of its last layer only")
    if module.bidirectional:
        forward, backward = sequence.chunk(2, dim=-1)
        sequence = backward if part.endswith("_reverse") else forward
    if layer.attributes.get("direction") == "backward" and not part.endswith("_reverse"):
        # A module of one direction computes it on a sequence that its model has turned round.
        if layer.attributes.get("sequence_length") is not None:
            raise NoOutput("its module reads sequences turned round by their lengths")
        sequence = sequence.flip(1 if module.batch_first else 0)
    wanted = bool(layer.attributes.get("time_major"))
    is_turned = module.batch_first == wanted and sequence.dim() == _SEQUENCE_AXES
    return sequence.transpose(0, 1) if is_turned else sequence
