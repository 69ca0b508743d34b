"""Reads a V2 checkpoint straight from its data shards, at the places that the index names.

TensorFlow's own CheckpointReader holds a tensor twice (its buffer and numpy's copy) and aborts the
process where a shard is too short. Here a tensor comes in pieces, and its CRC32C is computed
over exactly the bytes that are handed on.
"""

from __future__ import annotations

import os
from typing import Iterator, List, Mapping, Sequence, Tuple

import numpy

from stage_extract.errors import CorruptTensor, TruncatedData
from stage_extract.files import not_readable
from stage_extract.reader import VariableInfo, VariableReader
from stage_extract.storage import checksums
from stage_extract.storage.bundle_index import BundleIndex, Extent, IndexedTensor
from stage_extract.storage.crc32c import unmask
from stage_extract.storage.slices import PIECE_SIZE_BYTES, Part, merge


class _Buffer:
    """Memory that is read into again and again."""

    def __init__(self, size_bytes: int) -> None:
        self.view = memoryview(numpy.empty(size_bytes, dtype=numpy.uint8))


class _ExtentPart(Part):
    """One stored tensor or slice, with a running checksum.

    Args:
        name: of the tensor, for the error.
        descriptor: of the open data shard.
        path: of the data shard.
        extent: where in the shard.
        buffer: what is read into; other parts use it too.
    """

    def __init__(
        self, name: str, descriptor: int, path: str, extent: Extent, buffer: _Buffer
    ) -> None:
        super().__init__(extent.box)
        self._name = name
        self._descriptor = descriptor
        self._path = path
        self._extent = extent
        self._buffer = buffer
        self._offset = extent.offset
        self._crc = 0

    def next_bytes(self, size_bytes: int) -> memoryview:
        """Read the next bytes (see `Part.next_bytes`).

        Raises:
            TruncatedData: the shard ends before.
            NotReadable: the operating system refuses.
        """
        view = self._buffer.view[:size_bytes]
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
        self._crc = checksums.extend_crc32c(self._crc, view)
        return view

    def finish(self) -> None:
        """Compare the checksum.

        Raises:
            CorruptTensor: it does not fit.
        """
        if checksums.mask_crc32c(self._crc) != self._extent.masked_crc32c:
            raise _corrupt(self._name, self._path, self._extent)


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
        parts = [
            _ExtentPart(
                name,
                self._descriptors[extent.shard],
                self._paths[extent.shard],
                extent,
                self._buffer,
            )
            for extent in tensor.extents
        ]
        item_size_bytes = tensor.element_type.size_bytes
        if item_size_bytes is None:
            raise ValueError(f"{name!r} has no numeric elements ({tensor.element_type.name})")
        return merge(parts, tensor.shape, item_size_bytes)

    def checksums(self, name: str) -> Tuple[int, ...]:
        """Give what the index keeps of a tensor (see `VariableReader.checksums`)."""
        return tuple(unmask(extent.masked_crc32c) for extent in self._tensors[name].extents)

    def close(self) -> None:
        """Close the data shards and let go of the index and the memory for pieces."""
        self._tensors = {}
        self._buffer = _Buffer(0)
        while self._descriptors:
            os.close(self._descriptors.pop())
