"""What a model is run on: TensorFlow's own inputs, in the axes and types that torch models take."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stage_load.axes import to_torch
from stage_load.channels import moves_channels
from stage_load.export_reader import Export
from stage_load.export_view import Endpoint

MOST_ELEMENTS = 1 << 28
"""Of an input made up of zeros; the model then computes many more from them."""


@dataclass(frozen=True)
class Feed:
    """How a model takes its inputs.

    Attributes:
        device: where the model is.
        keeps_axes: images (and what else would be moved) go in as TensorFlow has them,
            [N, H, W, C]; the model turns them itself.
    """

    device: torch.device
    keeps_axes: bool = False

    def reference_inputs(self, export: Export, model: nn.Module) -> tuple[Tensor, ...] | None:
        """Return the reference run's inputs in the order in which the model takes them.

        ``None`` without a reference run.
        """
        if export.reference is None:
            return None
        names = getattr(model, "tf1_inputs", None) or [e.tensor for e in export.view.inputs]
        feeds = {feed["tensor"] for feed in export.view.reference["feeds"]}
        return tuple(
            self._carried(_to_torch(export.reference.read(name)), name, export)
            for name in names
            if name in feeds
        )

    def zeros(self, export: Export) -> tuple[Tensor, ...] | None:
        """Return zeros for every input; ``None`` if a size is unknown, or beyond any image's."""
        values = {endpoint.tensor: _zero(endpoint) for endpoint in export.view.inputs}
        known = {name: value for name, value in values.items() if value is not None}
        if not known or len(known) < len(values):
            return None
        return tuple(self._carried(value, name, export) for name, value in known.items())

    def _carried(self, value: Tensor, name: str, export: Export) -> Tensor:
        moves = not self.keeps_axes and moves_channels(export.view, name, value.dim())
        return to_torch(_widened(value), moves=moves).to(self.device)


def _zero(endpoint: Endpoint) -> Tensor | None:
    dtype = getattr(torch, endpoint.dtype or "", None)
    if endpoint.shape is None or not isinstance(dtype, torch.dtype):
        return None
    batch_known = [1 if axis == 0 and s is None else s for axis, s in enumerate(endpoint.shape)]
    sizes = [size for size in batch_known if size is not None]
    if len(sizes) < len(batch_known) or math.prod(sizes) > MOST_ELEMENTS:
        return None
    return torch.zeros(sizes, dtype=dtype)


def _to_torch(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(array)


def _widened(value: Tensor) -> Tensor:
    """Make int64 of int16 and int32: ``one_hot``, ``gather`` and losses take no other indices."""
    return value.long() if value.dtype in (torch.int16, torch.int32) else value
