"""Runs a model whose kernels are fitted to other input channels on TensorFlow's own inputs.

For the proof such a kernel stands in its module as TensorFlow has it, so that everything behind it
is compared; only the fitting itself is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from stage_load.layouts.adapted import Adapted
from stage_load.mapping import Row
from stage_load.patterns import Patterns
from stage_load.safetensors_reader import SafetensorsReader
from stage_load.trace import state_tensors


@contextmanager
def with_original_kernels(
    model: nn.Module, rows: Sequence[Row], reader: SafetensorsReader
) -> Iterator[None]:
    """While the block runs, let the model have ``Adapted`` kernels as TensorFlow has them.

    Args:
        model: loaded.
        rows: of the plan.
        reader: the variables.
    """
    targets = state_tensors(model)
    fitted = []
    for row in rows:
        if isinstance(row.rule, Adapted) and row.tf_name and row.torch_name:
            target = targets[row.torch_name]
            fitted.append((target, target.data))
            original = torch.from_numpy(row.rule.axes.apply(reader.read(row.tf_name)))
            target.data = original.to(target)
    try:
        yield
    finally:
        for target, data in fitted:
            target.data = data


@contextmanager
def accepting_other_channels(model: nn.Module, adapt: Patterns) -> Iterator[None]:
    """Let modules whose weight is named take any number of input channels while the block runs."""
    with ExitStack() as context:
        for path, module in model.named_modules():
            name = f"{path}.weight" if path else "weight"
            channels = getattr(module, "in_channels", None)
            if adapt.match(name) and isinstance(channels, int):
                handle = module.register_forward_pre_hook(_accept)
                context.callback(handle.remove)
                context.callback(setattr, module, "in_channels", channels)
        yield


def _accept(module: Any, args: Any) -> None:
    weight = module.weight
    if args and isinstance(args[0], Tensor) and args[0].dim() >= weight.dim() - 1:
        module.in_channels = args[0].shape[1 - weight.dim()]
