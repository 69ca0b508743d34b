"""How one tensor's axes are rearranged, written in axis letters.

A pattern names the axes in order: ``"HWIO"`` is kernel height, kernel width, input channels, output
channels. Letters in brackets share one axis, slowest first: ``"(HWC)O"`` is a matrix whose rows run
over height, then width, then channels. ``1`` is an axis of size one. The permutation is computed
from the two patterns, so the text of a rule cannot drift from what it does.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

AS_IS_TEXT = "as is"
CONSTANT_TEXT = "constant"
KEPT_TEXT = "kept"
SKIP_TEXT = "skip"
UNDECIDED_TEXT = "?"

ARROW = "->"
_AXIS = re.compile(r"\(([A-Z]+)\)|([A-Z]|1)")


class RuleError(ValueError):
    """A rule's text cannot be read, or the rule does not apply to a shape."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A rule applied to one shape: view, permute, write into a view of the target.

    ``target.reshape(target_view)[...] = source.reshape(source_view).transpose(permutation)`` needs
    no third array, whatever the rule.
    """

    source_view: tuple[int, ...]
    permutation: tuple[int, ...]
    target_view: tuple[int, ...]
    target_shape: tuple[int, ...]

    @property
    def is_copy(self) -> bool:
        """Whether the bytes stay in their order."""
        moved = [axis for axis in self.permutation if self.source_view[axis] != 1]
        return moved == sorted(moved)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rearrangement from ``source`` axes to ``target`` axes; both empty = as it is.

    ``sizes`` gives the sizes of bracketed letters that the shape alone does not tell.
    """

    source: str
    target: str
    sizes: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        if not self.source:
            return AS_IS_TEXT
        sizes = "".join(f" {letter}={size}" for letter, size in self.sizes)
        return f"{self.source}{ARROW}{self.target}{sizes}"

    def recipe(self, shape: Sequence[int]) -> Recipe:
        """Compute views and permutation for a source of this shape.

        Raises:
            RuleError: the shape does not have the axes that the rule names.
        """
        return _recipe(self, tuple(shape))

    def target_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape that a source of ``shape`` takes. Raises RuleError as ``recipe``."""
        return self.recipe(shape).target_shape

    def apply(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the rearranged array, contiguous. Raises RuleError as ``recipe``."""
        recipe = self.recipe(array.shape)
        moved = array.reshape(recipe.source_view).transpose(recipe.permutation)
        return np.ascontiguousarray(moved).reshape(recipe.target_shape)


AS_IS = Rule("", "")


@dataclass(frozen=True, slots=True)
class Constant:
    """Numbers that stand where TensorFlow has no variable: one for all, or one a channel."""

    value: float | tuple[float, ...]

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, float) else list(self.value)
        return f"{CONSTANT_TEXT} {json.dumps(value)}"


@dataclass(frozen=True, slots=True)
class Kept:
    """The torch model computes this buffer itself; it has no counterpart in the checkpoint."""

    def __str__(self) -> str:
        return KEPT_TEXT


@dataclass(frozen=True, slots=True)
class Skip:
    """The variable stays out of the torch model, on somebody's word."""

    def __str__(self) -> str:
        return SKIP_TEXT


@dataclass(frozen=True, slots=True)
class Undecided:
    """Nobody knows yet: stands in proposals only, and is no rule that can be read back."""

    def __str__(self) -> str:
        return UNDECIDED_TEXT


def split_axes(pattern: str) -> list[str]:
    """Split ``"(HWC)1O"`` into ``["HWC", "1", "O"]``."""
    return [match[1] or match[2] for match in _AXIS.finditer(pattern)]


def letters_of(pattern: str) -> list[str]:
    """Return the letters of a pattern, in order."""
    return [letter for letter in pattern if letter.isalpha()]


@lru_cache(maxsize=1024)
def _recipe(rule: Rule, shape: tuple[int, ...]) -> Recipe:
    if not rule.source:
        return Recipe(shape, tuple(range(len(shape))), shape, shape)
    axes = split_axes(rule.source)
    if len(axes) != len(shape):
        raise RuleError(f"{rule} wants {len(axes)} axes, the shape {list(shape)} has {len(shape)}")
    sizes: dict[str, int] = {}
    for axis, size in zip(axes, shape, strict=True):
        sizes.update(_axis_sizes(rule, axis, size))
    source = letters_of(rule.source)
    target = letters_of(rule.target)
    return Recipe(
        source_view=tuple(sizes[letter] for letter in source),
        permutation=tuple(source.index(letter) for letter in target),
        target_view=tuple(sizes[letter] for letter in target),
        target_shape=tuple(
            math.prod(sizes[letter] for letter in letters_of(axis))
            for axis in split_axes(rule.target)
        ),
    )


def _axis_sizes(rule: Rule, axis: str, size: int) -> Mapping[str, int]:
    """Give each letter of one source axis its size; the axis as a whole has ``size``."""
    if axis == "1":
        if size != 1:
            raise RuleError(f"{rule} wants an axis of size 1, found {size}")
        return {}
    given = dict(rule.sizes)
    sizes = {letter: given[letter] for letter in axis if letter in given}
    unknown = [letter for letter in axis if letter not in sizes]
    known = math.prod(sizes.values())
    if len(unknown) == 1 and known and size % known == 0:
        sizes[unknown[0]] = size // known
    elif unknown or known != size:
        raise RuleError(f"{rule} does not split an axis of size {size}")
    return sizes
