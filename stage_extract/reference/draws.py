"""Seeded values for the inputs of the reference run.

Each input has a generator of its own, numpy's RandomState of seed + position among the inputs, so
that two inputs of one shape get different values.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy
import tensorflow

from stage_extract.reference.result import ReferenceUnavailable
from stage_extract.reference.shapes import DataInput
from stage_extract.storage.slices import count_elements

FLOAT_DTYPES = frozenset({"bfloat16", "float16", "float32", "float64"})
INTEGER_DTYPES = frozenset(
    {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
)
PIXEL_VALUES = 256
# Drawn as float64, these take 8 GiB; no network is proven better by a larger input.
MOST_ELEMENTS = 1 << 30
_SEEDS = 2**32


class Drawn(NamedTuple):
    """The values of one input, and how they were made."""

    values: Any
    how: str


class IntegerRange(NamedTuple):
    """Integers from `low` up to, but without, `high`."""

    low: int
    high: int

    def __str__(self) -> str:
        if self.high == self.low + 1:
            return f"the integer {self.low}"
        return f"integers from {self.low} to {self.high - 1}"


class Recipe(NamedTuple):
    """How inputs are drawn whose values the graph does not bound.

    Attributes:
        is_positive: floats are uniform in [0, 1) instead of normal.
        integer_reading: which of the ranges of `integer_ranges` is taken.
    """

    is_positive: bool = False
    integer_reading: int = 0


Shapes = Mapping[str, Tuple[int, ...]]


def integer_ranges(given: DataInput, shapes: Shapes) -> List[IntegerRange]:
    """Give the ranges that an integer input may want, the likeliest first.

    Args:
        given: the integer input.
        shapes: complete shapes of all inputs, by name.
    """
    vocabulary = given.use.vocabulary
    if vocabulary is not None:
        return [IntegerRange(0, vocabulary), IntegerRange(0, max(1, vocabulary // 2))]
    rank = len(shapes[given.tensor])
    if rank > 2 or given.dtype == "uint8":
        return [IntegerRange(0, PIXEL_VALUES), IntegerRange(0, 2)]
    if rank == 2:
        return [IntegerRange(0, 2), IntegerRange(0, 1)]
    length = _sequence_length(shapes)
    if rank == 1:
        return [IntegerRange(1, length + 1), IntegerRange(length, length + 1), IntegerRange(0, 2)]
    # A scalar is mostly a batch size or a length.
    batch = next((shape[0] for shape in shapes.values() if shape), 1)
    return [IntegerRange(value, value + 1) for value in dict.fromkeys((batch, length, 1, 0))]


def _sequence_length(shapes: Shapes) -> int:
    """Give a length that no sequence among the inputs falls short of."""
    inner = [size for shape in shapes.values() for size in (shape[1:-1] or shape[1:])]
    return min(inner, default=1) or 1


def recipes(inputs: Sequence[DataInput], shapes: Shapes) -> List[Recipe]:
    """Give the ways to draw these inputs, the likeliest first."""
    readings = [
        len(integer_ranges(given, shapes)) for given in inputs if given.dtype in INTEGER_DTYPES
    ]
    return [Recipe(integer_reading=reading) for reading in range(max(readings, default=1))]


def draw_inputs(
    inputs: Sequence[DataInput], shapes: Shapes, seed: int, recipe: Recipe
) -> Dict[str, Drawn]:
    """Draw values for all inputs.

    Args:
        inputs: the data inputs.
        shapes: complete shapes, by name.
        seed: of the first input; the following inputs take the following seeds.
        recipe: how to draw what the graph does not bound.

    Raises:
        ReferenceUnavailable: an input is too large, or of a type that cannot be drawn and stored.
    """
    drawn = {}
    for position, given in enumerate(inputs):
        own_seed = (seed + position) % _SEEDS
        values, how = _draw(numpy.random.RandomState(own_seed), given, shapes, recipe)
        drawn[given.tensor] = Drawn(values, f"{how}, seed {own_seed}")
    return drawn


def _draw(generator: Any, given: DataInput, shapes: Shapes, recipe: Recipe) -> Tuple[Any, str]:
    shape = shapes[given.tensor]
    elements = count_elements(shape)
    if elements > MOST_ELEMENTS:
        raise ReferenceUnavailable(
            f"the input '{given.tensor}' of shape {list(shape)} has {elements} numbers, at most "
            f"{MOST_ELEMENTS} are drawn: give a smaller one with --input-shape"
        )
    if given.dtype in FLOAT_DTYPES:
        dtype = tensorflow.as_dtype(given.dtype).as_numpy_dtype
        if recipe.is_positive:
            return numpy.asarray(generator.uniform(size=shape)).astype(dtype), "uniform in [0, 1)"
        return numpy.asarray(generator.normal(size=shape)).astype(dtype), "normal(0, 1)"
    if given.dtype == "complex64":
        real, imaginary = generator.normal(size=(2, *shape))
        return (real + 1j * imaginary).astype(given.dtype), "real and imaginary normal(0, 1)"
    if given.dtype == "bool":
        return numpy.asarray(generator.randint(0, 2, size=shape)).astype(bool), "true or false"
    if given.dtype in INTEGER_DTYPES:
        ranges = integer_ranges(given, shapes)
        chosen = ranges[min(recipe.integer_reading, len(ranges) - 1)]
        largest = int(numpy.iinfo(given.dtype).max)
        chosen = IntegerRange(chosen.low, min(chosen.high, largest + 1))
        values = generator.randint(chosen.low, chosen.high, size=shape)
        return numpy.asarray(values).astype(given.dtype), str(chosen)
    raise ReferenceUnavailable(
        f"the input '{given.tensor}' is of type {given.dtype}, which cannot be drawn and stored: "
        f"with --inputs, name the numeric tensor that is computed from it"
    )
