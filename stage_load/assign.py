"""Pairs elements of equal key in any order: names that tell, then the best assignment of all."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stage_load.align import Element, Pair
from stage_load.name_similarity import NameSimilarity
from stage_load.names import words

MOST_MEMBERS = 400
"""Elements of one key whose names are compared all with all; more are taken in order."""

_ORDER_SHARE = 1e-3
"""How much the order counts beside the names: it decides between equal ones."""


def match_by_name(
    left: Sequence[Element],
    right: Sequence[Element],
    have_no_order: Callable[[Sequence[int]], bool],
) -> list[Pair]:
    """Pair elements of equal key that may come in any order, where names say which is which.

    Only where each name of a key on the right is the end of exactly one on the left, as
    ``branch_2`` is of ``net/branch_2``, and the order of both differs.

    Args:
        left: one side.
        right: the other side.
        have_no_order: whether these elements of ``left`` may come in any order.
    """
    lefts, rights = _members(left), _members(right)
    pairs: list[Pair] = []
    for key, members in lefts.items():
        others = rights.get(key, [])
        if len(members) == len(others) > 1:
            place = {words(right[j].name): j for j in others}
            named = [_ending(words(left[i].name), place) for i in members]
            complete = sorted(j for j in named if j is not None) == others
            if complete and named != others and have_no_order(members):
                pairs += [(i, j) for i, j in zip(members, named, strict=True) if j is not None]
    return sorted(pairs)


def match_out_of_order(left: Sequence[Element], right: Sequence[Element]) -> list[Pair]:
    """Pair what has equal keys, each element once, so that names are most alike in total.

    Between equal names the order decides.
    """
    waiting = _members(right)
    pairs: list[Pair] = []
    for key, members in _members(left).items():
        pairs += _match_group(left, right, members, waiting.get(key, []))
    return sorted(pairs)


def assign(gain: NDArray[np.float64]) -> list[Pair]:
    """Return the assignment of the largest total gain, each row and each column at most once.

    The Hungarian method with shortest augmenting paths (Jonker and Volgenant, 1987).

    Args:
        gain: [rows, columns].
    """
    if gain.shape[0] > gain.shape[1]:
        return sorted((row, column) for column, row in assign(gain.T))
    rows, columns = gain.shape
    row_price, column_price = np.zeros(rows + 1), np.zeros(columns + 1)
    owner = np.zeros(columns + 1, np.intp)
    for row in range(1, rows + 1):
        owner[0] = row
        column, before = _shortest_path(gain, row_price, column_price, owner)
        while column:
            owner[column] = owner[before[column]]
            column = int(before[column])
    return sorted((int(owner[c]) - 1, c - 1) for c in range(1, columns + 1) if owner[c])


def _shortest_path(
    gain: NDArray[np.float64],
    row_price: NDArray[np.float64],
    column_price: NDArray[np.float64],
    owner: NDArray[np.intp],
) -> tuple[int, NDArray[np.intp]]:
    """Find the cheapest way to a free column, raising prices; return it and the way to it."""
    least = np.full(len(owner), np.inf)
    before = np.zeros(len(owner), np.intp)
    seen = np.zeros(len(owner), bool)
    column = 0
    while True:
        seen[column] = True
        row = owner[column]
        cost = -gain[row - 1] - row_price[row] - column_price[1:]
        shorter = ~seen[1:] & (cost < least[1:])
        least[1:][shorter] = cost[shorter]
        before[1:][shorter] = column
        nearest = int(np.where(seen, np.inf, least).argmin())
        step = least[nearest]
        row_price[owner[seen]] += step
        column_price[seen] -= step
        least[~seen] -= step
        column = nearest
        if not owner[column]:
            return column, before


def _match_group(
    left: Sequence[Element], right: Sequence[Element], members: list[int], others: list[int]
) -> list[Pair]:
    if not others or max(len(members), len(others)) > MOST_MEMBERS:
        return list(zip(members, others, strict=False))
    names = NameSimilarity([left[i].name for i in members], [right[j].name for j in others])
    alike = np.stack([names.row(row) for row in range(len(members))]).astype(np.float64)
    equal = np.array([[left[i].detail == right[j].detail for j in others] for i in members])
    steps = np.abs(np.arange(len(members))[:, None] - np.arange(len(others))[None, :])
    gain = 1 + alike + equal - _ORDER_SHARE * steps / max(len(members), len(others))
    return [(members[a], others[b]) for a, b in assign(gain)]


def _members(elements: Sequence[Element]) -> dict[Hashable, list[int]]:
    found: dict[Hashable, list[int]] = {}
    for index, element in enumerate(elements):
        found.setdefault(element.key, []).append(index)
    return found


def _ending(name: tuple[str, ...], place: Mapping[tuple[str, ...], int]) -> int | None:
    """Return the place of the longest of the names that ``name`` ends with; numbers are none."""
    ends = (name[begin:] for begin in range(len(name)))
    return next((place[e] for e in ends if e in place and any(map(str.isalpha, e))), None)
