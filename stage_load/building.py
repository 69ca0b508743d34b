"""Builds a module without spending time on values that are overwritten at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from stage_load.errors import FactoryFailed

_INITIALISERS = frozenset(
    {
        "add_",
        "clamp_",
        "copy_",
        "div_",
        "erfinv_",
        "exponential_",
        "fill_",
        "mul_",
        "normal_",
        "random_",
        "sub_",
        "trunc_normal_",
        "uniform_",
        "zero_",
    }
)


class _LeaveParametersEmpty(TorchFunctionMode):
    """Skips in-place writes to parameters, all of which are loaded afterwards.

    Buffers are computed as ever: those outside the state dict have no other source.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in _INITIALISERS or getattr(func, "__module__", None) == "torch.nn.init":
            target = args[0] if args else kwargs.get("tensor")
            if isinstance(target, nn.Parameter):
                return target
        return func(*args, **kwargs)


def build(factory: Callable[[], nn.Module], device: torch.device) -> nn.Module:
    """Build a module in eval mode on ``device``; its parameters hold no values yet.

    Memory for a parameter is only asked for, not touched, until it is loaded.
    """
    with ExitStack() as context:
        if device.type != "cpu":
            context.enter_context(device)
        context.enter_context(_LeaveParametersEmpty())
        module = factory()
    _check_memory(module)
    return _moved(module, device).eval()


def _check_memory(module: nn.Module) -> None:
    """Check that every tensor has a shape and a place, and that hooks can be set.

    Raises:
        FactoryFailed: the model is lazy, without memory, or compiled to a script.
    """
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        raise _unusable("is a torch.jit.ScriptModule", "Return the module that was scripted.")
    for name, tensor in chain(module.named_parameters(), module.named_buffers()):
        if is_lazy(tensor):
            raise _unusable(
                f"has a tensor {name!r} without a shape (a lazy module)",
                "Give the layer its number of inputs, as in nn.Linear(in_features, out_features).",
            )
        if tensor.is_meta:
            raise _unusable(
                f"has a tensor {name!r} on the device 'meta', without memory",
                "Build the model on the CPU.",
            )


def _unusable(what: str, remedy: str) -> FactoryFailed:
    return FactoryFailed(
        f"The model {what}.",
        "Expected a plain torch.nn.Module whose tensors have shapes and memory.",
        remedy,
    )


def _moved(module: nn.Module, device: torch.device) -> nn.Module:
    """Move what a factory has put elsewhere; ``to`` alone would touch each of 50,000 tensors."""
    tensors = chain(module.parameters(), module.buffers())
    if all(tensor.device == device for tensor in tensors):
        return module
    return module.to(device)
