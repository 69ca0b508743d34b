"""Aligns two sequences, in order: as many equal keys as possible, then details and names.

This is the longest common subsequence of the keys, found by dynamic programming (Needleman and
Wunsch, 1970). Among the longest ones it is the one whose details (such as "has a bias") are equal
and whose names are alike most often. It is exact at every size: beyond ``MOST_CELLS`` pairs the
table is not kept, and the way through it is found by halves (Hirschberg, 1975).

Pure numpy, no torch: a key is anything hashable, such as a kind and its shapes.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stage_load.name_similarity import NameSimilarity

MOST_CELLS = 1_000_000
"""Pairs whose scores are kept, so that the margin of each pair is known as well."""

MOST_NAMED_CELLS = 16_000_000
"""Pairs whose names are compared: some seconds. Beyond, keys and details alone decide."""

CERTAIN = 1.0
"""The margin of a pair without which the alignment would have a pair less."""

_DETAIL_SHARE = 0.6
_NAME_SHARE = 0.4

Pair = tuple[int, int]
Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a sequence: what must be equal, a name, and what had better be equal."""

    key: Hashable
    name: str
    detail: Hashable = None


@dataclass(frozen=True, slots=True)
class Match:
    """A pair of the alignment.

    Attributes:
        left: index on the left.
        right: index on the right.
        margin: how much worse the best alignment without this pair is, ``CERTAIN`` or more where it
            has fewer pairs; below, the difference of names and details, 0 for an even choice.
    """

    left: int
    right: int
    margin: float


def align(left: Sequence[Element], right: Sequence[Element]) -> list[Pair]:
    """Return the pairs ``(index in left, index in right)``, both ascending."""
    return [(match.left, match.right) for match in align_with_margins(left, right)]


def align_with_margins(left: Sequence[Element], right: Sequence[Element]) -> list[Match]:
    """Return the pairs of the best alignment, ascending, each with its margin."""
    common = {element.key for element in left} & {element.key for element in right}
    a = [index for index, element in enumerate(left) if element.key in common]
    b = [index for index, element in enumerate(right) if element.key in common]
    lefts, rights = [left[index] for index in a], [right[index] for index in b]
    if [element.key for element in lefts] == [element.key for element in rights]:
        return [Match(i, j, CERTAIN) for i, j in zip(a, b, strict=True)]
    if len(a) * len(b) <= MOST_CELLS:
        return [Match(a[m.left], b[m.right], m.margin) for m in _Alignment(lefts, rights).best()]
    # Equal ends belong together in some longest alignment.
    head, tail = _equal_ends(lefts, rights)
    ends_a, ends_b = len(lefts) - tail, len(rights) - tail
    middle = _Alignment(lefts[head:ends_a], rights[head:ends_b]).best()
    found = [Match(i, i, CERTAIN) for i in range(head)]
    found += [Match(m.left + head, m.right + head, m.margin) for m in middle]
    found += [Match(ends_a + i, ends_b + i, CERTAIN) for i in range(tail)]
    return [Match(a[m.left], b[m.right], m.margin) for m in found]


def _equal_ends(left: Sequence[Element], right: Sequence[Element]) -> tuple[int, int]:
    """Return how many elements have equal keys at the begin, and then at the end."""
    most = min(len(left), len(right))
    head = 0
    while head < most and left[head].key == right[head].key:
        head += 1
    tail = 0
    while tail < most - head and left[-1 - tail].key == right[-1 - tail].key:
        tail += 1
    return head, tail


class _Alignment:
    """The table of two sequences."""

    def __init__(self, left: Sequence[Element], right: Sequence[Element]) -> None:
        numbers: dict[Hashable, int] = {}
        self._keys = _numbered([element.key for element in left], numbers)
        self._other_keys = _numbered([element.key for element in right], numbers)
        details: dict[Hashable, int] = {}
        self._details = _numbered([element.detail for element in left], details)
        self._other_details = _numbered([element.detail for element in right], details)
        self._names = NameSimilarity(
            [element.name for element in left], [element.name for element in right]
        )
        self.rows, self.columns = len(left), len(right)
        # All bonuses together stay below 1: none outweighs one more pair.
        self._bonus = 0.5 / max(1, min(self.rows, self.columns))

    def best(self) -> list[Match]:
        """Return the best alignment."""
        if not self.rows or not self.columns:
            return []
        if self.rows * self.columns > MOST_CELLS:
            pairs = self._by_halves((0, self.rows), (0, self.columns))
            return [Match(i, j, 0.0) for i, j in pairs]
        values = np.stack([self._values(row) for row in range(self.rows)])
        before = _table(values)
        pairs = self._way_back(before)
        after = _table(values[::-1, ::-1])[::-1, ::-1]
        return [Match(i, j, self._margin(values, before, after, i, j)) for i, j in pairs]

    def _values(self, row: int) -> Table:
        """Return the score of pairing a left element with each right one, 0 for unequal keys."""
        equal = self._other_keys == self._keys[row]
        alike = _DETAIL_SHARE * (self._other_details == self._details[row])
        if self.rows * self.columns <= MOST_NAMED_CELLS:
            alike = alike + _NAME_SHARE * self._names.row(row)
        return np.where(equal, 1 + self._bonus * alike, 0.0)

    def _way_back(self, before: Table) -> list[Pair]:
        pairs: list[Pair] = []
        row, column = self.rows, self.columns
        while row and column:
            score = before[row, column]
            if score == before[row - 1, column]:
                row -= 1
            elif score == before[row, column - 1]:
                column -= 1
            else:
                row, column = row - 1, column - 1
                pairs.append((row, column))
        return pairs[::-1]

    def _margin(self, values: Table, before: Table, after: Table, i: int, j: int) -> float:
        """Return the best score less the best one in which ``i`` has another place, or none."""
        unpaired = (before[i] + after[i + 1]).max()
        elsewhere = np.where(values[i] > 0, before[i, :-1] + values[i] + after[i + 1, 1:], 0.0)
        elsewhere[j] = 0.0
        margin = before[-1, -1] - max(unpaired, elsewhere.max())
        return CERTAIN if margin >= 0.5 else float(margin / self._bonus / _NAME_SHARE)

    def _by_halves(self, a: tuple[int, int], b: tuple[int, int]) -> list[Pair]:
        """Split the left side in the middle, and the right side where that costs nothing."""
        if a[0] == a[1] or b[0] == b[1]:
            return []
        if a[1] - a[0] == 1:
            values = self._values(a[0])[slice(*b)]
            place = int(values.argmax())
            return [(a[0], b[0] + place)] if values[place] > 0 else []
        middle = sum(a) // 2
        upper = self._last_row(range(a[0], middle), slice(*b), 1)
        lower = self._last_row(range(a[1] - 1, middle - 1, -1), slice(*b), -1)
        cut = b[0] + int((upper + lower[::-1]).argmax())
        return self._by_halves((a[0], middle), (b[0], cut)) + self._by_halves(
            (middle, a[1]), (cut, b[1])
        )

    def _last_row(self, rows: range, columns: slice, direction: int) -> Table:
        scores = np.zeros(columns.stop - columns.start + 1)
        for row in rows:
            scores = _next_row(scores, self._values(row)[columns][::direction])
        return scores


def _numbered(values: Sequence[Hashable], numbers: dict[Hashable, int]) -> NDArray[np.intp]:
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], np.intp)


def _table(values: Table) -> Table:
    """Return the best score of every two beginnings, [rows + 1, columns + 1]."""
    rows, columns = values.shape
    table = np.zeros((rows + 1, columns + 1))
    for row in range(rows):
        table[row + 1] = _next_row(table[row], values[row])
    return table


def _next_row(scores: Table, values: Table) -> Table:
    following = scores.copy()
    np.maximum(scores[1:], scores[:-1] + values, out=following[1:])
    return np.maximum.accumulate(following)
