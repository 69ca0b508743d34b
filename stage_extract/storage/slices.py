"""The slices of a partitioned variable: that they cover it once, and how they are put together.

A slice is a box in the whole tensor. Its bytes are stored in row-major order, as those of the whole
are wanted; the order of two elements is the same in both. So the whole is made front to back while
each slice is read front to back, and little of either is in memory.
"""

from __future__ import annotations

import abc
from typing import Iterator, List, Sequence, Tuple

import numpy

from stage_extract.storage.ordered_code import WHOLE_AXIS

# A multiple of every element's size.
PIECE_SIZE_BYTES = 4 * 1024 * 1024

# (start, length) of each axis.
Box = Tuple[Tuple[int, int], ...]

# A stretch of one axis, and the places of the boxes that lie across all of it.
_Band = Tuple[int, int, List[int]]

# Real variables are cut into some hundred slices; a hostile file could ask for days of comparing.
_MAX_COMPARED = 1000000
# numpy's limit before 2.0. No kernel of TensorFlow takes more than 8 axes.
_MAX_RANK = 32
_MAX_ELEMENTS = 1 << 63


class SlicesError(ValueError):
    """The slices do not cover the variable once."""


class Part(abc.ABC):
    """One stored slice, read front to back.

    Attributes:
        box: where it lies in the whole tensor.
    """

    def __init__(self, box: Box) -> None:
        self.box = box

    @abc.abstractmethod
    def next_bytes(self, size_bytes: int) -> memoryview:
        """Give the next bytes; they are valid until the next call for any part.

        Args:
            size_bytes: of whole elements; at most `PIECE_SIZE_BYTES`, or one element.
        """

    @abc.abstractmethod
    def finish(self) -> None:
        """Check, after the last byte, what could not be checked before."""


def count_elements(shape: Sequence[int]) -> int:
    """Give the number of elements of a tensor; 1 for a scalar."""
    count = 1
    for size in shape:
        count *= size
    return count


def is_possible_shape(shape: Sequence[int]) -> bool:
    """Tell whether TensorFlow and numpy could have a tensor of these sizes.

    TensorFlow counts elements in 63 bits (tensorflow/core/framework/tensor_shape.cc). An axis of
    no length does not make the others' product harmless: numpy multiplies those all the same.
    """
    count = count_elements([size for size in shape if size])
    return len(shape) <= _MAX_RANK and min(shape, default=0) >= 0 and count < _MAX_ELEMENTS


def shown_shape(shape: Sequence[int]) -> str:
    """Give a shape for a message, cut off after some axes."""
    if len(shape) <= _MAX_RANK:
        return str(list(shape))
    return f"{list(shape[:_MAX_RANK])} and {len(shape) - _MAX_RANK} axes more"


def resolve_box(bounds: Box, shape: Sequence[int]) -> Box:
    """Replace `WHOLE_AXIS` by the bounds of the axis."""
    return tuple((0, size) if bound == WHOLE_AXIS else bound for bound, size in zip(bounds, shape))


def whole_box(shape: Sequence[int]) -> Box:
    """Give the box of a tensor that is not cut."""
    return tuple((0, size) for size in shape)


def box_shape(box: Box) -> Tuple[int, ...]:
    """Give the sizes of a box."""
    return tuple(length for _, length in box)


def _bands(boxes: Sequence[Box], axis: int) -> Iterator[_Band]:
    """Cut an axis wherever a box begins or ends."""
    edges = sorted({edge for box in boxes for edge in (box[axis][0], sum(box[axis]))})
    order = sorted(range(len(boxes)), key=lambda place: boxes[place][axis][0])
    begun = 0
    across: List[int] = []
    for start, stop in zip(edges, edges[1:]):
        across = [place for place in across if sum(boxes[place][axis]) > start]
        while begun < len(order) and boxes[order[begun]][axis][0] == start:
            across.append(order[begun])
            begun += 1
        yield start, stop, across


def check_cover(boxes: Sequence[Box], shape: Sequence[int]) -> None:
    """Check that every element of a tensor lies in exactly one box.

    Raises:
        SlicesError: a box reaches outside, two overlap, there is a hole, or there are too many to
            compare.
    """
    for box in boxes:
        for axis, ((start, length), size) in enumerate(zip(box, shape)):
            if start < 0 or length < 0 or start + length > size:
                raise SlicesError(f"a slice ends at {start + length} of {size} on axis {axis}")
    if count_elements(shape):
        filled = [box for box in boxes if count_elements(box_shape(box))]
        _Cover(shape).check(filled, 0)


class _Cover:
    """One comparison of boxes, which stops where it would not end."""

    def __init__(self, shape: Sequence[int]) -> None:
        self._shape = shape
        self._compared = 0

    def check(self, boxes: Sequence[Box], axis: int) -> None:
        """Check that boxes which agree on the axes before `axis` cover the others once."""
        if axis == len(self._shape):
            if len(boxes) != 1:
                raise SlicesError("slices overlap" if boxes else "there is no slice")
            return
        end = 0
        for start, stop, places in _bands(boxes, axis):
            if start != end or not places:
                raise SlicesError(f"the slices leave a gap at {min(start, end)} on axis {axis}")
            self._compared += len(places)
            if self._compared > _MAX_COMPARED:
                raise SlicesError(f"there are too many slices ({self._compared} meet)")
            self.check([boxes[place] for place in places], axis + 1)
            end = stop
        if end != self._shape[axis]:
            raise SlicesError(f"the slices end at {end} of {self._shape[axis]} on axis {axis}")


def merge(
    parts: Sequence[Part], shape: Sequence[int], item_size_bytes: int
) -> Iterator[memoryview]:
    """Give the bytes of the whole tensor, in row-major order, in pieces.

    Args:
        parts: slices that `check_cover` has accepted, none of them read yet.
        shape: of the whole tensor.
        item_size_bytes: size of one element.
    """
    if not shape:
        yield from _contiguous(parts[0], item_size_bytes)
    elif count_elements(shape):
        filled = [part for part in parts if count_elements(box_shape(part.box))]
        yield from _merge_axis(filled, 0, shape, item_size_bytes)
    for part in parts:
        part.finish()


def _contiguous(part: Part, size_bytes: int) -> Iterator[memoryview]:
    for start in range(0, size_bytes, PIECE_SIZE_BYTES):
        yield part.next_bytes(min(PIECE_SIZE_BYTES, size_bytes - start))


def _merge_axis(
    parts: Sequence[Part], axis: int, shape: Sequence[int], item_size_bytes: int
) -> Iterator[memoryview]:
    """Merge what parts that agree on the axes before `axis` hold for one index of these."""
    row_size_bytes = item_size_bytes * count_elements(shape[axis + 1 :])
    for start, stop, places in _bands([part.box for part in parts], axis):
        band = [parts[place] for place in places]
        if len(band) == 1:
            yield from _contiguous(band[0], (stop - start) * row_size_bytes)
        elif row_size_bytes > PIECE_SIZE_BYTES and axis + 1 < len(shape):
            for _ in range(start, stop):
                yield from _merge_axis(band, axis + 1, shape, item_size_bytes)
        else:
            block_rows = max(1, PIECE_SIZE_BYTES // row_size_bytes)
            for row in range(start, stop, block_rows):
                rows = min(block_rows, stop - row)
                yield _block(band, (rows, *shape[axis + 1 :]), item_size_bytes)


def _block(parts: Sequence[Part], shape: Tuple[int, ...], item_size_bytes: int) -> memoryview:
    """Fill some rows [rows, inner axes] from the next bytes of each part."""
    dtype = numpy.dtype(f"V{item_size_bytes}")
    block = numpy.empty(shape, dtype=dtype)
    for part in parts:
        inner = part.box[len(part.box) - len(shape) + 1 :]
        sizes = (shape[0], *box_shape(inner))
        content = part.next_bytes(item_size_bytes * count_elements(sizes))
        place = (slice(None), *(slice(start, start + length) for start, length in inner))
        block[place] = numpy.frombuffer(content, dtype=dtype).reshape(sizes)
    return memoryview(block.view(numpy.uint8).reshape(-1))
