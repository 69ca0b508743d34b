"""The bytes of constants: a TensorProto holds them as they are, or as a list that may end early."""

from __future__ import annotations

from types import MappingProxyType
from typing import Iterator, Mapping, NamedTuple, Tuple

from stage_extract.dtypes import ELEMENT_TYPES
from stage_extract.graph.attributes import shape_value
from stage_extract.messages import TensorProto, numbers, view

PIECE_SIZE_BYTES = 4 * 1024 * 1024
# No protocol buffer is larger, and a list of one element may stand for any number of them.
MAX_CONSTANT_BYTES = 2**31

# By the number in tensorflow/core/framework/types.proto: the list, and how its elements are stored.
# 16-bit floats are stored as the whole numbers that have their bits.
_LISTS: Mapping[int, Tuple[str, str]] = MappingProxyType(
    {
        1: ("float_val", "<f4"),
        2: ("double_val", "<f8"),
        3: ("int_val", "<i4"),
        4: ("int_val", "<u1"),
        5: ("int_val", "<i2"),
        6: ("int_val", "<i1"),
        8: ("scomplex_val", "<f4"),
        9: ("int64_val", "<i8"),
        10: ("bool_val", "<u1"),
        14: ("half_val", "<u2"),
        17: ("int_val", "<u2"),
        19: ("half_val", "<u2"),
        22: ("uint32_val", "<u4"),
        23: ("uint64_val", "<u8"),
    }
)


class ConstantInvalid(ValueError):
    """A TensorProto that contradicts itself; the message says how."""


class ConstantHead(NamedTuple):
    """What a TensorProto says of its values.

    Attributes:
        dtype: numpy's name of their type, or TensorFlow's.
        shape: sizes.
        size_bytes: of all values.
    """

    dtype: str
    shape: Tuple[int, ...]
    size_bytes: int


def constant_head(proto: TensorProto) -> ConstantHead:
    """Check what a constant says of its values.

    Raises:
        ConstantInvalid: its type cannot be read, a size is unknown, or it is absurdly large.
    """
    element = ELEMENT_TYPES.get(proto.dtype)
    if element is None or element.size_bytes is None or proto.dtype not in _LISTS:
        name = element.name if element is not None else f"number {proto.dtype}"
        raise ConstantInvalid(f"its type is {name}")
    sizes = shape_value(proto.tensor_shape)
    if sizes is None:
        raise ConstantInvalid("it has no shape")
    shape = tuple(size for size in sizes if size is not None)
    if len(shape) != len(sizes):
        raise ConstantInvalid(f"its shape is {list(sizes)}")
    size_bytes = element.size_bytes
    for size in shape:
        size_bytes *= size
    if size_bytes > MAX_CONSTANT_BYTES:
        raise ConstantInvalid(f"it would have {size_bytes} bytes")
    return ConstantHead(element.name, shape, size_bytes)


def constant_pieces(proto: TensorProto) -> Iterator[memoryview]:
    """Give the bytes of a constant in row-major order, in pieces.

    Raises:
        ConstantInvalid: its type cannot be read, or it holds another number of values than it says.
    """
    head = constant_head(proto)
    content = view(proto, "tensor_content")
    if len(content):
        if len(content) != head.size_bytes:
            raise ConstantInvalid(f"it has {len(content)} bytes for {head.size_bytes}")
        for start in range(0, len(content), PIECE_SIZE_BYTES):
            yield content[start : start + PIECE_SIZE_BYTES]
        return
    field, stored = _LISTS[proto.dtype]
    values = numbers(proto, field).astype(stored)
    element_bytes = ELEMENT_TYPES[proto.dtype].size_bytes or 1
    listed = values.tobytes()
    if len(listed) > head.size_bytes or len(listed) % element_bytes:
        raise ConstantInvalid(f"it lists {len(listed)} bytes for {head.size_bytes}")
    if listed:
        yield memoryview(listed)
    # The last value stands for all that follow; without any, they are zero.
    last = listed[-element_bytes:] or bytes(element_bytes)
    missing = (head.size_bytes - len(listed)) // element_bytes
    while missing:
        count = min(missing, PIECE_SIZE_BYTES // element_bytes)
        yield memoryview(last * count)
        missing -= count
