"""Tensors computed from several variables: a batch norm, or a bias before one, taken into another.

At inference a batch norm is ``(x - mean) * s + beta`` with ``s = gamma / sqrt(variance + epsilon)``
(Ioffe and Szegedy, 2015, equation 11). Behind a convolution it can therefore be

- ``weight``: the kernel times ``s``, output channel by output channel,
- ``bias``: ``beta + (bias - mean) * s``;

and a bias before it can be taken into the moving average:

- ``mean``: ``mean - bias``.

Written as ``folded weight HWIO->OIHW {"epsilon": 0.001, "gamma": "bn/gamma", ...}``: a text names a
variable, a number stands for one that is absent. Computed in float64.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stage_load.layouts.rule import Rule, RuleError, split_axes

Array = NDArray[np.float64]
Operand = str | float
FOLDED_TEXT = "folded"

_SCALE = ("epsilon", "gamma", "moving_variance")
OPERANDS: Mapping[str, tuple[str, ...]] = {
    "weight": _SCALE,
    "bias": (*_SCALE, "beta", "bias"),
    "mean": ("bias",),
}
"""What is computed -> the operands beside the row's own variable."""


@dataclass(frozen=True, slots=True)
class Folded:
    """A tensor computed from a row's variable and others.

    Attributes:
        part: ``"weight"``, ``"bias"`` or ``"mean"``.
        axes: of a weight, how the kernel's axes are rearranged; else as they are.
        operands: sorted by name; a variable's name, or a number.
    """

    part: str
    axes: Rule
    operands: tuple[tuple[str, Operand], ...]

    def __str__(self) -> str:
        axes = f"{self.axes} " if self.part == "weight" else ""
        return f"{FOLDED_TEXT} {self.part} {axes}{json.dumps(dict(self.operands), sort_keys=True)}"

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that it takes beside the row's own."""
        return tuple(value for _, value in self.operands if isinstance(value, str))

    def apply(
        self, own: NDArray[np.generic], read: Callable[[str], NDArray[np.generic]]
    ) -> NDArray[np.generic]:
        """Compute the tensor.

        Args:
            own: the row's variable: the kernel, or moving_mean.
            read: returns another variable.

        Raises:
            RuleError: shapes do not go together.
        """
        given = {name: _array(value, read) for name, value in self.operands}
        computed = self._computed(own, given)
        return computed.astype(own.dtype)

    def _computed(self, own: NDArray[np.generic], given: Mapping[str, Array]) -> Array:
        if self.part == "mean":
            return own.astype(np.float64) - given["bias"]
        if self.part == "bias":
            return given["beta"] + (given["bias"] - own.astype(np.float64)) * _scale(given)
        moved = self.axes.apply(own).astype(np.float64)
        place = _output_axis(self.axes)
        scale = np.broadcast_to(_scale(given), (moved.shape[place],))
        along = [-1 if axis == place else 1 for axis in range(moved.ndim)]
        product: Array = moved * scale.reshape(along)
        return product


def parse_folded(text: str, parse_axes: Callable[[str], Rule]) -> Folded:
    """Read what ``str`` wrote.

    Raises:
        RuleError: the text is no such rule.
    """
    head, brace, operands = text.partition("{")
    words = head.split()
    if len(words) < 2 or words[1] not in OPERANDS or not brace:
        parts = ", ".join(OPERANDS)
        raise RuleError(f"{text!r} is no '{FOLDED_TEXT} PART {{...}}' with PART of {parts}")
    part = words[1]
    axes = parse_axes(" ".join(words[2:])) if part == "weight" else Rule("", "")
    try:
        values = json.loads(brace + operands)
    except (ValueError, RecursionError) as error:
        raise RuleError(f"{brace + operands!r} is no JSON: {error}") from error
    wanted = OPERANDS[part]
    if sorted(values) != sorted(wanted):
        raise RuleError(f"a folded {part} takes {', '.join(sorted(wanted))}, not {sorted(values)}")
    if not all(isinstance(value, str | int | float) for value in values.values()):
        raise RuleError(f"{brace + operands!r} holds more than names and numbers")
    return Folded(part, axes, tuple((k, _operand(v)) for k, v in sorted(values.items())))


def _operand(value: str | float) -> Operand:
    try:
        return value if isinstance(value, str) else float(value)
    except OverflowError as error:
        raise RuleError(f"a number of {len(str(value))} digits is too large") from error


def _array(value: Operand, read: Callable[[str], NDArray[np.generic]]) -> Array:
    return _vector(read(value) if isinstance(value, str) else np.float64(value))


def _vector(value: NDArray[np.generic] | np.generic) -> Array:
    """Return one value a channel, [C], however the graph shapes it; one number stays one."""
    array = np.asarray(value, np.float64)
    return array.reshape(-1) if array.size > 1 else array.reshape(())


def _scale(given: Mapping[str, Array]) -> Array:
    scale: Array = given["gamma"] / np.sqrt(given["moving_variance"] + given["epsilon"])
    return scale


def _output_axis(axes: Rule) -> int:
    """Return the place of the output channels in the target: O, or those of a depthwise kernel."""
    found = split_axes(axes.target)
    return next(i for i, axis in enumerate(found) if "O" in axis or "M" in axis)
