"""A kernel fitted to another number of input channels, on its user's word.

Written as ``HWIO->OIHW adapt I 3->1``. With ``n`` input channels in TensorFlow and ``m`` in torch,
``m > n`` repeats the kernel's channels in their order, each divided by how often it stands there;
``m < n`` takes their mean, times ``n / m``, for each. An input whose channels are equal gives the
same result either way. Three to one is thus the sum over red, green and blue, which is customary
for images without colour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stage_load.layouts.rule import Rule, RuleError, split_axes

INPUT_AXIS = "I"
_CHANNELS = re.compile(r"\s+adapt I ([1-9][0-9]{0,17})->([1-9][0-9]{0,17})\s*$")


@dataclass(frozen=True, slots=True)
class Adapted:
    """A rearrangement, and then ``after`` input channels instead of ``before``."""

    axes: Rule
    before: int
    after: int

    def __str__(self) -> str:
        return f"{self.axes} adapt {INPUT_AXIS} {self.before}->{self.after}"

    def target_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape that a source of ``shape`` takes.

        Raises:
            RuleError: the shape lacks the axes, or has another number of input channels.
        """
        sizes = list(self.axes.target_shape(shape))
        axis = self._axis()
        if sizes[axis] != self.before:
            raise RuleError(f"{self} wants {self.before} input channels, found {sizes[axis]}")
        sizes[axis] = self.after
        return tuple(sizes)

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the kernel in torch's axes with its new channels. Raises as ``target_shape``."""
        self.target_shape(array.shape)
        axis = self._axis()
        kernel: NDArray[Any] = self.axes.apply(array)
        if self.after < self.before:
            mean = kernel.mean(axis=axis, keepdims=True, dtype=np.float64)
            fitted = np.repeat(mean * (self.before / self.after), self.after, axis=axis)
        else:
            origin = np.arange(self.after) % self.before
            copies = np.bincount(origin)[origin].astype(np.float64)
            along = [-1 if place == axis else 1 for place in range(kernel.ndim)]
            fitted = kernel.take(origin, axis=axis) / copies.reshape(along)
        return np.asarray(fitted, dtype=kernel.dtype)

    def _axis(self) -> int:
        axes = split_axes(self.axes.target)
        if INPUT_AXIS not in axes:
            raise RuleError(f"{self.axes} has no axis {INPUT_AXIS} of input channels of its own")
        return axes.index(INPUT_AXIS)


def split_adapted(text: str) -> tuple[str, tuple[int, int] | None]:
    """Split ``"HWIO->OIHW adapt I 3->1"`` into ``("HWIO->OIHW", (3, 1))``."""
    match = _CHANNELS.search(text)
    return (
        (text, None) if match is None else (text[: match.start()], (int(match[1]), int(match[2])))
    )


def input_channels(rule: Rule, before: tuple[int, ...], after: tuple[int, ...]) -> Adapted | None:
    """Return the rule that fits a kernel, or ``None`` if more than its input channels differ."""
    axes = split_axes(rule.target)
    differing = differing_axes(rule, before, after)
    if differing != [INPUT_AXIS]:
        return None
    axis = axes.index(INPUT_AXIS)
    return Adapted(rule, before[axis], after[axis])


def differing_axes(rule: Rule, before: tuple[int, ...], after: tuple[int, ...]) -> list[str]:
    """Return the letters of the torch axes in which two shapes differ; ``"?"`` for other ranks."""
    axes = split_axes(rule.target)
    if not len(axes) == len(before) == len(after):
        return ["?"]
    return [axis for axis, a, b in zip(axes, before, after, strict=True) if a != b]
