"""Modules that return what comes after the layer: its activation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from stage_load.causes.cause import Suspect
from stage_load.verdict import Cause

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "Relu": torch.relu,
    "Relu6": F.relu6,
    "Elu": F.elu,
    "Selu": F.selu,
    "LeakyRelu": lambda x: F.leaky_relu(x, 0.2),
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "Softplus": F.softplus,
}


def activation_cause(suspect: Suspect) -> Cause | None:
    """Apply each activation to what TensorFlow computed, and look for what the module returned."""
    expected = torch.from_numpy(suspect.expected)
    for name, function in ACTIVATIONS.items():
        value = function(expected).numpy()
        if suspect.is_same(suspect.returned, value) and not suspect.agrees(suspect.returned):
            text = f"the module returns the layer's result after its activation ({name})"
            remedy = "Compute the activation outside of the module that holds the weights"
            return Cause("activation", suspect.path, text, remedy, True)
    return None
