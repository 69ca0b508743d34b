"""Reads a V2 checkpoint straight from its data shards, at the places that the index names.

TensorFlow's own CheckpointReader holds a tensor twice (its buffer and numpy's copy) and aborts the
process where a shard is too short. Here a tensor comes in pieces, and its CRC32C is computed, by
TensorFlow's function, over exactly the bytes that are handed on.
"""

from __future__ import annotations

import os
from typing import Iterator, List, Mapping, Sequence

import numpy

from stage_extract import native
from stage_extract.bundle_index import BundleIndex, Extent, IndexedTensor, count_elements
from stage_extract.errors import CorruptTensor, TruncatedData
from stage_extract.files import not_readable
from stage_extract.reader import VariableInfo, VariableReader

PIECE_SIZE_BYTES = 4 * 1024 * 1024


class _Buffer:
    """Memory that is read into again and again, with its address for the checksum."""

    def __init__(self, size_bytes: int) -> None:
        self._array = numpy.empty(size_bytes, dtype=numpy.uint8)
        self.address: int = self._array.ctypes.data
        self.view = memoryview(self._array)


class _ExtentStream:
    """The bytes of one stored tensor or slice, front to back, with a running checksum."""

    def __init__(self, descriptor: int, path: str, extent: Extent) -> None:
        self._descriptor = descriptor
        self._path = path
        self._offset = extent.offset
        self._expected = extent.masked_crc32c
        self._crc = 0

    def next_bytes(self, buffer: _Buffer, size_bytes: int) -> memoryview:
        """Read the next `size_bytes` into the start of `buffer` and give them.

        Raises:
            TruncatedData: the shard ends before.
            NotReadable: the operating system refuses.
        """
        view = buffer.view[:size_bytes]
        filled = 0
        while filled < size_bytes:
            try:
                count = os.preadv(self._descriptor, [view[filled:]], self._offset + filled)
            except OSError as error:
                raise not_readable(self._path, error) from error
            if count == 0:
                size_now_bytes = os.fstat(self._descriptor).st_size
                raise truncated(self._path, size_now_bytes, self._offset + size_bytes)
            filled += count
        self._offset += size_bytes
        self._crc = native.extend_crc32c_at(self._crc, buffer.address, size_bytes)
        return view

    def is_intact(self) -> bool:
        """Tell, after the last byte, whether the checksum fits."""
        return native.mask_crc32c(self._crc) == self._expected


def truncated(path: str, size_bytes: int, expected_bytes: int) -> TruncatedData:
    """Make the error for a data shard that is shorter than its index promises."""
    return TruncatedData(
        f"{path!r} ends after {size_bytes} bytes.",
        f"Expected at least {expected_bytes} bytes: the index places tensors up to there.",
        "Copy the file again from its source and compare the sizes; if the source is as short, "
        "take another step of the training.",
    )


def _corrupt(name: str, path: str, extent: Extent) -> CorruptTensor:
    return CorruptTensor(
        f"Tensor {name!r} in {path!r} (bytes {extent.offset} to "
        f"{extent.offset + extent.size_bytes}) does not have its stored checksum.",
        "Expected the bytes that TensorFlow wrote (CRC32C).",
        "Copy the file again from its source; if the source is damaged, take another step.",
    )


class BundleReader(VariableReader):
    """Reads the tensors of one V2 checkpoint.

    Args:
        index: the checked index.
        shard_paths: the data shards, in the order of their numbers.
    """

    def __init__(self, index: BundleIndex, shard_paths: Sequence[str]) -> None:
        self._tensors: Mapping[str, IndexedTensor] = index.tensors
        self._paths = list(shard_paths)
        self._descriptors: List[int] = []
        self._buffer = _Buffer(PIECE_SIZE_BYTES)
        try:
            for path in self._paths:
                self._descriptors.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            self.close()
            raise not_readable(path, error) from error

    def variables(self) -> List[VariableInfo]:
        """Give every tensor of the checkpoint, strings included, sorted by name."""
        return [self.info(name) for name in self._tensors]

    def info(self, name: str) -> VariableInfo:
        """Give what the checkpoint says of one tensor (see `VariableReader.info`)."""
        tensor = self._tensors[name]
        return VariableInfo(tensor.name, tensor.element_type.name, tensor.shape)

    def pieces(self, name: str) -> Iterator[memoryview]:
        """Give the bytes of one numeric tensor in pieces (see `VariableReader.pieces`)."""
        tensor = self._tensors[name]
        if not tensor.cut_axis:
            # Plain, or cut along the first axis: the slices' bytes follow each other.
            for extent in tensor.extents:
                yield from self._extent_pieces(name, extent)
        else:
            yield from self._interleaved_pieces(tensor, tensor.cut_axis)

    def close(self) -> None:
        """Close the data shards and let go of the index and the memory for pieces."""
        self._tensors = {}
        self._buffer = _Buffer(0)
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _stream(self, extent: Extent) -> _ExtentStream:
        return _ExtentStream(self._descriptors[extent.shard], self._paths[extent.shard], extent)

    def _extent_pieces(self, name: str, extent: Extent) -> Iterator[memoryview]:
        stream = self._stream(extent)
        for start in range(0, extent.size_bytes, PIECE_SIZE_BYTES):
            size_bytes = min(PIECE_SIZE_BYTES, extent.size_bytes - start)
            yield stream.next_bytes(self._buffer, size_bytes)
        if not stream.is_intact():
            raise _corrupt(name, self._paths[extent.shard], extent)

    def _interleaved_pieces(self, tensor: IndexedTensor, axis: int) -> Iterator[memoryview]:
        """Merge slices along an inner axis, a block of outer rows at a time.

        Seen as [outer, inner bytes], each slice is a band of columns; a block of outer rows of one
        slice is contiguous in its shard, so every slice is still read front to back.
        """
        outer = count_elements(tensor.shape[:axis])
        if outer == 0:
            return
        row_bytes = sum(extent.size_bytes for extent in tensor.extents) // outer
        block_rows = max(1, PIECE_SIZE_BYTES // max(row_bytes, 1))
        streams = [self._stream(extent) for extent in tensor.extents]
        widths = [extent.size_bytes // outer for extent in tensor.extents]
        buffers = [_Buffer(width * block_rows) for width in widths]
        for start in range(0, outer, block_rows):
            rows = min(block_rows, outer - start)
            bands = [
                numpy.frombuffer(
                    stream.next_bytes(buffer, width * rows), dtype=numpy.uint8
                ).reshape(rows, width)
                for stream, buffer, width in zip(streams, buffers, widths)
            ]
            yield memoryview(numpy.concatenate(bands, axis=1).reshape(-1))
        for stream, extent in zip(streams, tensor.extents):
            if not stream.is_intact():
                raise _corrupt(tensor.name, self._paths[extent.shard], extent)
