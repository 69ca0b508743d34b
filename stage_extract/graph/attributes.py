"""Attributes of a NodeDef as plain Python values."""

from __future__ import annotations

import math
from typing import Any, List, Optional, Tuple, Union

import numpy
from tensorflow.core.framework import attr_value_pb2, tensor_pb2, tensor_shape_pb2
from tensorflow.python.framework import tensor_util

from stage_extract.dtypes import ELEMENT_TYPES

# -1 of a TensorShapeProto becomes None, an unknown rank is None for the whole.
Shape = Optional[Tuple[Optional[int], ...]]

# A larger constant stays a NodeDef: it is data of the model, not a setting of an op.
MAX_CONSTANT_ELEMENTS = 65536

# DT_FLOAT_REF and the like are the plain type plus this (tensorflow/core/framework/types.proto).
_REFERENCE_OFFSET = 100


def dtype_name(number: int) -> str:
    """Give numpy's name of a DataType number of TensorFlow, "unknown_N" if there is none."""
    plain = number - _REFERENCE_OFFSET if number > _REFERENCE_OFFSET else number
    element = ELEMENT_TYPES.get(plain)
    return element.name if element is not None else f"unknown_{number}"


def shape_value(proto: tensor_shape_pb2.TensorShapeProto) -> Shape:
    """Give a shape as sizes, None for an unknown size or rank."""
    if proto.unknown_rank:
        return None
    return tuple(dim.size if dim.size >= 0 else None for dim in proto.dim)


def plain_value(attribute: attr_value_pb2.AttrValue) -> Any:
    """Give an attribute as a Python value; a tensor as None, see `tensor_value`."""
    kind = attribute.WhichOneof("value")
    if kind is None or kind == "tensor":
        return None
    if kind == "list":
        return _list_value(attribute.list)
    return _scalar_value(kind, getattr(attribute, kind))


def _scalar_value(kind: str, value: Any) -> Any:
    if kind == "s":
        return text(value)
    if kind == "f":
        return shortest_float(value)
    if kind == "type":
        return dtype_name(value)
    if kind == "shape":
        sizes = shape_value(value)
        return None if sizes is None else list(sizes)
    if kind == "func":
        return value.name
    return value


def _list_value(values: Any) -> List[Any]:
    for kind in ("s", "i", "f", "b", "type", "shape", "func"):
        items = getattr(values, kind)
        if len(items):
            return [_scalar_value(kind, item) for item in items]
    return []


def text(value: Union[bytes, str]) -> str:
    """Give bytes of a protocol buffer as text; bytes that are no UTF-8 as backslash escapes."""
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")


def shortest_float(value: float) -> float:
    """Give the shortest decimal that stands for the same float32: 0.001, not 0.00100000004749….

    Attributes and most constants are stored in single precision; authors wrote the short form.
    """
    if not math.isfinite(value):
        return value
    return float(repr(numpy.float32(value)))


def tensor_value(proto: tensor_pb2.TensorProto) -> Optional[numpy.ndarray]:
    """Give a constant as an array, or None if it is too large, or not what it claims to be."""
    sizes = shape_value(proto.tensor_shape)
    if sizes is None or None in sizes or len(sizes) > numpy.MAXDIMS:
        return None
    elements = 1
    for size in sizes:
        elements *= size or 0
    if elements > MAX_CONSTANT_ELEMENTS:
        return None
    try:
        return numpy.asarray(tensor_util.MakeNdarray(proto))
    except (TypeError, ValueError, OverflowError):
        return None


def plain_array(value: numpy.ndarray) -> Any:
    """Give an array of numbers as nested lists, floats in their shortest form."""
    if value.dtype != numpy.float32:
        return value.tolist()
    numbers = [shortest_float(one) for one in value.reshape(-1).tolist()]
    return numpy.asarray(numbers, numpy.float64).reshape(value.shape).tolist()


def json_number(value: Any) -> Any:
    """Give a number as JSON can hold it: NaN and infinities, which JSON lacks, become strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value
