"""Finds the modules that hold tensors, and the order in which they run.

The model is run once, with hooks, before its weights are known. Only the order counts, so the
products of plain convolutions and linear layers are left out: zeros of the right shape go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from stage_load.module_kinds import (
    Convolution,
    Transposed,
    module_groups,
    module_kind,
    recurrent_parts,
)
from stage_load.modules import SamePadConv2d
from stage_load.running import ModelRaised, foreign_code
from stage_load.safetensors_header import shared_shape
from stage_load.torch_dataflow import DataflowWatch
from stage_load.torch_units import TorchModel, TorchTensor, TorchUnit


def trace_model(model: nn.Module, inputs: Sequence[Tensor] | None) -> TorchModel:
    """Describe a model's tensors, its modules in the order in which they run.

    Args:
        model: in eval mode; its parameters may be empty.
        inputs: what to run it on, on its device; ``None`` when none is known.
    """
    tensors, aliases, owned = _own_tensors(model)
    calls: dict[str, int] = {}
    note = "no input is known"
    watch = DataflowWatch()
    if inputs is not None:
        failure = _run(model, inputs, owned, calls, watch)
        note = "" if failure is None else f"it fails on the input: {failure}"
    if note:
        calls.clear()
    ran = [*calls, *(path for path in owned if path not in calls)]
    modules = dict(model.named_modules())
    units = tuple(
        TorchUnit(
            path=f"{path}{part}",
            kind=module_kind(modules[path], owned[path]),
            tensors=MappingProxyType(own),
            calls=calls.get(path, 0),
            epsilon=_epsilon(modules[path]),
            groups=module_groups(modules[path]),
        )
        for path in ran
        for part, own in recurrent_parts(modules[path], owned[path]).items()
    )
    flow = None if note else watch.flow
    return TorchModel(units, MappingProxyType(tensors), aliases, note or None, flow)


def _epsilon(module: nn.Module) -> float | None:
    value = getattr(module, "eps", None)
    return float(value) if isinstance(value, float | int) else None


def state_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of the state dict by name, each under all its names.

    Unlike ``state_dict()`` these are the model's own tensors, not views of them.
    """
    return {
        f"{path}.{own_name}" if path else own_name: tensor
        for path, module in model.named_modules(remove_duplicate=False)
        for own_name, tensor, _ in persistent_tensors(module)
    }


def _own_tensors(
    model: nn.Module,
) -> tuple[dict[str, TorchTensor], dict[str, str], dict[str, dict[str, TorchTensor]]]:
    """Return tensors by name, aliases of tied ones, and module path -> own name -> tensor."""
    tensors: dict[str, TorchTensor] = {}
    aliases: dict[str, str] = {}
    owned: dict[str, dict[str, TorchTensor]] = {}
    first: dict[int, TorchTensor] = {}
    seen: set[int] = set()
    for path, module in model.named_modules(remove_duplicate=False):
        for own_name, tensor, is_buffer in persistent_tensors(module):
            name = f"{path}.{own_name}" if path else own_name
            known = first.get(id(tensor))
            if known is None:
                known = TorchTensor(name, shared_shape(tuple(tensor.shape)), is_buffer)
                first[id(tensor)] = tensors[name] = known
            else:
                aliases[name] = known.name
            if id(module) not in seen:
                owned.setdefault(path, {})[own_name] = known
        seen.add(id(module))
    return tensors, aliases, owned


def persistent_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor, bool]]:
    """Yield own name, tensor and "is a buffer" of what a module itself adds to the state dict."""
    for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
        yield name, parameter, False
    hidden = module._non_persistent_buffers_set
    for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
        if name not in hidden:
            yield name, buffer, True


def _run(
    model: nn.Module,
    inputs: Sequence[Tensor],
    owned: Mapping[str, object],
    calls: dict[str, int],
    watch: DataflowWatch,
) -> str | None:
    """Run the model and count calls by module path; return what went wrong, if anything."""

    def enter(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def count(module: nn.Module, args: Any, kwargs: Any) -> None:
            del module
            calls[path] = calls.get(path, 0) + 1
            watch.enters(path, args, kwargs)

        return count

    def leave(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def mark(module: nn.Module, args: Any, output: Any) -> None:
            del module, args
            watch.leaves(path, output)

        return mark

    with ExitStack() as context:
        for path, module in model.named_modules():
            if path in owned:
                handle = module.register_forward_pre_hook(enter(path), with_kwargs=True)
                context.callback(handle.remove)
                if not any(module.children()):
                    context.callback(module.register_forward_hook(leave(path)).remove)
            context.enter_context(_without_product(module))
        context.enter_context(torch.inference_mode())
        watch.starts(inputs)
        try:
            with foreign_code(), watch:
                model(*inputs)
        except ModelRaised as error:
            return str(error)
    return None


@contextmanager
def _without_product(module: nn.Module) -> Iterator[None]:
    """Let a plain convolution or linear layer return zeros; leave every other module alone."""
    shape_of = _OUTPUT_SHAPES.get(type(module).forward)
    # A forward of the module's own, set from outside, is not the plain one either.
    if shape_of is None or "forward" in vars(module):
        yield
        return
    original = module.forward

    def forward(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if args or kwargs:
            result: Tensor = original(x, *args, **kwargs)
            return result
        return x.new_zeros(shape_of(module, tuple(x.shape)))

    module.forward = forward
    try:
        yield
    finally:
        del module.forward


def _linear_shape(module: nn.Linear, shape: tuple[int, ...]) -> tuple[int, ...]:
    if shape[-1] != module.in_features:
        raise ValueError(f"the input has {shape[-1]} features, the layer {module.in_features}")
    return (*shape[:-1], module.out_features)


def _conv_shape(module: Convolution, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape after a convolution of any number of axes."""
    before, spatial = _split_shape(module, shape)
    if module.padding == "same":
        return (*before, module.out_channels, *spatial)
    padding = [0] * len(spatial) if isinstance(module.padding, str) else module.padding
    sizes = [
        (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
        for size, pad, dilation, kernel, stride in zip(
            spatial, padding, module.dilation, module.kernel_size, module.stride, strict=True
        )
    ]
    return (*before, module.out_channels, *sizes)


def _same_conv_shape(module: Convolution, shape: tuple[int, ...]) -> tuple[int, ...]:
    before, spatial = _split_shape(module, shape)
    sizes = (-(-size // stride) for size, stride in zip(spatial, module.stride, strict=True))
    return (*before, module.out_channels, *sizes)


def _conv_transpose_shape(module: Transposed, shape: tuple[int, ...]) -> tuple[int, ...]:
    before, spatial = _split_shape(module, shape)
    padding = (0,) * len(spatial) if isinstance(module.padding, str) else module.padding
    sizes = [
        (size - 1) * module.stride[axis]
        - 2 * padding[axis]
        + module.dilation[axis] * (module.kernel_size[axis] - 1)
        + module.output_padding[axis]
        + 1
        for axis, size in enumerate(spatial)
    ]
    return (*before, module.out_channels, *sizes)


def _split_shape(
    module: Convolution | Transposed, shape: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the batch, if there is one, and the spatial sizes of what a convolution is given."""
    channels = len(shape) - len(module.kernel_size) - 1
    if channels not in (0, 1) or shape[channels] != module.in_channels:
        raise ValueError(
            f"the input has the shape {list(shape)}, the layer {module.in_channels} channels"
        )
    return shape[:channels], shape[channels + 1 :]


_OUTPUT_SHAPES: Mapping[Any, Callable[[Any, tuple[int, ...]], tuple[int, ...]]] = {
    nn.Linear.forward: _linear_shape,
    nn.Conv1d.forward: _conv_shape,
    nn.Conv2d.forward: _conv_shape,
    nn.Conv3d.forward: _conv_shape,
    SamePadConv2d.forward: _same_conv_shape,
    nn.ConvTranspose1d.forward: _conv_transpose_shape,
    nn.ConvTranspose2d.forward: _conv_transpose_shape,
    nn.ConvTranspose3d.forward: _conv_transpose_shape,
}
