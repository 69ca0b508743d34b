"""The values of one stored part of a V1 checkpoint: a TensorProto, decoded a piece at a time.

TensorFlow writes the values into the list of the field that belongs to their type
(tensorflow/core/util/saved_tensor_slice_util.h): floating-point numbers and complex ones as their
bytes, all others as base-128 numbers (ten bytes if negative), half precision by its bits.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Mapping, NamedTuple

import numpy

from stage_extract.dtypes import BY_NAME
from stage_extract.messages import wire

# How many numbers are decoded at once: what is in between takes some ten times their size.
_STEP_NUMBERS = 65536
_MAX_NUMBER_SIZE_BYTES = 10

_DATA_FIELD = 2
_NAME_FIELD = 1
_TENSOR_FIELD = 3


class _Storage(NamedTuple):
    """The field of TensorProto that holds a type, and whether as bytes or as base-128 numbers."""

    field: int
    as_numbers: bool


_INT_VAL = _Storage(7, True)
_STORAGE: Mapping[str, _Storage] = MappingProxyType(
    {
        "float32": _Storage(5, False),
        "float64": _Storage(6, False),
        "complex64": _Storage(9, False),
        "complex128": _Storage(12, False),
        "int64": _Storage(10, True),
        "bool": _Storage(11, True),
        "float16": _Storage(13, True),
        **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16"), _INT_VAL),
        **dict.fromkeys(("qint8", "qint32", "quint8", "quint16"), _INT_VAL),
    }
)

# By the name of each type that the format can hold. A text takes at least a tag and a length.
MIN_ELEMENT_SIZES_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "string": 2,
        **{
            name: 1 if storage.as_numbers else BY_NAME[name].size_bytes or 0
            for name, storage in _STORAGE.items()
        },
    }
)


class ValuesError(ValueError):
    """The bytes are not the values that the list of tensors promises."""


def _only_field(data: memoryview, start: int, stop: int, number: int) -> memoryview:
    """Give the bytes of a field with a length; none where it is absent."""
    found = data[:0]
    tag = number << wire.WIRE_TYPE_BITS | wire.LENGTH
    for field_tag, first, last in wire.read_fields(data, start, stop):
        if field_tag >> wire.WIRE_TYPE_BITS != number:
            continue
        if field_tag != tag or len(found):
            raise ValuesError("values are stored as TensorFlow does not write them")
        found = data[first:last]
    return found


def _field_of(data: memoryview, number: int) -> memoryview:
    return _only_field(data, 0, len(data), number)


class Values:
    """The values of one part, read front to back.

    Args:
        entry: value of the table, a SavedTensorSlices message.
        name: of the tensor that should be in it.
        dtype: name of its element type; not "string".
        count: number of elements that should be in it.

    Raises:
        ValuesError: it holds something else.
    """

    def __init__(self, entry: memoryview, name: str, dtype: str, count: int) -> None:
        self._storage = _STORAGE[dtype]
        self._dtype = dtype
        self._item_size_bytes = BY_NAME[dtype].size_bytes or 0
        self._position = 0
        try:
            part = _field_of(entry, _DATA_FIELD)
            stored_name = bytes(_field_of(part, _NAME_FIELD))
            self._content = _field_of(_field_of(part, _TENSOR_FIELD), self._storage.field)
        except wire.DecodeError as error:
            raise ValuesError(str(error)) from error
        if stored_name != name.encode("utf-8"):
            raise ValuesError(f"its entry is that of {stored_name[:80]!r}")
        found = self._count()
        if found != count:
            raise ValuesError(f"{found} values are stored, expected {count}")

    def next_bytes(self, size_bytes: int) -> memoryview:
        """Give the next values as the bytes of an array.

        Raises:
            ValuesError: a number has no end.
        """
        if not self._storage.as_numbers:
            start, self._position = self._position, self._position + size_bytes
            return self._content[start : self._position]
        numbers = numpy.empty(
            size_bytes // self._item_size_bytes, dtype=f"<u{self._item_size_bytes}"
        )
        for start in range(0, len(numbers), _STEP_NUMBERS):
            step = numbers[start : start + _STEP_NUMBERS]
            decoded = self._next_numbers(len(step))
            # The bits of a negative number, cut to its size, are those of the number.
            step[:] = decoded != 0 if self._dtype == "bool" else decoded
        return memoryview(numbers.view(numpy.uint8))

    def _count(self) -> int:
        if not self._storage.as_numbers:
            count, rest = divmod(len(self._content), self._item_size_bytes)
            if rest:
                raise ValuesError(f"{len(self._content)} bytes are stored, expected whole values")
            return count
        if not len(self._content):
            return 0
        units = numpy.frombuffer(self._content, dtype=numpy.uint8)
        if units[-1] >= 0x80:
            raise ValuesError("its last number has no end")
        return sum(
            int(numpy.count_nonzero(units[start : start + _STEP_NUMBERS] < 0x80))
            for start in range(0, len(units), _STEP_NUMBERS)
        )

    def _next_numbers(self, count: int) -> Any:
        window = self._content[self._position :][: count * _MAX_NUMBER_SIZE_BYTES]
        ends = numpy.flatnonzero(numpy.frombuffer(window, dtype=numpy.uint8) < 0x80)
        if len(ends) < count:
            raise ValuesError("a number has no end")
        size_bytes = int(ends[count - 1]) + 1
        self._position += size_bytes
        try:
            return wire.packed_varints(window, 0, size_bytes)
        except wire.DecodeError as error:
            raise ValuesError(str(error)) from error
