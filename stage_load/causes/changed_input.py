"""A layer's input that is the graph's own, but for its scale or the order of its channels."""

from __future__ import annotations

import torch
from torch import Tensor

from stage_load.axes import layer_to_tf
from stage_load.causes.cause import Suspect
from stage_load.verdict import Cause

_REMEDY = (
    "Leave that out of the model: what is done to an image before it is fed is not in the graph, "
    "and belongs into the caller's code on both sides"
)


def changed_input_cause(suspect: Suspect, expected: Tensor) -> Cause | None:
    """Look for reversed channels, and for ``x * scale + offset``.

    Args:
        suspect: the layer.
        expected: its input as the graph computes it, in TensorFlow's axes.
    """
    given = layer_to_tf(suspect.given, suspect.layer, expected.shape)
    if given.shape != expected.shape or not expected.is_floating_point():
        return None
    where = suspect.layer.input or suspect.layer.name
    last = 1 if suspect.layer.attributes.get("data_format") == "NCHW" else -1
    if suspect.is_same(suspect.given, expected.flip(last).numpy()):
        text = f"the module is given {where} with its channels reversed (BGR for RGB)"
        return Cause("channel order", suspect.path, text, _REMEDY, True)
    scale, offset = _line(expected.double(), given.double().to(expected.device))
    if suspect.is_same(suspect.given, (expected * scale + offset).numpy()):
        text = f"the module is given {where} * {scale:.5g} + {offset:.5g}"
        return Cause("scaling", suspect.path, text, _REMEDY, True)
    return None


def _line(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Return (scale, offset) of the straight line through all (x, y), by least squares."""
    mean_x, mean_y = x.mean(), y.mean()
    variance = torch.square(x - mean_x).mean()
    if float(variance) == 0.0:
        return 1.0, float(mean_y - mean_x)
    scale = float(((x - mean_x) * (y - mean_y)).mean() / variance)
    return scale, float(mean_y) - scale * float(mean_x)
