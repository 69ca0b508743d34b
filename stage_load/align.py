"""Aligns two sequences, in order: as many equal keys as possible, names breaking ties only.

This is the longest common subsequence of the keys; among the longest ones, the one whose names are
most alike. Exact up to ``MOST_CELLS`` pairs. Beyond, the sequences are first cut at equal ends and
at keys that each side has once, and what lies between is aligned within a band.

Pure Python, no torch: a key is anything hashable, such as a kind and its shapes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from stage_load.names import similarity, words

MOST_CELLS = 1_000_000
"""Pairs that are compared exactly: about one second."""

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a sequence: what must be equal, and a name for ties."""

    key: Hashable
    name: str


def align(left: Sequence[Element], right: Sequence[Element]) -> list[Pair]:
    """Return the pairs ``(index in left, index in right)``, both ascending."""
    common = {element.key for element in left} & {element.key for element in right}
    a = [index for index, element in enumerate(left) if element.key in common]
    b = [index for index, element in enumerate(right) if element.key in common]
    lefts, rights = [left[index] for index in a], [right[index] for index in b]
    if [element.key for element in lefts] == [element.key for element in rights]:
        return list(zip(a, b, strict=True))
    pairs = _align_span(lefts, rights, (0, len(lefts)), (0, len(rights)))
    return [(a[i], b[j]) for i, j in pairs]


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


def _members(elements: Sequence[Element]) -> dict[Hashable, list[int]]:
    found: dict[Hashable, list[int]] = {}
    for index, element in enumerate(elements):
        found.setdefault(element.key, []).append(index)
    return found


def _ending(name: tuple[str, ...], place: Mapping[tuple[str, ...], int]) -> int | None:
    """Return the place of the longest of the names that ``name`` ends with; numbers are none."""
    ends = (name[begin:] for begin in range(len(name)))
    return next((place[e] for e in ends if e in place and any(map(str.isalpha, e))), None)


def match_out_of_order(left: Sequence[Element], right: Sequence[Element]) -> list[Pair]:
    """Pair what is left by key alone, each element once: most alike names first, then in order."""
    waiting = _members(right)
    pairs: list[Pair] = []
    for key, members in _members(left).items():
        pairs += _match_group(left, right, members, waiting.get(key, []))
    return sorted(pairs)


def _match_group(
    left: Sequence[Element], right: Sequence[Element], members: list[int], others: list[int]
) -> list[Pair]:
    if len(members) * len(others) > MOST_CELLS:
        return list(zip(members, others, strict=False))
    ranked = sorted(
        (-similarity(left[i].name, right[j].name), abs(a - b), i, j)
        for a, i in enumerate(members)
        for b, j in enumerate(others)
    )
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, _, i, j in ranked:
        if i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    return list(pairs.items())


def _align_span(
    left: Sequence[Element], right: Sequence[Element], a: tuple[int, int], b: tuple[int, int]
) -> list[Pair]:
    """Align ``left[a]`` with ``right[b]``, both given as (begin, end)."""
    if (a[1] - a[0]) * (b[1] - b[0]) <= MOST_CELLS:
        return _align_exactly(left, right, a, b, band=max(a[1] - a[0], b[1] - b[0]) + 1)
    pairs, a, b, tail = _trim(left, right, a, b)
    anchors = _unique_anchors(left, right, a, b)
    for i, j in anchors:
        pairs += _align_span(left, right, (a[0], i), (b[0], j))
        pairs.append((i, j))
        a, b = (i + 1, a[1]), (j + 1, b[1])
    if anchors:
        pairs += _align_span(left, right, a, b)
    elif a[0] < a[1] and b[0] < b[1]:
        rows = max(a[1] - a[0], b[1] - b[0])
        pairs += _align_exactly(left, right, a, b, band=max(16, MOST_CELLS // rows // 2))
    return pairs + tail


def _trim(
    left: Sequence[Element], right: Sequence[Element], a: tuple[int, int], b: tuple[int, int]
) -> tuple[list[Pair], tuple[int, int], tuple[int, int], list[Pair]]:
    """Pair the equal elements at both ends; return head pairs, the two rests, tail pairs."""
    (a0, a1), (b0, b1) = a, b
    head, tail = [], []
    while a0 < a1 and b0 < b1 and left[a0].key == right[b0].key:
        head.append((a0, b0))
        a0, b0 = a0 + 1, b0 + 1
    while a0 < a1 and b0 < b1 and left[a1 - 1].key == right[b1 - 1].key:
        a1, b1 = a1 - 1, b1 - 1
        tail.append((a1, b1))
    return head, (a0, a1), (b0, b1), tail[::-1]


def _unique_anchors(
    left: Sequence[Element], right: Sequence[Element], a: tuple[int, int], b: tuple[int, int]
) -> list[Pair]:
    """Pair the keys that each side has exactly once, the longest ascending run of them."""
    count_left = Counter(left[i].key for i in range(*a))
    count_right = Counter(right[j].key for j in range(*b))
    place = {right[j].key: j for j in range(*b) if count_right[right[j].key] == 1}
    pairs = [
        (i, place[left[i].key])
        for i in range(*a)
        if count_left[left[i].key] == 1 and left[i].key in place
    ]
    return _longest_ascending(pairs)


def _longest_ascending(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the longest run of pairs whose second numbers ascend (patience sorting)."""
    ends: list[int] = []
    end_pairs: list[int] = []
    before: list[int | None] = []
    for index, (_, j) in enumerate(pairs):
        position = bisect_left(ends, j)
        before.append(end_pairs[position - 1] if position else None)
        if position == len(ends):
            ends.append(j)
            end_pairs.append(index)
        else:
            ends[position] = j
            end_pairs[position] = index
    run: list[Pair] = []
    at: int | None = end_pairs[-1] if end_pairs else None
    while at is not None:
        run.append(pairs[at])
        at = before[at]
    return run[::-1]


def _align_exactly(
    left: Sequence[Element],
    right: Sequence[Element],
    a: tuple[int, int],
    b: tuple[int, int],
    band: int,
) -> list[Pair]:
    """Align by dynamic programming, no farther than ``band`` from the diagonal.

    A pair scores 1 plus a bonus for alike names; all bonuses together stay below 1, so that no
    number of names outweighs one more pair.
    """
    rows, columns = a[1] - a[0], b[1] - b[0]
    if not rows or not columns:
        return []
    bonus = 0.5 / min(rows, columns)
    best: dict[int, float] = {}
    choices: list[dict[int, int]] = []
    for row in range(rows):
        middle = row * columns // rows
        element = left[a[0] + row]
        scores: dict[int, float] = {}
        choice: dict[int, int] = {}
        for column in range(max(0, middle - band), min(columns, middle + band + 1)):
            other = right[b[0] + column]
            score, step = best.get(column, 0.0), _UP
            beside = scores.get(column - 1, 0.0)
            if beside > score:
                score, step = beside, _LEFT
            if element.key == other.key:
                paired = (
                    best.get(column - 1, 0.0) + 1 + bonus * similarity(element.name, other.name)
                )
                if paired > score:
                    score, step = paired, _PAIR
            scores[column], choice[column] = score, step
        best = scores
        choices.append(choice)
    return [(a[0] + i, b[0] + j) for i, j in _trace_back(choices, columns)]


_UP, _LEFT, _PAIR = range(3)


def _trace_back(choices: Sequence[dict[int, int]], columns: int) -> list[Pair]:
    pairs: list[Pair] = []
    row, column = len(choices) - 1, columns - 1
    while row >= 0 and column >= 0:
        step = choices[row].get(column)
        if step is None:
            # Beside the band: go back to it, whichever side it is on.
            known = choices[row]
            if known and column > max(known):
                column = max(known)
            else:
                row -= 1
            continue
        if step == _PAIR:
            pairs.append((row, column))
        row -= step in (_UP, _PAIR)
        column -= step in (_LEFT, _PAIR)
    return pairs[::-1]
