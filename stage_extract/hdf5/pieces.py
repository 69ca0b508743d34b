"""The bytes of an array in an HDF5 file, in pieces."""

from __future__ import annotations

import itertools
from typing import Any, Iterator, Tuple

import numpy

from stage_extract.errors import CorruptTensor
from stage_extract.hdf5.file import H5PY_ERRORS, HdfFile
from stage_extract.storage.slices import count_elements

PIECE_SIZE_BYTES = 4 * 1024 * 1024


def dataset_pieces(file: HdfFile, path: str) -> Iterator[memoryview]:
    """Give the bytes of an array, little-endian and in row-major order.

    Raises:
        CorruptTensor: HDF5 cannot read them.
        UnsupportedFormat, CorruptIndex, TruncatedData: see `HdfFile.dataset`.
    """
    dataset = file.dataset(path)
    dtype = dataset.dtype.newbyteorder("<")
    for place in _places(tuple(dataset.shape), dtype.itemsize):
        try:
            values: Any = dataset[place]
        except H5PY_ERRORS as error:
            raise CorruptTensor(
                f"The array {path!r} of {file.path!r} cannot be read: {error}.",
                "Expected the bytes that Keras wrote.",
                "Copy the file again from its source; if the source is damaged, take another.",
            ) from error
        piece = numpy.ascontiguousarray(values, dtype=dtype)
        yield memoryview(piece.reshape(-1).view(numpy.uint8))


def _places(shape: Tuple[int, ...], item_bytes: int) -> Iterator[Tuple[Any, ...]]:
    """Give the indices of an array's parts, in row-major order, each at most one piece large."""
    if not shape:
        yield ()
        return
    if count_elements(shape) == 0:
        return
    axis = 0
    while axis < len(shape) - 1 and _row_bytes(shape, axis, item_bytes) > PIECE_SIZE_BYTES:
        axis += 1
    rows = max(1, PIECE_SIZE_BYTES // _row_bytes(shape, axis, item_bytes))
    for outer in itertools.product(*(range(size) for size in shape[:axis])):
        for start in range(0, shape[axis], rows):
            yield (*outer, slice(start, min(start + rows, shape[axis])))


def _row_bytes(shape: Tuple[int, ...], axis: int, item_bytes: int) -> int:
    return count_elements(shape[axis + 1 :]) * item_bytes
