"""Batch norms with another epsilon, or with the batch's own statistics."""

from __future__ import annotations

import torch
from torch import Tensor

from stage_load.causes.cause import Suspect
from stage_load.verdict import Cause

_COMMON_EPSILONS = (1e-3, 1e-5, 1.001e-5, 1e-2, 1e-4, 1e-6, 1e-7, 1e-8, 1e-12, 0.0)


def norm_cause(suspect: Suspect) -> Cause | None:
    """Compute the batch norm as the graph does, then look for what the module does instead."""
    if suspect.layer.kind != "batch_norm":
        return None
    attributes = suspect.layer.attributes
    epsilon = attributes.get("effective_epsilon", attributes.get("epsilon"))
    if (
        epsilon is None
        or not _fits(suspect)
        or not suspect.agrees(_normalised(suspect, float(epsilon)))
    ):
        return None
    for other in _COMMON_EPSILONS:
        value = _normalised(suspect, other)
        if not suspect.agrees(value) and _is_near(suspect, value):
            text = f"the graph's epsilon is {epsilon:g}, the module computes with {other:g}"
            remedy = "Compute with self.eps, which is set from the graph"
            return Cause("epsilon", suspect.path, text, remedy, True)
    if _is_near(suspect, _normalised(suspect, float(epsilon), batch=True)):
        text = "the graph normalises with the moving averages, the module with the batch's own"
        remedy = "Take running_mean and running_var in eval mode"
        return Cause("statistics", suspect.path, text, remedy, True)
    return None


def _normalised(suspect: Suspect, epsilon: float, *, batch: bool = False) -> Tensor:
    """Return the batch norm of what the module was given [N, C, ...]."""
    x = suspect.given
    shape = [1, -1] + [1] * (x.dim() - 2)
    gamma, beta, mean, variance = (
        _vector(suspect, role, default, x).view(shape)
        for role, default in (
            ("gamma", 1.0),
            ("beta", 0.0),
            ("moving_mean", 0.0),
            ("moving_variance", 1.0),
        )
    )
    if batch:
        axes = [axis for axis in range(x.dim()) if axis != 1]
        variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + epsilon) * gamma + beta


def _fits(suspect: Suspect) -> bool:
    """Whether the module was given as many channels as the layer has."""
    sizes = {
        suspect.export.variables.entries[name].shape for name in suspect.layer.variables.values()
    }
    return suspect.given.dim() >= 2 and sizes == {(suspect.given.shape[1],)}


def _vector(suspect: Suspect, role: str, default: float, like: Tensor) -> Tensor:
    name = suspect.layer.variables.get(role)
    if name is None:
        value = suspect.layer.constants.get(role, {}).get("value", default)
        return like.new_tensor(value).flatten()
    return torch.from_numpy(suspect.export.variables.read(name)).to(like)


def _is_near(suspect: Suspect, value: Tensor) -> bool:
    """Whether ``value`` is what the module returned, and more exactly so than the graph's."""
    scale = float(suspect.returned.abs().max())
    difference = float((value - suspect.returned).abs().max())
    return value.shape == suspect.returned.shape and difference <= suspect.tolerance * scale / 10
