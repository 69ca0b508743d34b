"""Which torch modules are the counterpart of which kind of TensorFlow operation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def _conv2d(module: nn.Conv2d) -> str | None:
    if module.groups == 1:
        return "conv2d"
    # TensorFlow 1 has no other grouped convolution.
    return "depthwise_conv2d" if module.groups == module.in_channels else None


def _conv_transpose2d(module: nn.ConvTranspose2d) -> str | None:
    return "conv2d_transpose" if module.groups == 1 else None


KINDS: Mapping[type[nn.Module], Callable[..., str | None]] = MappingProxyType(
    {
        nn.Conv2d: _conv2d,
        nn.ConvTranspose2d: _conv_transpose2d,
        nn.Linear: lambda module: "dense",
        nn.Embedding: lambda module: "embedding",
        _BatchNorm: lambda module: "batch_norm",
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
