"""How alike the names of two sequences are, all against all, without comparing each with each.

Words that many names share say little: each word weighs ``log(1 + n / count)``, the inverse
document frequency of text retrieval (Spärck Jones, 1972). A word and the number behind it count
together as well, so that ``conv3`` is more like ``layer1.0.conv3`` than ``layer3.1.conv``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stage_load.names import words

Row = NDArray[np.float32]


def features(name: str) -> frozenset[str]:
    """Return a name's words, its numbers, and each word together with a number behind it."""
    parts = words(name)
    together = (a + b for a, b in pairwise(parts) if b.isdigit())
    return frozenset((*parts, *together))


class NameSimilarity:
    """Similarity of every left name with every right name, 0 to 1 (Dice's coefficient, weighted).

    Args:
        left: names of one side.
        right: names of the other side.
    """

    def __init__(self, left: Sequence[str], right: Sequence[str]) -> None:
        self._left = [features(name) for name in left]
        rights = self._right = [features(name) for name in right]
        counts = Counter(word for found in (*self._left, *rights) for word in found)
        total = len(self._left) + len(rights)
        self._weights = {word: float(np.log1p(total / count)) for word, count in counts.items()}
        self._right_weight = np.array([self._weight(found) for found in rights], np.float32)
        places: dict[str, list[int]] = {}
        for index, found in enumerate(rights):
            for word in found:
                places.setdefault(word, []).append(index)
        self._places = {word: np.array(found, np.intp) for word, found in places.items()}

    def row(self, index: int) -> Row:
        """Return the similarity of left name number ``index`` with each right name, [right]."""
        common = np.zeros(len(self._right_weight), np.float32)
        found = self._left[index]
        for word in sorted(found):
            if word in self._places:
                common[self._places[word]] += self._weights[word]
        total = np.maximum(self._weight(found) + self._right_weight, 1e-6)
        alike: Row = 2 * common / total
        return alike

    def of(self, left: int, right: int) -> float:
        """Return the similarity of one left name with one right name."""
        a, b = self._left[left], self._right[right]
        total = self._weight(a) + self._weight(b)
        return 2 * self._weight(a & b) / total if total else 0.0

    def _weight(self, found: frozenset[str]) -> float:
        return sum(self._weights[word] for word in sorted(found))
