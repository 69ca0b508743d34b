"""The values of a TensorProto as an array, as tensorflow::Tensor::FromProto reads it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Mapping, Tuple

import numpy

from stage_extract.dtypes import ELEMENT_TYPES, stored_name
from stage_extract.messages import TensorProto, numbers, view

# Of numpy before version 2.
MAX_AXES = 32
# What a few values followed by repetitions of the last may fill; one value takes no room at all.
_MAX_FILLED_ELEMENTS = 1 << 26

_STRING = "string"
# The field that holds the values of each type one by one; the others lie in `int_val`.
_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "bfloat16": "half_val",
        "bool": "bool_val",
        "complex128": "dcomplex_val",
        "complex64": "scomplex_val",
        "float16": "half_val",
        "float32": "float_val",
        "float64": "double_val",
        "int64": "int64_val",
        "uint32": "uint32_val",
        "uint64": "uint64_val",
    }
)
# Fields of bit patterns, and of real and imaginary parts.
_BITS, _PARTS = "half_val", ("dcomplex_val", "scomplex_val")


class TensorError(ValueError):
    """A TensorProto contradicts itself, or holds what is no array."""


def stored_dtype(number: int) -> Any:
    """Give numpy's type of the elements of a DataType number.

    Raises:
        TensorError: elements of that type are no numbers.
    """
    element = ELEMENT_TYPES.get(number)
    if element is None or element.size_bytes is None:
        raise TensorError(f"a tensor of type {number if element is None else element.name}")
    return numpy.dtype(stored_name(element)).newbyteorder("<")


def shape_of(proto: TensorProto) -> Tuple[int, ...]:
    """Give the sizes of a tensor.

    Raises:
        TensorError: they are not all known, or too many.
    """
    sizes = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or len(sizes) > MAX_AXES or min(sizes, default=0) < 0:
        raise TensorError(f"a tensor of shape {list(sizes)[:MAX_AXES]}")
    return sizes


def make_array(proto: TensorProto) -> Any:
    """Give the values of a tensor; the array is not to be written to.

    Missing values repeat the last one, or are zero where there is none. bfloat16 comes as uint16,
    its bits; texts come as an array of bytes objects.

    Raises:
        TensorError: what is stored does not fit the shape, or is no array.
    """
    shape = shape_of(proto)
    elements = 1
    for size in shape:
        elements *= size
    element = ELEMENT_TYPES.get(proto.dtype)
    if element is not None and element.name == _STRING:
        return _strings(proto, shape, elements)
    dtype = stored_dtype(proto.dtype)
    content = view(proto, "tensor_content")
    if len(content):
        if len(content) != elements * dtype.itemsize:
            raise TensorError(f"{len(content)} bytes for {dtype} {list(shape)}")
        return numpy.frombuffer(content, dtype).reshape(shape)
    return _filled(_listed(proto, dtype), shape, elements)


def _listed(proto: TensorProto, dtype: Any) -> Any:
    """Give the values that are stored one by one."""
    field = _FIELDS.get(ELEMENT_TYPES[proto.dtype].name, "int_val")
    values = numbers(proto, field)
    if field == _BITS:
        return values.astype("<u2").view(dtype)
    if field in _PARTS:
        if len(values) % 2:
            raise TensorError(f"{len(values)} parts of complex numbers")
        return values.view(dtype)
    return values.astype(dtype)


def _strings(proto: TensorProto, shape: Tuple[int, ...], elements: int) -> Any:
    values = numpy.empty(len(proto.string_val), object)
    values[:] = list(proto.string_val)
    return _filled(values, shape, elements, b"")


def _filled(values: Any, shape: Tuple[int, ...], elements: int, default: Any = 0) -> Any:
    if len(values) > elements:
        raise TensorError(f"{len(values)} values for the shape {list(shape)}")
    if 1 < len(values) < elements:
        if elements > _MAX_FILLED_ELEMENTS:
            raise TensorError(f"{len(values)} values for the shape {list(shape)}")
        rest = numpy.repeat(values[-1:], elements - len(values))
        values = numpy.concatenate((values, rest))
    try:
        if len(values) == elements:
            return values.reshape(shape)
        whole = numpy.empty((), values.dtype)
        whole[()] = values[0] if len(values) else default
        return numpy.broadcast_to(whole, shape)
    except ValueError as error:
        # numpy has no array of that many, or with that large an axis.
        raise TensorError(f"a tensor of shape {list(shape)}") from error
