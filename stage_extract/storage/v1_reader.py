"""Reads a V1 checkpoint: one tensor at a time, and of that one table block after the other.

The format has no checksum of a tensor, but each block of a table has its own, and every number of
values is compared with the shape. TensorFlow's CheckpointReader refuses partitioned variables and
several types here; this one does not.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Iterator, List, Mapping, Optional, Sequence

from stage_extract.errors import CorruptTensor
from stage_extract.files import open_for_reading
from stage_extract.reader import VariableInfo, VariableReader
from stage_extract.storage.slices import Part, box_shape, count_elements, merge
from stage_extract.storage.sstable import SSTableError, Table
from stage_extract.storage.v1_index import SavedSlice, SavedTensor, corrupt_index, read_v1_index
from stage_extract.storage.v1_values import Values, ValuesError

# Messages of protocol buffers, of which each block has at least one, are shorter.
_MAX_BLOCK_SIZE_BYTES = 1 << 31


class _SavedPart(Part):
    """One stored slice, which is read when its first byte is wanted and let go with its last."""

    def __init__(self, tensor: SavedTensor, stored: SavedSlice, table: Table, path: str) -> None:
        super().__init__(stored.box)
        self._tensor = tensor
        self._key = stored.key
        self._table = table
        self._path = path
        self._left = count_elements(box_shape(stored.box)) * (tensor.element_type.size_bytes or 0)
        self._values: Optional[Values] = None
        self._was_read = False

    def next_bytes(self, size_bytes: int) -> memoryview:
        """Give the next bytes (see `Part.next_bytes`).

        Raises:
            CorruptTensor: the values are not there or not those that the list promises.
        """
        values = self._values or self._read()
        try:
            content = values.next_bytes(size_bytes)
        except ValuesError as error:
            raise self._corrupt(str(error)) from error
        self._left -= size_bytes
        self._values = values if self._left else None
        return content

    def finish(self) -> None:
        """Check that even a part without elements is there.

        Raises:
            CorruptTensor: it is not.
        """
        if not self._was_read:
            self._read()

    def _read(self) -> Values:
        self._was_read = True
        try:
            entry = self._table.find(self._key)
            if entry is None:
                raise self._corrupt("it is listed, but its values are not there")
            count = count_elements(box_shape(self.box))
            return Values(entry, self._tensor.name, self._tensor.element_type.name, count)
        except (SSTableError, ValuesError) as error:
            raise self._corrupt(str(error)) from error

    def _corrupt(self, what: str) -> CorruptTensor:
        return CorruptTensor(
            f"Tensor {self._tensor.name!r} in {self._path!r} cannot be read: {what}.",
            "Expected the bytes that TensorFlow wrote.",
            "Copy the file again from its source; if the source is damaged, take another step.",
        )


class V1Reader(VariableReader):
    """Reads the tensors of one V1 checkpoint.

    Args:
        paths: its files, in the order of their numbers.

    Raises:
        CorruptIndex: a file is damaged or contradicts itself or another one.
        NotReadable: the operating system refuses.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = list(paths)
        self._tables: List[Table] = []
        self._tensors: Mapping[str, SavedTensor] = {}
        with ExitStack() as files:
            for path in paths:
                file = files.enter_context(open_for_reading(path))
                try:
                    self._tables.append(Table(file, _MAX_BLOCK_SIZE_BYTES))
                except SSTableError as error:
                    raise corrupt_index(path, str(error)) from error
            self._tensors = read_v1_index(self._tables, self._paths)
            self._files = files.pop_all()

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
        item_size_bytes = tensor.element_type.size_bytes
        if item_size_bytes is None:
            raise ValueError(f"{name!r} has no numeric elements ({tensor.element_type.name})")
        parts = [
            _SavedPart(tensor, stored, self._tables[stored.shard], self._paths[stored.shard])
            for stored in tensor.slices
        ]
        return merge(parts, tensor.shape, item_size_bytes)

    def close(self) -> None:
        """Close the files, and let go of the list."""
        self._tensors = {}
        self._tables.clear()
        self._files.close()
