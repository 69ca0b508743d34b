"""Reads the values of single fields from bytes that were checked before (see `check`)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Callable, List, Mapping, Union

import numpy

from stage_extract.messages.schema import Field
from stage_extract.messages.wire import (
    FIXED32,
    FIXED64,
    VARINT,
    packed_varints,
    signed,
    unpack_fixed,
)

# Longer data stay where they are until they are asked for.
MAX_COPIED_SIZE_BYTES = 1024

_FIXED_CODES: Mapping[str, str] = MappingProxyType({"double": "d", "fixed32": "I", "float": "f"})
_DTYPES: Mapping[str, str] = MappingProxyType(
    {
        "bool": "?",
        "double": "<f8",
        "enum": "<i4",
        "fixed32": "<u4",
        "float": "<f4",
        "int32": "<i4",
        "int64": "<i8",
        "uint32": "<u4",
        "uint64": "<u8",
    }
)
_FROM_VARINT: Mapping[str, Callable[[int], Union[int, bool]]] = MappingProxyType(
    {
        "bool": bool,
        "enum": lambda value: signed(value, 32),
        "int32": lambda value: signed(value, 32),
        "int64": lambda value: signed(value, 64),
        "sint64": lambda value: (value >> 1) ^ -(value & 1),
        "uint32": lambda value: value & 0xFFFFFFFF,
        "uint64": lambda value: value,
    }
)
DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {**dict.fromkeys(_FROM_VARINT, 0), "bool": False, "bytes": b"", "double": 0.0,
     "fixed32": 0, "float": 0.0, "string": ""}
)  # fmt: skip


class Raw(List[int]):
    """Where the values of a repeated number, or the entries of a map, lie: tag, start, stop, …"""

    __slots__ = ()


def read_scalar(field: Field, data: bytes, start: int, stop: int) -> Any:
    """Give one value: a number, a text, or bytes (a view of them if they are many)."""
    if field.wire_type == VARINT:
        return _FROM_VARINT[field.kind](start)
    if field.kind == "string":
        return data[start:stop].decode("utf-8")
    if field.kind == "bytes":
        if stop - start > MAX_COPIED_SIZE_BYTES:
            return memoryview(data)[start:stop]
        return data[start:stop]
    return unpack_fixed(_FIXED_CODES[field.kind], data, start)


def number_dtype(field: Field) -> Any:
    """Give numpy's type of a field of numbers."""
    return numpy.dtype(_DTYPES[field.kind])


def read_numbers(field: Field, data: bytes, raw: Raw) -> Any:
    """Give the values of a repeated number as an array [n] of the field's type."""
    dtype = number_dtype(field)
    parts: List[Any] = []
    single: List[Any] = []
    for place in range(0, len(raw), 3):
        tag, start, stop = raw[place : place + 3]
        if tag == field.tag:
            single.append(read_scalar(field, data, start, stop))
            continue
        if single:
            parts.append(numpy.array(single, dtype))
            single = []
        parts.append(_read_packed(field, data, start, stop, dtype))
    if single:
        parts.append(numpy.array(single, dtype))
    return numpy.concatenate(parts) if parts else numpy.zeros(0, dtype)


def _read_packed(field: Field, data: bytes, start: int, stop: int, dtype: Any) -> Any:
    if field.wire_type in (FIXED32, FIXED64):
        return numpy.frombuffer(data, dtype, (stop - start) // dtype.itemsize, start)
    varints = packed_varints(data, start, stop)
    return varints != 0 if field.kind == "bool" else varints.astype(dtype)
