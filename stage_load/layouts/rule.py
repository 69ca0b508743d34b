"""How one tensor's axes are rearranged, written in axis letters.

A pattern names the axes in order: ``"HWIO"`` is kernel height, kernel width, input channels, output
channels. Letters in brackets share one axis, slowest first: ``"(HWC)O"`` is a matrix whose rows run
over height, then width, then channels. ``1`` is an axis of size one. The permutation is computed
from the two patterns, so the text of a rule cannot drift from what it does.

Words behind the patterns say more of single letters, with indices from 0 and ends excluded:

- ``H=7``: the size of a letter in brackets;
- ``I=0:7``: only these indices of the source axis I are taken;
- ``G=0,2,1,3``: torch's indices 0, 1, 2, 3 of G are the source's 0, 2, 1, 3;
- ``G+=0,1,0,0``: numbers added along G, in torch's order;
- ``@16:32`` or ``@:,3:6``: only this part of the torch tensor is filled, axis by axis.

So ``I(GU)->(GU)I I=0:7 G=0,2,1,3`` makes an LSTM's ``weight_ih`` of the first 7 rows of a kernel.
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

from stage_load.layouts.recipe import Index, Recipe

AS_IS_TEXT = "as is"
CONSTANT_TEXT = "constant"
KEPT_TEXT = "kept"
SKIP_TEXT = "skip"
UNDECIDED_TEXT = "?"

ARROW = "->"
_AXIS = re.compile(r"\(([A-Z]+)\)|([A-Z]|1)")


class RuleError(ValueError):
    """A rule's text cannot be read, or the rule does not apply to a shape."""


Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a tensor: begin and end for each of its first axes, ``None`` = the whole axis."""

    ranges: tuple[Range | None, ...] = ()

    def __str__(self) -> str:
        ranges = (":" if r is None else f"{r[0]}:{r[1]}" for r in self.ranges)
        return f"@{','.join(ranges)}" if self.ranges else ""

    @property
    def index(self) -> Index:
        """What cuts the part out of a tensor."""
        return (*(slice(None) if r is None else slice(*r) for r in self.ranges), ...)

    def box(self, shape: Sequence[int]) -> tuple[Range, ...]:
        """Return begin and end on every axis of a tensor.

        Raises:
            RuleError: a tensor of that shape has no such part.
        """
        if len(self.ranges) > len(shape):
            raise RuleError(f"{self} speaks of {len(self.ranges)} axes, {list(shape)} has fewer")
        ranges = (*self.ranges, *(None for _ in shape[len(self.ranges) :]))
        found = tuple((0, size) if r is None else r for r, size in zip(ranges, shape, strict=True))
        if any(end > size for (_, end), size in zip(found, shape, strict=True)):
            raise RuleError(f"{self} reaches beyond the shape {list(shape)}")
        return found


WHOLE = Part()


@dataclass(frozen=True, slots=True)
class Rule:
    """A rearrangement from ``source`` axes to ``target`` axes; both empty = as it is.

    Attributes:
        source: axes in TensorFlow.
        target: axes in torch.
        sizes: of bracketed letters that the shape alone does not tell.
        ranges: letter -> begin and end of what is taken of that axis.
        orders: letter -> the source's indices in torch's order.
        added: letter -> numbers added along it, in torch's order.
        part: the part of the torch tensor that is filled.
    """

    source: str
    target: str
    sizes: tuple[tuple[str, int], ...] = ()
    ranges: tuple[tuple[str, Range], ...] = ()
    orders: tuple[tuple[str, tuple[int, ...]], ...] = ()
    added: tuple[tuple[str, tuple[float, ...]], ...] = ()
    part: Part = WHOLE

    def __str__(self) -> str:
        words = [f"{self.source}{ARROW}{self.target}" if self.source else AS_IS_TEXT]
        words += [f"{letter}={size}" for letter, size in self.sizes]
        words += [f"{letter}={begin}:{end}" for letter, (begin, end) in self.ranges]
        words += [f"{letter}={','.join(map(str, order))}" for letter, order in self.orders]
        words += [f"{letter}+={','.join(map(_number, added))}" for letter, added in self.added]
        return " ".join((*words, str(self.part))).rstrip()

    def recipe(self, shape: Sequence[int]) -> Recipe:
        """Compute views and permutation for a source of this shape.

        Raises:
            RuleError: the shape does not have the axes that the rule names.
        """
        return _recipe(self, tuple(shape))

    def target_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape that a source of ``shape`` takes. Raises RuleError as ``recipe``."""
        return self.recipe(shape).target_shape

    def source_box(self, shape: Sequence[int]) -> tuple[Range, ...]:
        """Return begin and end of what is taken on every axis of a source of ``shape``."""
        ranges = dict(self.ranges)
        axes = split_axes(self.source) if self.source else [""] * len(shape)
        return tuple(ranges.get(axis, (0, size)) for axis, size in zip(axes, shape, strict=True))

    def apply(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the rearranged array, contiguous. Raises RuleError as ``recipe``."""
        recipe = self.recipe(array.shape)
        view = array.reshape(recipe.source_view)[recipe.source_index]
        moved = view.transpose(recipe.permutation)
        result = np.empty(recipe.target_view, array.dtype)
        for to, of, number in recipe.steps:
            result[to] = moved[of]
            if number:
                result[to] += np.asarray(number, array.dtype)
        return result.reshape(recipe.target_shape)


AS_IS = Rule("", "")


@dataclass(frozen=True, slots=True)
class Constant:
    """Numbers that stand where TensorFlow has no variable: one for all, or one a channel."""

    value: float | tuple[float, ...]
    part: Part = WHOLE

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, float) else list(self.value)
        return f"{CONSTANT_TEXT} {json.dumps(value)} {self.part}".rstrip()


@dataclass(frozen=True, slots=True)
class Kept:
    """The torch model computes this buffer itself; it has no counterpart in the checkpoint."""

    def __str__(self) -> str:
        return KEPT_TEXT


@dataclass(frozen=True, slots=True)
class Skip:
    """The variable, or a part of it, stays out of the torch model, on somebody's word."""

    part: Part = WHOLE

    def __str__(self) -> str:
        return f"{SKIP_TEXT} {self.part}".rstrip()


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


def part_of(rule: object) -> Part:
    """Return the part of the torch tensor that a rule of any kind fills."""
    return rule.part if isinstance(rule, Rule | Constant) else WHOLE


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


@lru_cache(maxsize=1024)
def _recipe(rule: Rule, shape: tuple[int, ...]) -> Recipe:
    is_whole = not rule.ranges and not rule.part.ranges
    if not rule.source:
        return Recipe(shape, tuple(range(len(shape))), shape, shape, is_whole=is_whole)
    axes = split_axes(rule.source)
    if len(axes) != len(shape):
        raise RuleError(f"{rule} wants {len(axes)} axes, the shape {list(shape)} has {len(shape)}")
    sizes: dict[str, int] = {}
    for axis, size in zip(axes, shape, strict=True):
        sizes.update(_axis_sizes(rule, axis, size))
    source = letters_of(rule.source)
    target = letters_of(rule.target)
    taken = dict(sizes)
    for letter, (begin, end) in rule.ranges:
        if letter not in axes or end > sizes[letter]:
            raise RuleError(f"{rule}: {letter} is no axis that reaches from {begin} to {end}")
        taken[letter] = end - begin
    for letter, numbers in (*rule.orders, *rule.added):
        if len(numbers) != taken[letter]:
            raise RuleError(f"{rule} gives {len(numbers)} for {letter}, which has {taken[letter]}")
    cuts = dict(rule.ranges)
    return Recipe(
        source_view=tuple(sizes[letter] for letter in source),
        permutation=tuple(source.index(letter) for letter in target),
        target_view=tuple(taken[letter] for letter in target),
        target_shape=tuple(
            math.prod(taken[letter] for letter in letters_of(axis))
            for axis in split_axes(rule.target)
        ),
        source_index=(*(slice(*cuts.get(letter, (0, sizes[letter]))) for letter in source), ...),
        orders={target.index(letter): order for letter, order in rule.orders},
        added={target.index(letter): numbers for letter, numbers in rule.added},
        is_whole=is_whole,
    )


def _axis_sizes(rule: Rule, axis: str, size: int) -> Mapping[str, int]:
    """Give each letter of one source axis its size; the axis as a whole has ``size``."""
    if axis == "1":
        if size != 1:
            raise RuleError(f"{rule} wants an axis of size 1, found {size}")
        return {}
    counts = {letter: len(numbers) for letter, numbers in (*rule.orders, *rule.added)}
    given = {**counts, **dict(rule.sizes)} if len(axis) > 1 else {}
    sizes = {letter: given[letter] for letter in axis if letter in given}
    unknown = [letter for letter in axis if letter not in sizes]
    known = math.prod(sizes.values())
    if len(unknown) == 1 and known and size % known == 0:
        sizes[unknown[0]] = size // known
    elif unknown or known != size:
        raise RuleError(f"{rule} does not split an axis of size {size}")
    return sizes
