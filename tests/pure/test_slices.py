from __future__ import annotations

import random

import numpy
import pytest

from stage_extract.storage.slices import SlicesError, check_cover


def random_tiling(choice, box):
    """Cut a box in two along a random axis, and those again."""
    axis = choice.randrange(len(box))
    start, length = box[axis]
    if length < 2 or choice.random() < 0.2:
        return [box]
    first = choice.randrange(1, length)
    halves = [(start, first), (start + first, length - first)]
    return [
        part
        for half in halves
        for part in random_tiling(choice, (*box[:axis], half, *box[axis + 1 :]))
    ]


def covers_once(boxes, shape):
    """Count how often each element is covered."""
    counts = numpy.zeros(shape, int)
    for box in boxes:
        counts[tuple(slice(start, start + length) for start, length in box)] += 1
    return bool((counts == 1).all())


def test_accepts_every_tiling_and_only_those():
    choice = random.Random(2)
    shape = (7, 5, 6)
    refused = 0
    for _ in range(500):
        boxes = random_tiling(choice, tuple((0, size) for size in shape))
        choice.shuffle(boxes)
        check_cover(boxes, shape)
        # Move one edge, or lose one box, and sometimes put it right again by chance.
        damaged = list(boxes)
        place, axis = choice.randrange(len(boxes)), choice.randrange(3)
        start, length = boxes[place][axis]
        moved = choice.choice([(start, length - 1), (start + 1, length - 1), (0, shape[axis])])
        damaged[place] = (*boxes[place][:axis], moved, *boxes[place][axis + 1 :])
        if choice.random() < 0.2:
            del damaged[place]
        if covers_once(damaged, shape):
            check_cover(damaged, shape)
            continue
        refused += 1
        with pytest.raises(SlicesError):
            check_cover(damaged, shape)
    assert refused > 200


@pytest.mark.parametrize(
    ("boxes", "shape", "words"),
    [
        pytest.param([], (3,), "end at 0 of 3", id="none"),
        pytest.param([((1, 2),)], (3,), "gap at 0", id="start-missing"),
        pytest.param([((0, 2),)], (3,), "end at 2 of 3", id="end-missing"),
        pytest.param([((0, 1),), ((2, 1),)], (3,), "gap at 1", id="hole"),
        pytest.param([((0, 2),), ((1, 2),)], (3,), "overlap", id="overlap"),
        pytest.param([((0, 2),), ((0, 2),), ((2, 1),)], (3,), "overlap", id="twice"),
        pytest.param([((0, 4),)], (3,), "ends at 4 of 3", id="too-long"),
        pytest.param([((-1, 4),)], (3,), "slice", id="below-zero"),
        pytest.param([((2**62, 2**62),)], (3,), "ends at", id="huge"),
        pytest.param([(), ()], (), "overlap", id="scalar-twice"),
    ],
)
def test_refuses_what_does_not_cover_once(boxes, shape, words):
    with pytest.raises(SlicesError, match=words):
        check_cover(boxes, shape)


def test_empty_slices_cover_nothing():
    check_cover([((0, 3),), ((1, 0),)], (3,))
    check_cover([((0, 0), (0, 2)), ((0, 0), (2, 4))], (0, 6))


def test_gives_up_where_comparing_would_take_too_long():
    # Each of the columns meets each of the rows beside them.
    columns = [((0, 4000), (column, 1)) for column in range(2000)]
    rows = [((row, 1), (2000, 2000)) for row in range(4000)]
    with pytest.raises(SlicesError, match="too many"):
        check_cover(columns + rows, (4000, 4000))
