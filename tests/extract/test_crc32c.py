from __future__ import annotations

import random

import numpy
import pytest

from stage_extract import crc32c, native

# RFC 3720, appendix B.4; the last is an iSCSI read command. The nine digits are the usual check.
KNOWN = [
    pytest.param(bytes(32), 0x8A9136AA, id="zeros"),
    pytest.param(b"\xff" * 32, 0x62A8AB43, id="ones"),
    pytest.param(bytes(range(32)), 0x46DD794E, id="rising"),
    pytest.param(bytes(range(31, -1, -1)), 0x113FDB5C, id="falling"),
    pytest.param(
        bytes.fromhex(
            "01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018"
            "28000000 00000000 02000000 00000000"
        ),
        0xD9963A56,
        id="read-command",
    ),
    pytest.param(b"123456789", 0xE3069283, id="digits"),
    pytest.param(b"", 0, id="nothing"),
]


@pytest.mark.parametrize(("data", "expected"), KNOWN)
def test_known_values(data, expected):
    assert crc32c.extend(0, data) == expected


def remainder(exponents, modulus: int) -> int:
    """The sum of x**exponent modulo `modulus`, by schoolbook division over GF(2)."""
    polynomial = 0
    for exponent in exponents:
        polynomial ^= 1 << exponent
    while polynomial.bit_length() >= modulus.bit_length():
        polynomial ^= modulus << (polynomial.bit_length() - modulus.bit_length())
    return polynomial


def test_the_divisor_is_a_multiple_of_the_polynomial():
    modulus = 1 << 32 | crc32c.POLYNOMIAL
    assert remainder((*crc32c.MULTIPLE, 0), modulus) == 0
    # Its square has doubled exponents, so that units of any power of two of bits do.
    assert remainder([2 * exponent for exponent in (*crc32c.MULTIPLE, 0)], modulus) == 0
    assert remainder((*crc32c.MULTIPLE, 1), modulus) != 0


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


def test_the_data_are_left_as_they_are(noise):
    data = bytearray(noise)
    crc32c.extend(0, memoryview(data))
    assert data == noise


def test_other_items_than_bytes_are_read_as_bytes():
    numbers = numpy.arange(300, dtype=numpy.float32)
    assert crc32c.extend(0, memoryview(numbers)) == crc32c.extend(0, numbers.tobytes())
    assert crc32c.extend(0, memoryview(numbers[:3])) == crc32c.extend(0, numbers[:3].tobytes())


def test_masked_form_is_tensorflows():
    for crc in (0, 1, 0xE3069283, 0xFFFFFFFF):
        assert crc32c.mask(crc) == native.mask_crc32c(crc)
