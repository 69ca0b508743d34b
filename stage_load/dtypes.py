"""The dtypes that a result can be stored in, besides the checkpoint's own."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType

import torch
from torch import nn

DTYPES: Mapping[str, torch.dtype] = MappingProxyType(
    {"float16": torch.float16, "bfloat16": torch.bfloat16}
)


def cast(model: nn.Module, name: str) -> None:
    """Give all floating tensors of a model, buffers too, the dtype; whole numbers stay."""
    for tensor in chain(model.parameters(), model.buffers()):
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(DTYPES[name])
