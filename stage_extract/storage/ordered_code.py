"""Encodes the keys under which a checkpoint stores the slices of a partitioned variable.

Encoded keys sort as their values do. Source: tensorflow/core/lib/strings/ordered_code.cc, and
EncodeTensorNameSlice in tensorflow/core/util/saved_tensor_slice_util.cc.
"""

from __future__ import annotations

from typing import Sequence, Tuple

WHOLE_AXIS = (0, -1)
_STRING_END = b"\x00\x01"


def _encode_string(value: bytes) -> bytes:
    return value.replace(b"\x00", b"\x00\xff") + _STRING_END


def _encode_number(value: int) -> bytes:
    digits = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([len(digits)]) + digits


def _encode_signed(value: int) -> bytes:
    """Encode in n bytes a number from -2**(7n-1) to 2**(7n-1) - 1, the first n bits inverted."""
    magnitude = ~value if value < 0 else value
    size = 1
    while magnitude >= 1 << (7 * size - 1):
        size += 1
    header = ((1 << size) - 1) << (7 * size)
    return ((value & ((1 << (8 * size)) - 1)) ^ header).to_bytes(size, "big")


def encode_slice_key(name: str, extents: Sequence[Tuple[int, int]]) -> bytes:
    """Encode the key of one slice.

    Args:
        name: the whole variable's name.
        extents: (start, length) of each axis; `WHOLE_AXIS` for an axis that is not cut.
    """
    # UTF-8 holds no byte 0xff, the other byte that the encoding escapes.
    parts = [_encode_number(0), _encode_string(name.encode("utf-8")), _encode_number(len(extents))]
    for start, length in extents:
        parts += [_encode_signed(start), _encode_signed(length)]
    return b"".join(parts)
