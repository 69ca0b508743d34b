"""The wire format of protocol buffers, read without trust in any length.

A message is a sequence of fields; each starts with a tag (number of the field and wire type, as a
base-128 number), and a length is followed by that many bytes
(https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

import struct
from typing import Any, Iterator, Tuple, Union

import numpy

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
WIRE_TYPE_BITS = 3
_WIRE_TYPE_MASK = 7
_MAX_VARINT_SIZE_BYTES = 10
_UINT32 = 0xFFFFFFFF
_UINT64 = 0xFFFFFFFFFFFFFFFF
# Up to here a loop is faster than numpy.
_SHORT_SIZE_BYTES = 32

Bytes = Union[bytes, memoryview]
Field = Tuple[int, int, int]


class DecodeError(ValueError):
    """The bytes are no message of the expected type; the text says where they go wrong."""


def read_varint(data: Bytes, position: int, end: int) -> Tuple[int, int]:
    """Decode one base-128 number of at most 64 bits; gives it and the position behind it.

    Raises:
        DecodeError: it has no end before `end`, or more than ten bytes.
    """
    value = 0
    for shift in range(0, 7 * _MAX_VARINT_SIZE_BYTES, 7):
        if position >= end:
            raise DecodeError(f"a number is cut off at byte {position}")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _UINT64, position
    raise DecodeError(f"a number has no end at byte {position}")


def read_fields(data: Bytes, position: int, end: int) -> Iterator[Field]:
    """Give (tag, start, stop) of each field between two positions.

    For wire type VARINT `start` is the number itself; for the others the value is the bytes from
    `start` to `stop`, which lie before `end`.

    Raises:
        DecodeError: a field reaches beyond `end`, or its tag is none.
    """
    while position < end:
        tag = data[position]
        position += 1
        if tag >= 0x80:
            tag, position = read_varint(data, position - 1, end)
        wire_type = tag & _WIRE_TYPE_MASK
        if tag <= _WIRE_TYPE_MASK or tag > _UINT32:
            raise DecodeError(f"there is no field {tag >> WIRE_TYPE_BITS} (byte {position})")
        if wire_type == LENGTH:
            start, stop = _sized(data, position, end)
            yield tag, start, stop
            position = stop
        elif wire_type == VARINT:
            value, position = read_varint(data, position, end)
            yield tag, value, position
        else:
            stop = position + fixed_size_bytes(wire_type, position)
            if stop > end:
                raise DecodeError(f"a number is cut off at byte {position}")
            yield tag, position, stop
            position = stop


def _sized(data: Bytes, position: int, end: int) -> Tuple[int, int]:
    if position >= end:
        raise DecodeError(f"a length is cut off at byte {position}")
    size = data[position]
    position += 1
    if size >= 0x80:
        size, position = read_varint(data, position - 1, end)
    if size > end - position:
        raise DecodeError(f"{size} bytes are claimed at byte {position}, {end - position} are left")
    return position, position + size


def fixed_size_bytes(wire_type: int, position: int) -> int:
    """Give the size of a number of fixed size.

    Raises:
        DecodeError: the wire type is that of a group, which proto3 does not have, or of nothing.
    """
    if wire_type == FIXED32:
        return 4
    if wire_type == FIXED64:
        return 8
    raise DecodeError(f"the wire type {wire_type} at byte {position} is not used")


def check_packed(data: Bytes, start: int, stop: int, wire_type: int) -> None:
    """Check a packed list of numbers.

    Raises:
        DecodeError: it ends within a number, or a number has more than ten bytes.
    """
    if wire_type != VARINT:
        if (stop - start) % fixed_size_bytes(wire_type, start):
            raise DecodeError(f"a list of numbers is cut off at byte {stop}")
    elif stop - start <= _SHORT_SIZE_BYTES:
        while start < stop:
            _, start = read_varint(data, start, stop)
    else:
        _varint_ends(_bytes_of(data, start, stop), start)


def packed_varints(data: Bytes, start: int, stop: int) -> Any:
    """Decode a packed list of base-128 numbers to uint64 [n].

    Raises:
        DecodeError: as `check_packed`.
    """
    units = _bytes_of(data, start, stop)
    if not len(units):
        return numpy.zeros(0, numpy.uint64)
    ends = _varint_ends(units, start)
    starts = numpy.concatenate(([0], ends[:-1] + 1))
    values = numpy.zeros(len(ends), numpy.uint64)
    for place in range(int((ends - starts).max()) + 1):
        inside = starts + place <= ends
        low = units[(starts + place)[inside]].astype(numpy.uint64) & numpy.uint64(0x7F)
        values[inside] |= low << numpy.uint64(7 * place)
    return values


def _bytes_of(data: Bytes, start: int, stop: int) -> Any:
    return numpy.frombuffer(data, numpy.uint8, stop - start, start)


def _varint_ends(units: Any, start: int) -> Any:
    """Give the places of the last bytes of the numbers."""
    ends = numpy.flatnonzero(units < 0x80)
    if not len(ends) or ends[-1] != len(units) - 1:
        raise DecodeError(f"a list of numbers at byte {start} is cut off")
    if numpy.diff(ends, prepend=-1).max() > _MAX_VARINT_SIZE_BYTES:
        raise DecodeError(f"a number in the list at byte {start} has no end")
    return ends


def signed(value: int, bits: int) -> int:
    """Read the lowest bits of a number as two's complement."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def unpack_fixed(code: str, data: Bytes, start: int) -> Any:
    """Read one little-endian number by its `struct` code."""
    return struct.unpack_from("<" + code, data, start)[0]
