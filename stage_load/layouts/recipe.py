"""A rule applied to one shape: which elements go where, in numpy's and torch's own indices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from types import EllipsisType

Index = tuple[int | slice | EllipsisType, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A rule applied to one shape: view, cut, permute, write into a view of the target's part.

    For every ``(to, of, number)`` of ``steps``, with ``out`` the part of the target reshaped to
    ``target_view``: ``out[to] = source.reshape(source_view)[source_index].transpose(permutation)
    [of] + number``. This needs no third array, whatever the rule.

    Attributes:
        source_view: sizes of the source's letters.
        source_index: which indices of them are taken.
        permutation: of the letters.
        target_view: sizes of the target's letters, those of the part.
        target_shape: shape of the part.
        orders: place of a letter in the target -> indices of the source, in the target's order.
        added: place of a letter in the target -> numbers to add, in the target's order.
        is_whole: the whole source fills a whole target.
    """

    source_view: tuple[int, ...]
    permutation: tuple[int, ...]
    target_view: tuple[int, ...]
    target_shape: tuple[int, ...]
    source_index: Index = (...,)
    orders: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    added: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    is_whole: bool = True

    @property
    def is_copy(self) -> bool:
        """Whether the bytes stay as they are, in their order."""
        moved = [axis for axis in self.permutation if self.source_view[axis] != 1]
        return self.is_whole and not self.orders and not self.added and moved == sorted(moved)

    @property
    def steps(self) -> Iterator[tuple[Index, Index, float]]:
        """Yield index in the target, index in the permuted source, and the number to add."""
        axes = sorted({*self.orders, *self.added})
        if not axes:
            yield (...,), (...,), 0.0
            return
        for indices in product(*(range(self.target_view[axis]) for axis in axes)):
            to: list[int | slice] = [slice(None)] * len(self.target_view)
            of = to.copy()
            number = 0.0
            for axis, index in zip(axes, indices, strict=True):
                to[axis] = index
                of[axis] = self.orders[axis][index] if axis in self.orders else index
                number += self.added[axis][index] if axis in self.added else 0.0
            yield (*to, ...), (*of, ...), number
