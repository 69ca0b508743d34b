"""Damages bytes, at random but always in the same way for the same number; runs on CPython 3.7.

A mutation knows no format. What needs one (a checksum to be right again, JSON that still parses) is
in `structure`.
"""

from __future__ import annotations

import random
from typing import Callable, Dict, List, Mapping, Sequence

Files = Dict[str, bytes]
"""A folder: relative path -> content."""

# What lengths and offsets are replaced by: around the powers of two, and far beyond any file.
_NUMBERS = (
    0,
    1,
    7,
    255,
    2**16,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**60,
    2**63 - 1,
    2**63,
    2**64 - 1,
)
_BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFF, 0x0A, 0x22, 0x2E, 0x2F, 0x5C)
_ENDS = (0, 1, 2, 3, 4, 7, 8, 48, 49, 512)
_MOST_COPIES = 300


def varint(value: int) -> bytes:
    """A number as protocol buffers and tables write it."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _truncate(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    ends = [end for end in _ENDS if end < len(data)]
    ends += [len(data) - end for end in _ENDS if 0 < end < len(data)]
    return data[: chance.choice([*ends, *(chance.randrange(len(data) + 1) for _ in ends or [0])])]


def _flip_bit(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    if not data:
        return data
    position = chance.randrange(len(data))
    flipped = data[position] ^ 1 << chance.randrange(8)
    return data[:position] + bytes([flipped]) + data[position + 1 :]


def _set_bytes(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    position, count = chance.randrange(len(data) + 1), chance.choice((1, 1, 1, 2, 4, 8))
    return data[:position] + bytes([chance.choice(_BYTES)] * count) + data[position + count :]


def _set_number(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """Overwrite, or insert, a little-endian or variable-length number."""
    value, position = chance.choice(_NUMBERS), chance.randrange(len(data) + 1)
    size = chance.choice((2, 4, 8))
    forms = (varint(value), (value % (1 << 8 * size)).to_bytes(size, "little"), b"\xff" * 11)
    form = chance.choice(forms)
    taken = chance.choice((0, 1, len(form)))
    return data[:position] + form + data[position + taken :]


def _insert(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    position = chance.randrange(len(data) + 1)
    added = bytes(chance.randrange(256) for _ in range(chance.choice((1, 3, 17, 300))))
    return data[:position] + added + data[position:]


def _remove(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    begin, end = _piece(data, chance)
    return data[:begin] + data[end:]


def _repeat(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    begin, end = _piece(data, chance)
    copies = chance.choice((1, 1, 2, _MOST_COPIES if end - begin < 100 else 3))
    return data[:end] + data[begin:end] * copies + data[end:]


def _move(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    begin, end = _piece(data, chance)
    rest = data[:begin] + data[end:]
    position = chance.randrange(len(rest) + 1)
    return rest[:position] + data[begin:end] + rest[position:]


def _splice(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """Go on with the end of another file."""
    other = chance.choice(others) if others else data
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


def _piece(data: bytes, chance: random.Random) -> List[int]:
    begin = chance.randrange(len(data) + 1)
    length = chance.choice((1, 2, 8, 64, 1000))
    return [begin, min(len(data), begin + length)]


_Mutation = Callable[[bytes, random.Random, Sequence[bytes]], bytes]
MUTATIONS: Sequence[_Mutation] = (
    _truncate,
    _flip_bit,
    _flip_bit,
    _set_bytes,
    _set_number,
    _set_number,
    _insert,
    _remove,
    _repeat,
    _move,
    _splice,
)


def mutate_bytes(data: bytes, chance: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Damage a file in one place, or in a few."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        data = chance.choice(MUTATIONS)(data, chance, others)
    return data


def mutate_files(
    files: Mapping[str, bytes], chance: random.Random, others: Sequence[bytes]
) -> Files:
    """Damage one file of a folder, seldom two; or take one away, or let one stand for another."""
    changed = dict(files)
    for _ in range(chance.choice((1, 1, 1, 1, 2))):
        name = chance.choice(sorted(changed))
        what = chance.randrange(60)
        if what == 0 and len(changed) > 1:
            del changed[name]
        elif what == 1:
            changed[name] = changed[chance.choice(sorted(changed))]
        else:
            changed[name] = mutate_bytes(changed[name], chance, others)
    return changed
