from __future__ import annotations

import random
from itertools import pairwise, permutations

import numpy as np
import pytest

from stage_load import align as align_module
from stage_load.align import CERTAIN, Element, align, align_with_margins
from stage_load.assign import assign, match_out_of_order


def elements(*entries):
    """Each entry is "key" or "key:name"."""
    parts = [entry.partition(":") for entry in entries]
    return [Element(key, name) for key, _, name in parts]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        pytest.param([], [], [], id="empty"),
        pytest.param(["a"], [], [], id="nothing-on-the-right"),
        pytest.param(["a", "b", "c"], ["a", "b", "c"], [(0, 0), (1, 1), (2, 2)], id="equal"),
        pytest.param(["a", "x", "c"], ["a", "c"], [(0, 0), (2, 1)], id="extra-on-the-left"),
        pytest.param(["a", "c"], ["a", "x", "c"], [(0, 0), (1, 2)], id="extra-on-the-right"),
        pytest.param(["a", "b"], ["c", "d"], [], id="nothing-in-common"),
        # The shortcut of a residual block runs first in one world and last in the other; its shape
        # is also that of the block's last convolution. The longest common run decides.
        pytest.param(
            ["s", "n", "c", "n", "d", "n", "s", "n"],
            ["c", "n", "d", "n", "s", "n", "s", "n"],
            [(2, 0), (3, 1), (4, 2), (5, 3), (6, 4), (7, 5)],
            id="shortcut-in-another-place",
        ),
        # Names decide only which of several equally long alignments is taken.
        pytest.param(
            ["k:block1", "k:extra", "k:block2"],
            ["k:block.1", "k:block.2"],
            [(0, 0), (2, 1)],
            id="names-break-ties",
        ),
        pytest.param(
            ["k:zeta", "k:alpha"],
            ["k:alpha", "k:zeta"],
            [(0, 0), (1, 1)],
            id="order-before-names",
        ),
        # One more pair is worth more than any number of alike names.
        pytest.param(
            ["a:one", "b:two", "a:three"],
            ["b:x", "a:one"],
            [(1, 0), (2, 1)],
            id="a-pair-before-names",
        ),
    ],
)
def test_align(left, right, expected):
    assert align(elements(*left), elements(*right)) == expected


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        pytest.param(["a", "b"], ["b", "a"], [(0, 1), (1, 0)], id="crossed"),
        pytest.param(["a:x1", "a:x2"], ["a:x2", "a:x1"], [(0, 1), (1, 0)], id="names-first"),
        pytest.param(["a", "a"], ["a", "a"], [(0, 0), (1, 1)], id="then-order"),
        pytest.param(["a", "b"], ["a", "a"], [(0, 0)], id="each-once"),
    ],
)
def test_match_out_of_order(left, right, expected):
    assert match_out_of_order(elements(*left), elements(*right)) == expected


def longest_common(left, right):
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            table[i + 1][j + 1] = (
                table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
            )
    return table[-1][-1]


def random_sequences(seed):
    source = random.Random(seed)
    return [[source.randrange(4) for _ in range(source.randrange(14))] for _ in range(2)]


def checked_pairs(left, right):
    pairs = align([Element(k, "") for k in left], [Element(k, "") for k in right])
    assert all(left[i] == right[j] for i, j in pairs)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(pairs))
    return pairs


def test_random_sequences_are_aligned_as_long_as_possible():
    for seed in range(200):
        left, right = random_sequences(seed)
        assert len(checked_pairs(left, right)) == longest_common(left, right)


def test_beyond_the_size_of_the_table_alignments_are_as_long(monkeypatch):
    monkeypatch.setattr(align_module, "MOST_CELLS", 3)
    for seed in range(200):
        left, right = random_sequences(seed)
        assert len(checked_pairs(left, right)) == longest_common(left, right)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        pytest.param(["a", "k", "x"], ["k"], [CERTAIN], id="no-other-place"),
        pytest.param(["k", "k"], ["k"], [0.0], id="an-even-choice"),
        pytest.param(["k", "a", "k"], ["k", "a"], [CERTAIN, CERTAIN], id="held-by-a-neighbour"),
        pytest.param(["k:one", "k:two"], ["k:two"], [1.0], id="the-name-decides"),
    ],
)
def test_margins(left, right, expected):
    found = align_with_margins(elements(*left), elements(*right))
    assert [min(match.margin, CERTAIN) for match in found] == pytest.approx(expected)


def test_details_come_before_names_and_after_keys():
    left = [Element("k", "conv1", "bias"), Element("k", "conv2", None)]
    assert align(left, [Element("k", "conv2", "bias")]) == [(0, 0)]
    assert align(left, [Element("k", "conv2", None), Element("k", "conv1", "bias")]) == [
        (0, 0),
        (1, 1),
    ]


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (3, 5), (5, 3), (6, 6)])
def test_assignments_have_the_largest_total(shape):
    source = np.random.RandomState(7)
    for _ in range(20):
        gain = source.uniform(0, 1, shape)
        found = assign(gain)
        least = min(shape)
        assert len(found) == len({i for i, _ in found}) == len({j for _, j in found}) == least
        rows, columns = (gain, shape[1]) if shape[0] <= shape[1] else (gain.T, shape[0])
        best = max(
            sum(rows[i, j] for i, j in enumerate(order))
            for order in permutations(range(columns), least)
        )
        assert sum(gain[i, j] for i, j in found) == pytest.approx(best)


LENGTH = 50_000


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        pytest.param([i % 7 for i in range(LENGTH)], LENGTH, id="equal"),
        pytest.param([i % 7 for i in range(LENGTH) if i != 25_000], LENGTH - 1, id="one-missing"),
        pytest.param([i % 7 for i in range(LENGTH - 2)], LENGTH - 2, id="shorter"),
        pytest.param([8] * LENGTH, 0, id="nothing-in-common"),
    ],
)
def test_long_sequences(right, expected, monkeypatch):
    """Counted, not timed: a quadratic way would compare 2,500,000,000 pairs."""
    comparisons = 0

    class Key(int):
        def __eq__(self, other):
            nonlocal comparisons
            comparisons += 1
            return int(self) == int(other)

        def __hash__(self):
            return int(self)

    left = [Element(Key(i % 7), "") for i in range(LENGTH)]
    pairs = align(left, [Element(Key(key), "") for key in right])
    assert len(pairs) == expected
    assert comparisons < 100 * LENGTH
