from __future__ import annotations

import random
from typing import List, Tuple

import pytest

from stage_extract.storage import native, snappy

LIMIT_BYTES = 1 << 20


def number(value: int) -> bytes:
    """A base-128 number."""
    parts = []
    while value >= 128:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def literal(data: bytes) -> bytes:
    if len(data) <= 60:
        return bytes([(len(data) - 1) << 2]) + data
    size = ((len(data) - 1).bit_length() + 7) // 8
    return bytes([(59 + size) << 2]) + (len(data) - 1).to_bytes(size, "little") + data


def copy_1(offset: int, length: int) -> bytes:
    return bytes([(offset >> 8) << 5 | (length - 4) << 2 | 1, offset & 255])


def copy_2(offset: int, length: int) -> bytes:
    return bytes([(length - 1) << 2 | 2]) + offset.to_bytes(2, "little")


def copy_4(offset: int, length: int) -> bytes:
    return bytes([(length - 1) << 2 | 3]) + offset.to_bytes(4, "little")


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(literal(b"abc"), b"abc", id="literal"),
        pytest.param(literal(b"z" * 61), b"z" * 61, id="literal-of-one-more-byte"),
        pytest.param(literal(b"y" * 70000), b"y" * 70000, id="literal-of-three-more-bytes"),
        pytest.param(literal(b"abcd") + copy_1(4, 11), b"abcdabcdabcdabc", id="overlapping-copy"),
        pytest.param(literal(b"a") + copy_2(1, 64), b"a" * 65, id="run"),
        pytest.param(literal(b"abcdef") + copy_4(5, 3), b"abcdefbcd", id="copy-of-four-bytes"),
        pytest.param(
            literal(bytes(i * i % 251 for i in range(2000))) + copy_1(1999, 4),
            bytes([i * i % 251 for i in range(2000)] + [1, 4, 9, 16]),
            id="far-copy",
        ),
    ],
)
def test_decodes_each_kind_of_element(elements, expected):
    stream = number(len(expected)) + elements
    assert snappy.uncompress(stream, LIMIT_BYTES) == expected
    assert native.uncompress_snappy(stream, LIMIT_BYTES) == expected


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        pytest.param(b"", "no length", id="nothing-at-all"),
        pytest.param(b"\xff" * 9, "no length", id="length-without-end"),
        pytest.param(number(1 << 30) + literal(b"a"), "claims", id="over-the-limit"),
        pytest.param(number(3) + literal(b"ab"), "2 of the 3", id="too-short"),
        pytest.param(number(1) + literal(b"ab"), "more than", id="literal-too-long"),
        pytest.param(number(4) + literal(b"ab") + copy_2(2, 3), "more than", id="copy-too-long"),
        pytest.param(number(9) + bytes([60 << 2]), "cut off", id="no-literal-length"),
        pytest.param(number(9) + bytes([63 << 2]) + b"\xff" * 4, "cut off", id="huge-literal"),
        pytest.param(number(9) + bytes([8 << 2]) + b"ab", "cut off", id="cut-literal"),
        pytest.param(number(9) + literal(b"ab") + b"\x02\x01", "cut off", id="cut-offset"),
        pytest.param(number(9) + literal(b"ab") + copy_2(0, 7), "copies from 0", id="offset-zero"),
        pytest.param(number(9) + literal(b"ab") + copy_2(3, 7), "copies from 3", id="before-start"),
        pytest.param(number(9) + literal(b"ab") + copy_4(1 << 31, 7), "copies", id="far-before"),
    ],
)
def test_refuses_what_is_no_stream(stream, words):
    with pytest.raises(ValueError, match=words):
        snappy.uncompress(stream, LIMIT_BYTES)


def random_stream(choice: random.Random) -> bytes:
    elements: List[bytes] = []
    produced = 0
    for _ in range(choice.randrange(1, 12)):
        kind, (offset, length) = choice.randrange(4), random_copy(choice, produced)
        if kind == 0 or not produced:
            length = choice.choice([1, 2, 59, 60, 61, 300])
            elements.append(literal(bytes(choice.randrange(256) for _ in range(length))))
        elif kind == 1:
            offset, length = min(offset, 2047), min(max(length, 4), 11)
            elements.append(copy_1(offset, length))
        else:
            elements.append((copy_2 if kind == 2 else copy_4)(offset, length))
        produced += length
    return number(produced) + b"".join(elements)


def random_copy(choice: random.Random, produced: int) -> Tuple[int, int]:
    return choice.randrange(1, max(produced, 1) + 1), choice.randrange(1, 65)


def decoded(decoder, stream: bytes):
    try:
        return decoder(stream, LIMIT_BYTES)
    except ValueError:
        return None


def test_agrees_with_tensorflow_on_streams_whole_and_damaged():
    choice = random.Random(11)
    refused = 0
    for _ in range(2000):
        stream = bytearray(random_stream(choice))
        assert decoded(snappy.uncompress, bytes(stream)) is not None
        for _ in range(choice.randrange(3)):
            stream[choice.randrange(len(stream))] ^= 1 << choice.randrange(8)
        ours = decoded(snappy.uncompress, bytes(stream))
        assert ours == decoded(native.uncompress_snappy, bytes(stream)), bytes(stream).hex()
        refused += ours is None
    assert refused > 100
