"""Undoes Snappy compression, for where TensorFlow's own function is not to be had.

The stream is the length of the result, then literals and copies of what was already produced
(https://github.com/google/snappy/blob/main/format_description.txt). The lowest two bits of an
element's first byte tell its kind. Every length and offset is checked before it is used: the result
never grows beyond the stated length, and that never beyond the caller's limit.
"""

from __future__ import annotations

from typing import Tuple

_LITERAL = 0
# By the kind of a copy: the number of bytes of its offset behind the first byte.
_OFFSET_SIZES_BYTES = {1: 1, 2: 2, 3: 4}
# A literal up to this long has its length in the first byte; beyond, in one to four more bytes.
_MAX_SHORT_LITERAL = 60
_MAX_LENGTH_SIZE_BYTES = 5


def _read_length(data: bytes) -> Tuple[int, int]:
    """Give the length of the result, a base-128 number, and the position behind it."""
    length = 0
    for position, byte in enumerate(data[:_MAX_LENGTH_SIZE_BYTES]):
        length |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return length, position + 1
    raise ValueError("a Snappy block has no length")


def _read_number(data: bytes, position: int, size_bytes: int) -> int:
    if position + size_bytes > len(data):
        raise ValueError(f"a Snappy block is cut off at {position}")
    return int.from_bytes(data[position : position + size_bytes], "little")


def _append_copy(output: bytearray, offset: int, length: int) -> None:
    """Append `length` bytes that start `offset` before the end; they may overlap what is made."""
    if not 0 < offset <= len(output):
        raise ValueError(f"a Snappy block copies from {offset} before byte {len(output)}")
    start = len(output) - offset
    pattern = output[start : start + length]
    repeats = -(-length // len(pattern))
    output += (pattern * repeats)[:length]


def uncompress(data: bytes, limit_bytes: int) -> bytes:
    """Undo Snappy compression.

    Args:
        data: one whole stream.
        limit_bytes: the result may not be longer.

    Raises:
        ValueError: the data is no Snappy stream, or holds more than `limit_bytes`.
    """
    size_bytes, position = _read_length(data)
    if size_bytes > limit_bytes:
        raise ValueError(f"a Snappy block claims {size_bytes} bytes")
    output = bytearray()
    while position < len(data):
        tag = data[position]
        kind = tag & 3
        position += 1
        if kind == _LITERAL:
            length = (tag >> 2) + 1
            if length > _MAX_SHORT_LITERAL:
                size = length - _MAX_SHORT_LITERAL
                length = _read_number(data, position, size) + 1
                position += size
            if length > len(data) - position:
                raise ValueError(f"a Snappy block is cut off at {position}")
        else:
            size = _OFFSET_SIZES_BYTES[kind]
            offset = _read_number(data, position, size)
            position += size
            length = (tag >> 2) + 1
            if kind == 1:
                # Three bits of length and the three high bits of an 11-bit offset share the tag.
                length = ((tag >> 2) & 7) + 4
                offset |= (tag >> 5) << 8
        if length > size_bytes - len(output):
            raise ValueError(f"a Snappy block holds more than the {size_bytes} bytes it claims")
        if kind == _LITERAL:
            output += data[position : position + length]
            position += length
        else:
            _append_copy(output, offset, length)
    if len(output) != size_bytes:
        raise ValueError(f"a Snappy block has {len(output)} of the {size_bytes} bytes it claims")
    return bytes(output)
