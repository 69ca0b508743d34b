"""The values of the checkpoints in data/: by formula, so that no second file has to hold them."""

from __future__ import annotations

from typing import Any

import numpy

# bfloat16 is a number of TensorFlow's only: it is not among these. V1 cannot hold the last three.
DTYPES = (
    *("float16", "float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8"),
    *("uint16", "complex64", "complex128", "uint32", "uint64"),
)
V2_ONLY = ("uint32", "uint64")

# The parts of "cut", by start and stop of both axes.
CUT_SHAPE = (5, 7)
CUTS = (((0, 2), (0, 3)), ((2, 5), (0, 3)), ((0, 2), (3, 7)), ((2, 5), (3, 7)))


def values_of(dtype: str) -> Any:
    """Give 21 values over the whole range of a type, [3, 7]."""
    steps = numpy.arange(-10, 11).reshape(3, 7)
    if dtype == "bool":
        return steps % 3 == 0
    if dtype.startswith("complex"):
        return (steps / 3 + 1j * steps[::-1] / 7).astype(dtype)
    if dtype.startswith("float"):
        return (steps / 3).astype(dtype)
    limits = numpy.iinfo(dtype)
    values = numpy.arange(21).reshape(3, 7).astype(dtype)
    values[0, 0], values[2, 6] = limits.min, limits.max
    return values


def cut_values() -> Any:
    """Give the values of the variable that is cut along both axes, float32 [5, 7]."""
    return numpy.arange(35, dtype="float32").reshape(CUT_SHAPE)


def plain_values(names: tuple[str, ...] = DTYPES) -> dict[str, Any]:
    """Give the other tensors: one of each type, a scalar and one without elements."""
    return {
        **{f"types/{name}": values_of(name) for name in names},
        "scalar": numpy.array(2.5, "float32"),
        "empty": numpy.zeros((3, 0, 2), "float32"),
    }
