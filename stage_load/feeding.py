"""What a model is run on: TensorFlow's own inputs, in the axes and types that torch models take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stage_load.axes import graph_is_channels_first, image_to_torch
from stage_load.export_reader import Export
from stage_load.export_view import Endpoint


@dataclass(frozen=True)
class Feed:
    """How a model takes its inputs.

    Attributes:
        device: where the model is.
        keeps_axes: images go in as TensorFlow has them, [N, H, W, C]; the model turns them itself.
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
        values = [export.reference.read(name) for name in names if name in feeds]
        return tuple(self._carried(_to_torch(value), export) for value in values)

    def zeros(self, export: Export) -> tuple[Tensor, ...] | None:
        """Return zeros for every input, or ``None`` if a size other than the batch is unknown."""
        values = [_zero(endpoint) for endpoint in export.view.inputs]
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return None
        return tuple(self._carried(value, export) for value in known)

    def _carried(self, value: Tensor, export: Export) -> Tensor:
        stays = self.keeps_axes or graph_is_channels_first(export.view)
        return image_to_torch(_widened(value), channels_first=stays).to(self.device)


def _zero(endpoint: Endpoint) -> Tensor | None:
    dtype = getattr(torch, endpoint.dtype or "", None)
    if endpoint.shape is None or not isinstance(dtype, torch.dtype):
        return None
    batch_known = [1 if axis == 0 and s is None else s for axis, s in enumerate(endpoint.shape)]
    sizes = [size for size in batch_known if size is not None]
    return torch.zeros(sizes, dtype=dtype) if len(sizes) == len(batch_known) else None


def _to_torch(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(array)


def _widened(value: Tensor) -> Tensor:
    """Make int64 of int16 and int32: ``one_hot``, ``gather`` and losses take no other indices."""
    return value.long() if value.dtype in (torch.int16, torch.int32) else value
