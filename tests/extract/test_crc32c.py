from __future__ import annotations

import random

import numpy
import pytest

from stage_extract.storage import crc32c, native


@pytest.fixture(scope="module")
def noise() -> bytes:
    return numpy.random.RandomState(6).bytes(3_000_000)


def test_every_small_size_gives_tensorflows_value(noise):
    for size in range(5001):
        assert crc32c.extend(size, noise[:size]) == native.extend_crc32c(size, noise[:size]), size


# Around the sizes at which another method or one more part begins.
EDGES = [6777, 6785, 8 * 6777, 2 * 8 * 6777, 8 * (6 * 6293 + 6777), 2 * 8 * 6 * 6293 + 8 * 6777]


@pytest.mark.parametrize("edge", EDGES)
def test_sizes_around_each_edge_give_tensorflows_value(noise, edge):
    for size in range(edge - 9, edge + 10):
        assert crc32c.extend(7, noise[:size]) == native.extend_crc32c(7, noise[:size]), size


def test_every_split_of_a_long_run_gives_the_whole(noise):
    whole = native.extend_crc32c(0, noise)
    choice = random.Random(3)
    for cut in [0, 1, 63, 64, 65, *(choice.randrange(len(noise)) for _ in range(20))]:
        # Parts of a view start anywhere in memory.
        view = memoryview(noise)
        assert crc32c.extend(crc32c.extend(0, view[:cut]), view[cut:]) == whole, cut


def test_masked_form_is_tensorflows():
    for crc in (0, 1, 0xE3069283, 0xFFFFFFFF):
        assert crc32c.mask(crc) == native.mask_crc32c(crc)
