"""Resizing with the coordinates of TensorFlow 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

METHODS = ("nearest", "bilinear", "bicubic")
# tensorflow/core/kernels/resize_bicubic_op.cc reads its weights from a table of so many steps.
_CUBIC_STEPS = 1024


class TF1Resize(nn.Module):
    """Nearest, bilinear or bicubic resize: [N, C, H, W] -> [N, C, size[0], size[1]].

    Without half-pixel centres and without aligned corners, the default in TensorFlow 1
    (``tf.image.resize_bilinear``), output index i reads input position i * (in / out); torch's
    bilinear and bicubic have no such mode (tensorflow/core/kernels/image_resizer_state.h).

    Args:
        size: (height, width) that comes out.
        scale_factor: or by how much the input grows, one number or (height, width).
        method: one of ``METHODS``.
        align_corners: the outermost pixels of both keep their place.
        half_pixel_centers: as TensorFlow 2 does, and ``F.interpolate`` by default.
    """

    def __init__(
        self,
        size: Sequence[int] | None = None,
        scale_factor: int | Sequence[int] | None = None,
        method: str = "bilinear",
        *,
        align_corners: bool = False,
        half_pixel_centers: bool = False,
    ) -> None:
        super().__init__()
        if method not in METHODS:
            raise ValueError(f"Method {method!r} is unknown. Known: {', '.join(METHODS)}.")
        if align_corners and half_pixel_centers:
            raise ValueError("align_corners and half_pixel_centers exclude each other.")
        if size is not None and scale_factor is not None:
            raise ValueError("Give size or scale_factor, not both.")
        self.size = None if size is None else tuple(size)
        both = (scale_factor, scale_factor) if isinstance(scale_factor, int) else scale_factor
        self.scale_factor = None if both is None else tuple(both)
        self.method = method
        self.align_corners = align_corners
        self.half_pixel_centers = half_pixel_centers

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Resize ``x`` [N, C, H, W]; ``output_size`` (h, w) takes the place of the size."""
        height, width = self._size_of(x) if output_size is None else output_size
        if self.method == "nearest" and not self.align_corners and not self.half_pixel_centers:
            return F.interpolate(x, size=[height, width])
        return self._resize_axis(self._resize_axis(x, 2, height), 3, width)

    def _size_of(self, x: Tensor) -> tuple[int, int]:
        if self.size is not None:
            return self.size[0], self.size[1]
        if self.scale_factor is None:
            raise ValueError("This resize has neither size nor scale_factor: give output_size.")
        return x.shape[2] * self.scale_factor[0], x.shape[3] * self.scale_factor[1]

    def _resize_axis(self, x: Tensor, axis: int, after: int) -> Tensor:
        before = x.shape[axis]
        position = self._positions(before, after, x.device)
        result: Tensor | None = None
        for index, weight in self._taps(position, before):
            part = x.index_select(axis, index.clamp(0, before - 1))
            if weight is not None:
                part = part * weight.to(x.dtype).view([-1 if a == axis else 1 for a in range(4)])
            result = part if result is None else result + part
        assert result is not None
        return result

    def _positions(self, before: int, after: int, device: torch.device) -> Tensor:
        index = torch.arange(after, dtype=torch.float32, device=device)
        if self.align_corners and after > 1:
            return index * ((before - 1) / (after - 1))
        if self.half_pixel_centers:
            return (index + 0.5) * (before / after) - 0.5
        return index * (before / after)

    def _taps(self, position: Tensor, before: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield the input positions that are read, and their weights; ``None`` is 1."""
        if self.method == "nearest":
            if self.half_pixel_centers:
                position = position + 0.5
            nearest = (position + 0.5).floor() if self.align_corners else position.floor()
            yield nearest.long(), None
            return
        low = position.floor()
        fraction = position - low
        if self.method == "bilinear":
            yield low.long(), 1 - fraction
            yield low.long() + 1, fraction
            return
        fraction = (fraction * _CUBIC_STEPS).round() / _CUBIC_STEPS
        indices = [low.long() + step for step in (-1, 0, 1, 2)]
        distances = [fraction + 1, fraction, 1 - fraction, 2 - fraction]
        yield from zip(indices, self._cubic(indices, distances, before), strict=True)

    def _cubic(self, indices: list[Tensor], distances: list[Tensor], before: int) -> list[Tensor]:
        """Return the four weights of each position (resize_bicubic_op.cc).

        With half-pixel centres they are Keys' (a = -0.5), and what lies outside of the image does
        not count; else a = -0.75, and the outermost pixel counts in its place.
        """
        a = -0.5 if self.half_pixel_centers else -0.75
        weights = [
            ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
            if outer
            else ((a + 2) * x - (a + 3)) * x * x + 1
            for x, outer in zip(distances, (True, False, False, True), strict=True)
        ]
        if not self.half_pixel_centers:
            return weights
        inside = [
            weight * ((index >= 0) & (index < before))
            for index, weight in zip(indices, weights, strict=True)
        ]
        total = torch.stack(inside).sum(0)
        return [weight / total for weight in inside]

    def extra_repr(self) -> str:
        """Show the settings in ``print(model)``."""
        size = f"size={self.size}" if self.scale_factor is None else f"scale={self.scale_factor}"
        settings = f"method={self.method!r}, align_corners={self.align_corners}"
        return f"{size}, {settings}, half_pixel_centers={self.half_pixel_centers}"
