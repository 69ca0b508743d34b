"""Reads the sorted string table that TensorFlow's checkpoints use (LevelDB's format).

Layout, from tensorflow/core/lib/io/format.h: blocks, then a footer of 48 bytes with the handles
(offset, size) of the meta index and of the index block, padded, and a magic number. A block holds
entries (shared, unshared and value length as varints, then key tail and value), an array of restart
offsets and their number; behind it stand its compression type (one byte) and masked CRC32C.

Every length and offset is checked against the bytes that are really there: a hostile file gives an
`SSTableError`, never a read outside it nor a large allocation.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from typing import BinaryIO, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

from stage_extract.storage import checksums

FOOTER_SIZE_BYTES = 48
MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)

# One that was just read stays in memory up to this size: it holds many small tensors.
_MAX_KEPT_BLOCK_SIZE_BYTES = 1024 * 1024
# Snappy packs at most 64 bytes into 3 (a copy).
_MAX_SNAPPY_FACTOR = 22
# TensorFlow's writers close a block at 256 KiB, and the entries of an index are short.
MAX_INDEX_BLOCK_SIZE_BYTES = 64 * 1024 * 1024
_BLOCK_TRAILER_SIZE_BYTES = 5
_NO_COMPRESSION = 0
_SNAPPY = 1
_MAX_VARINT_SIZE_BYTES = 10
_RESTART_SIZE_BYTES = 4


Bytes = Union[bytes, memoryview]


class SSTableError(ValueError):
    """The bytes are no table, or contradict themselves."""


def read_varint(data: Bytes, position: int) -> Tuple[int, int]:
    """Decode one base-128 number; returns it and the position behind it.

    Raises:
        SSTableError: the number has no end.
    """
    value = 0
    for shift in range(0, 7 * _MAX_VARINT_SIZE_BYTES, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise SSTableError("a number has no end")


def has_table_footer(file: BinaryIO) -> bool:
    """Tell whether the file ends like a table."""
    size = file.seek(0, 2)
    if size < FOOTER_SIZE_BYTES:
        return False
    file.seek(size - len(MAGIC))
    return file.read(len(MAGIC)) == MAGIC


class _Block(NamedTuple):
    """Where a block lies, and the last key that may be in it."""

    last_key: bytes
    offset: int
    size_bytes: int


def _entries(block: Bytes) -> Iterator[Tuple[bytes, memoryview]]:
    """Give the entries of a block, front to back; the values are not copied."""
    view = memoryview(block)
    if len(view) < _RESTART_SIZE_BYTES:
        raise SSTableError("a block is too short for its restart array")
    (restarts,) = struct.unpack("<I", view[-_RESTART_SIZE_BYTES:])
    limit = len(view) - _RESTART_SIZE_BYTES * (restarts + 1)
    if limit < 0:
        raise SSTableError(f"a block claims {restarts} restart points")
    whole_keys = {0}
    position = 0
    key = b""
    while position < limit:
        start = position
        shared, position = read_varint(view, position)
        unshared, position = read_varint(view, position)
        value_size, position = read_varint(view, position)
        end = position + unshared + value_size
        if shared > len(key) or end > limit:
            raise SSTableError("an entry reaches outside its block")
        if not shared:
            whole_keys.add(start)
        key = key[:shared] + bytes(view[position : position + unshared])
        yield key, view[position + unshared : end]
        position = end
    for place in struct.unpack(f"<{restarts}I", view[limit:-_RESTART_SIZE_BYTES]):
        if place not in whole_keys:
            raise SSTableError(f"a block has a restart point at {place}, where no entry starts")


def _read_handle(data: Bytes, position: int) -> Tuple[int, int, int]:
    offset, position = read_varint(data, position)
    size, position = read_varint(data, position)
    return offset, size, position


class Table:
    """An open table, of which one block at a time is in memory.

    Args:
        file: the table; kept, and closed by the caller.
        max_block_size_bytes: of a block without compression; a larger one is an error.

    Raises:
        SSTableError: the file is no table, or its index is damaged.
    """

    def __init__(
        self, file: BinaryIO, max_block_size_bytes: int = MAX_INDEX_BLOCK_SIZE_BYTES
    ) -> None:
        if not has_table_footer(file):
            raise SSTableError("the file does not end with a table's footer")
        self._file = file
        self.size_bytes = file.seek(0, 2)
        self.max_block_size_bytes = max_block_size_bytes
        file.seek(self.size_bytes - FOOTER_SIZE_BYTES)
        footer = file.read(FOOTER_SIZE_BYTES)
        _, _, position = _read_handle(footer, 0)
        index_offset, index_size_bytes, _ = _read_handle(footer, position)
        index = self._read_block(index_offset, index_size_bytes, MAX_INDEX_BLOCK_SIZE_BYTES)
        self._blocks: List[_Block] = []
        self._kept: Tuple[int, Dict[bytes, memoryview]] = (-1, {})
        for last_key, handle in _entries(index):
            offset, size_bytes, _ = _read_handle(handle, 0)
            self._check_place(offset, size_bytes)
            if self._blocks and last_key <= self._blocks[-1].last_key:
                raise SSTableError(f"the index's key {last_key[:80]!r} is out of order")
            self._blocks.append(_Block(last_key, offset, size_bytes))
        self._last_keys = [block.last_key for block in self._blocks]

    def entries(self) -> Iterator[Tuple[bytes, bytes]]:
        """Give every (key, value), in the order of the keys.

        Raises:
            SSTableError: a block is damaged, or the keys are not in strictly rising order.
        """
        last: Optional[bytes] = None
        for block in self._blocks:
            for key, value in _entries(self._read(block)):
                if last is not None and key <= last:
                    raise SSTableError(f"the key {key[:80]!r} does not follow {last[:80]!r}")
                last = key
                yield key, bytes(value)
            if last is not None and last > block.last_key:
                raise SSTableError(f"the key {last[:80]!r} is not in the index")

    def find(self, key: bytes) -> Optional[memoryview]:
        """Give the value of one key, a view of its block; None if the table has no such key.

        Raises:
            SSTableError: the block in which it should be is damaged.
        """
        place = bisect_left(self._last_keys, key)
        if place == len(self._blocks):
            return None
        if self._kept[0] == place:
            return self._kept[1].get(key)
        self._kept = (-1, {})
        content = self._read(self._blocks[place])
        entries = dict(_entries(content))
        if len(content) <= _MAX_KEPT_BLOCK_SIZE_BYTES:
            self._kept = (place, entries)
        return entries.get(key)

    def _read(self, block: _Block) -> Bytes:
        return self._read_block(block.offset, block.size_bytes, self.max_block_size_bytes)

    def _check_place(self, offset: int, size_bytes: int) -> None:
        end = offset + size_bytes + _BLOCK_TRAILER_SIZE_BYTES
        if end > self.size_bytes - FOOTER_SIZE_BYTES:
            raise SSTableError(f"a block at {offset} with {size_bytes} bytes lies outside the file")

    def _read_block(self, offset: int, size_bytes: int, limit_bytes: int) -> Bytes:
        if size_bytes > limit_bytes:
            raise SSTableError(f"a block claims {size_bytes} bytes")
        self._check_place(offset, size_bytes)
        self._file.seek(offset)
        raw = self._file.read(size_bytes + _BLOCK_TRAILER_SIZE_BYTES)
        if len(raw) != size_bytes + _BLOCK_TRAILER_SIZE_BYTES:
            raise SSTableError(f"a block at {offset} is cut off")
        (stored,) = struct.unpack("<I", raw[size_bytes + 1 :])
        checked = memoryview(raw)[: size_bytes + 1]
        if checksums.mask_crc32c(checksums.extend_crc32c(0, checked)) != stored:
            raise SSTableError(f"the block at {offset} does not have its checksum")
        compression = raw[size_bytes]
        if compression == _NO_COMPRESSION:
            return memoryview(raw)[:size_bytes]
        if compression == _SNAPPY:
            try:
                limit_bytes = min(limit_bytes, _MAX_SNAPPY_FACTOR * size_bytes)
                return checksums.uncompress_snappy(raw[:size_bytes], limit_bytes)
            except ValueError as error:
                raise SSTableError(str(error)) from error
        raise SSTableError(f"the block at {offset} has the unknown compression {compression}")


def read_table(file: BinaryIO) -> Iterator[Tuple[bytes, bytes]]:
    """Give every (key, value) of a table, in the order of the keys, one block in memory at a time.

    Raises:
        SSTableError: the file is no table, a length or offset is wrong, a block's checksum does not
            fit, or the keys are not in strictly rising order.
    """
    return Table(file).entries()
