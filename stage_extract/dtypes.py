"""The element types of TensorFlow, and what each is called in a safetensors file."""

from __future__ import annotations

from types import MappingProxyType
from typing import Mapping, NamedTuple, Optional


class ElementType(NamedTuple):
    """One row of the table of element types.

    Attributes:
        name: numpy's name where numpy has the type, else TensorFlow's.
        size_bytes: size of one element; None where elements have no fixed size.
        safetensors: the name in a safetensors header; None where that format has none.
    """

    name: str
    size_bytes: Optional[int]
    safetensors: Optional[str]


# By the number in tensorflow/core/framework/types.proto.
ELEMENT_TYPES: Mapping[int, ElementType] = MappingProxyType(
    {
        1: ElementType("float32", 4, "F32"),
        2: ElementType("float64", 8, "F64"),
        3: ElementType("int32", 4, "I32"),
        4: ElementType("uint8", 1, "U8"),
        5: ElementType("int16", 2, "I16"),
        6: ElementType("int8", 1, "I8"),
        7: ElementType("string", None, None),
        8: ElementType("complex64", 8, "C64"),
        9: ElementType("int64", 8, "I64"),
        10: ElementType("bool", 1, "BOOL"),
        11: ElementType("qint8", 1, None),
        12: ElementType("quint8", 1, None),
        13: ElementType("qint32", 4, None),
        14: ElementType("bfloat16", 2, "BF16"),
        15: ElementType("qint16", 2, None),
        16: ElementType("quint16", 2, None),
        17: ElementType("uint16", 2, "U16"),
        18: ElementType("complex128", 16, None),
        19: ElementType("float16", 2, "F16"),
        20: ElementType("resource", None, None),
        21: ElementType("variant", None, None),
        22: ElementType("uint32", 4, "U32"),
        23: ElementType("uint64", 8, "U64"),
    }
)

# The quantized ones are plain numbers, and of bfloat16, which numpy lacks, the bits are given.
_STORED: Mapping[str, str] = MappingProxyType(
    {"bfloat16": "uint16", "qint8": "int8", "quint8": "uint8", "qint16": "int16",
     "quint16": "uint16", "qint32": "int32"}
)  # fmt: skip


def stored_name(element: ElementType) -> str:
    """Give numpy's name of the type that holds elements where numpy alone reads them."""
    return _STORED.get(element.name, element.name)


BY_NAME: Mapping[str, ElementType] = MappingProxyType(
    {element.name: element for element in ELEMENT_TYPES.values()}
)
