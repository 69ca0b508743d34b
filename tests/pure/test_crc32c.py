from __future__ import annotations

import numpy
import pytest

from stage_extract.storage import crc32c

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
    return numpy.random.RandomState(6).bytes(1_200_000)


def bit_by_bit(crc: int, data: bytes) -> int:
    """The definition, a table of bytes apart from how it is divided."""
    table = []
    for register in range(256):
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
        table.append(register)
    register = crc ^ 0xFFFFFFFF
    for byte in data:
        register = table[(register ^ byte) & 0xFF] ^ register >> 8
    return register ^ 0xFFFFFFFF


# Around the sizes at which another method or one more part begins.
@pytest.mark.parametrize("edge", [65, 6777, 6785, 8 * 6777, 16 * 6777, 8 * (6 * 6293 + 6777)])
def test_every_method_gives_what_the_definition_gives(noise, edge):
    for size in (edge - 1, edge, edge + 1, edge + 6):
        assert crc32c.extend(7, noise[:size]) == bit_by_bit(7, noise[:size]), size


def test_parts_give_the_whole(noise):
    whole = bit_by_bit(0, noise)
    view = memoryview(noise)
    for cut in (0, 1, 64, 7001, 600_001, len(noise)):
        assert crc32c.extend(crc32c.extend(0, view[:cut]), view[cut:]) == whole, cut


def test_the_data_are_left_as_they_are(noise):
    data = bytearray(noise)
    crc32c.extend(0, memoryview(data))
    assert data == noise


def test_other_items_than_bytes_are_read_as_bytes():
    numbers = numpy.arange(300, dtype=numpy.float32)
    assert crc32c.extend(0, memoryview(numbers)) == crc32c.extend(0, numbers.tobytes())
    assert crc32c.extend(0, memoryview(numbers[:3])) == crc32c.extend(0, numbers[:3].tobytes())
