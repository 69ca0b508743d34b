"""Which torch modules are the counterpart of which kind of TensorFlow operation."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from stage_load.torch_units import TorchTensor

# TensorFlow has no depthwise convolution over three.
_MOST_DEPTHWISE_AXES = 2

# torch's classes for convolutions over one to three axes.
Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d


def _convolution(module: Convolution) -> str:
    kind = f"conv{len(module.kernel_size)}d"
    return f"depthwise_{kind}" if _is_depthwise(module) else kind


def _is_depthwise(module: Convolution) -> bool:
    has_kind = len(module.kernel_size) <= _MOST_DEPTHWISE_AXES
    return has_kind and 1 < module.groups == module.in_channels


def _transposed(module: Transposed) -> str | None:
    return f"conv{len(module.kernel_size)}d_transpose" if module.groups == 1 else None


def _group_norm(module: nn.GroupNorm) -> str | None:
    """A group of one channel is an instance norm."""
    return "instance_norm" if module.num_groups == module.num_channels else "group_norm"


_RECURRENT_TENSOR = re.compile(
    r"(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)_(l[0-9]+(?:_reverse)?)"
)

KINDS: Mapping[type[nn.Module], Callable[..., str | None]] = MappingProxyType(
    {
        **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
        **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _transposed),
        nn.Linear: lambda module: "dense",
        nn.Embedding: lambda module: "embedding",
        nn.GroupNorm: _group_norm,
        nn.LayerNorm: lambda module: "layer_norm",
        nn.PReLU: lambda module: "prelu",
        nn.GRU: lambda module: "gru",
        nn.GRUCell: lambda module: "gru",
        nn.LSTM: lambda module: "lstm",
        nn.LSTMCell: lambda module: "lstm",
        _BatchNorm: lambda module: "batch_norm",
        _InstanceNorm: lambda module: "instance_norm",
    }
)


def module_kind(module: nn.Module, tensor_names: Collection[str]) -> str | None:
    """Return the op kind that a module is the counterpart of; subclasses count as their base.

    Args:
        module: a module that holds tensors itself.
        tensor_names: its own names of them; a module with nothing but a bias adds that bias.
    """
    for base, kind in KINDS.items():
        if isinstance(module, base):
            found: str | None = kind(module)
            return found
    return "bias_add" if set(tensor_names) == {"bias"} else None


def module_groups(module: nn.Module) -> int:
    """Return how many groups a convolution or a group norm has; 1 where the kind says it, or none.

    A depthwise convolution has as many as input channels, an instance norm as many as channels.
    """
    if isinstance(module, nn.GroupNorm):
        return 1 if _group_norm(module) == "instance_norm" else module.num_groups
    if not isinstance(module, Convolution) or _is_depthwise(module):
        return 1
    return module.groups


def recurrent_parts(
    module: nn.Module, tensors: Mapping[str, TorchTensor]
) -> dict[str, dict[str, TorchTensor]]:
    """Split what an ``nn.LSTM`` or ``nn.GRU`` holds by layer and direction.

    Args:
        module: any module.
        tensors: own name -> tensor.

    Returns:
        ``":l1_reverse"`` -> name as a cell has it (``"weight_ih"``) -> tensor, in the module's
        order; everything under ``""`` where there is nothing to split.
    """
    if not isinstance(module, nn.LSTM | nn.GRU):
        return {"": dict(tensors)}
    found: dict[str, dict[str, TorchTensor]] = {}
    for name, tensor in tensors.items():
        match = _RECURRENT_TENSOR.fullmatch(name)
        # A subclass may hold more than its base.
        part, own_name = (f":{match[2]}", match[1]) if match else ("", name)
        found.setdefault(part, {})[own_name] = tensor
    return {"": next(iter(found.values()))} if len(found) == 1 else found
