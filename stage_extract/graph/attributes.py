"""Attributes of a NodeDef as plain Python values."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any, List, Mapping, Optional, Tuple, Union

import numpy

from stage_extract.dtypes import ELEMENT_TYPES
from stage_extract.messages import AttrValue, TensorProto, TensorShapeProto
from stage_extract.messages.tables import ENUMS, REFERENCE_OFFSET
from stage_extract.messages.tensors import MAX_AXES, TensorError, make_array

# -1 of a TensorShapeProto becomes None, an unknown rank is None for the whole.
Shape = Optional[Tuple[Optional[int], ...]]

# A larger constant stays a NodeDef: it is data of the model, not a setting of an op.
MAX_CONSTANT_ELEMENTS = 65536

_ITEMS = ("s", "i", "f", "b", "type", "shape", "func")

# The attributes that this stage reads, by their types (fields of an AttrValue), as all ops of
# TensorFlow 1.15 that have them declare them (tensorflow/core/ops).
_NAMES_BY_TYPE: Mapping[str, str] = MappingProxyType(
    {
        "b": "adj_x adj_y is_training keep_dims scale_after_normalization transpose_a transpose_b "
        "use_peephole",
        "f": "cell_clip epsilon forget_bias variance_epsilon",
        "i": "axis batch_dim begin_mask block_size ellipsis_mask end_mask new_axis_mask num "
        "num_split parallel_iterations seq_dim shrink_axis_mask",
        "list(i)": "dilations explicit_paddings ksize squeeze_dims strides",
        "list(s)": "_class",
        "list(shape)": "_output_shapes",
        "s": "data_format direction frame_name output_stream padding rnn_mode shared_name",
        "shape": "shape",
        "tensor": "value",
        "type": "DstT Tcond Tshape dtype",
        "type list(type)": "T Tin Tout",
    }
)
_TYPES: Mapping[str, str] = MappingProxyType(
    {name: kinds for kinds, names in _NAMES_BY_TYPE.items() for name in names.split()}
)

_BFLOAT16 = ENUMS["DataType"]["DT_BFLOAT16"]


def dtype_name(number: int) -> str:
    """Give numpy's name of a DataType number of TensorFlow, "unknown_N" if there is none."""
    plain = number - REFERENCE_OFFSET if number > REFERENCE_OFFSET else number
    element = ELEMENT_TYPES.get(plain)
    return element.name if element is not None else f"unknown_{number}"


def shape_value(proto: TensorShapeProto) -> Shape:
    """Give a shape as sizes, None for an unknown size or rank."""
    if proto.unknown_rank:
        return None
    return tuple(dim.size if dim.size >= 0 else None for dim in proto.dim)


def plain_value(attribute: AttrValue) -> Any:
    """Give an attribute as a Python value; a tensor as None, see `tensor_value`."""
    kind = attribute.WhichOneof("value")
    if kind is None or kind == "tensor":
        return None
    if kind == "list":
        return _list_value(attribute.list)
    return _scalar_value(kind, getattr(attribute, kind))


def typed_value(name: str, attribute: AttrValue) -> Any:
    """Give an attribute as `plain_value`; None if it is not of the type that its name has.

    A graph may say anything: text for strides, a list for a type. What is of another type than in
    every op of TensorFlow is as good as absent.
    """
    expected = _TYPES.get(name)
    if expected is None:
        return plain_value(attribute)
    kind = attribute.WhichOneof("value")
    if kind != "list":
        return plain_value(attribute) if kind in expected.split() else None
    filled = [f"list({item})" for item in _ITEMS if len(getattr(attribute.list, item))]
    return plain_value(attribute) if set(filled) <= set(expected.split()) else None


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
    for kind in _ITEMS:
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
    return float(str(numpy.float32(value)))


def tensor_value(proto: TensorProto) -> Optional[numpy.ndarray]:
    """Give a constant as an array, or None if it is too large, or not what it claims to be."""
    sizes = shape_value(proto.tensor_shape)
    if sizes is None or None in sizes or len(sizes) > MAX_AXES:
        return None
    elements = 1
    for size in sizes:
        elements *= size or 0
    if elements > MAX_CONSTANT_ELEMENTS:
        return None
    try:
        value = make_array(proto)
    except TensorError:
        return None
    if proto.dtype == _BFLOAT16:
        # float32 has the same bits and 16 more; as float64 numbers are printed with all digits.
        bits = numpy.asarray(numpy.left_shift(value, 16, dtype=numpy.uint32))
        return bits.view(numpy.float32).astype(numpy.float64)
    return value


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
