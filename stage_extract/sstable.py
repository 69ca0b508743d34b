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
from typing import BinaryIO, Iterator, Tuple

from stage_extract import checksums

FOOTER_SIZE_BYTES = 48
MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)

# TensorFlow's writers close a block at 256 KiB, and the entries of an index are short. (The blocks
# of a V1 checkpoint hold whole tensors; they are not read here.)
_MAX_BLOCK_SIZE_BYTES = 64 * 1024 * 1024
_BLOCK_TRAILER_SIZE_BYTES = 5
_NO_COMPRESSION = 0
_SNAPPY = 1
_MAX_VARINT_SIZE_BYTES = 10


class SSTableError(ValueError):
    """The bytes are no table, or contradict themselves."""


def read_varint(data: bytes, position: int) -> Tuple[int, int]:
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


def _read_block(file: BinaryIO, offset: int, size: int, file_size: int) -> bytes:
    if size > _MAX_BLOCK_SIZE_BYTES:
        raise SSTableError(f"a block claims {size} bytes")
    if offset + size + _BLOCK_TRAILER_SIZE_BYTES > file_size - FOOTER_SIZE_BYTES:
        raise SSTableError(f"a block at {offset} with {size} bytes lies outside the file")
    file.seek(offset)
    raw = file.read(size + _BLOCK_TRAILER_SIZE_BYTES)
    if len(raw) != size + _BLOCK_TRAILER_SIZE_BYTES:
        raise SSTableError(f"a block at {offset} is cut off")
    (stored,) = struct.unpack("<I", raw[size + 1 :])
    if checksums.mask_crc32c(checksums.extend_crc32c(0, raw[: size + 1])) != stored:
        raise SSTableError(f"the block at {offset} does not have its checksum")
    compression = raw[size]
    if compression == _NO_COMPRESSION:
        return raw[:size]
    if compression == _SNAPPY:
        try:
            return checksums.uncompress_snappy(raw[:size], _MAX_BLOCK_SIZE_BYTES)
        except ValueError as error:
            raise SSTableError(str(error)) from error
    raise SSTableError(f"the block at {offset} has the unknown compression {compression}")


def _entries(block: bytes) -> Iterator[Tuple[bytes, bytes]]:
    if len(block) < 4:
        raise SSTableError("a block is too short for its restart array")
    (restarts,) = struct.unpack("<I", block[-4:])
    limit = len(block) - 4 - 4 * restarts
    if limit < 0:
        raise SSTableError(f"a block claims {restarts} restart points")
    position = 0
    key = b""
    while position < limit:
        shared, position = read_varint(block, position)
        unshared, position = read_varint(block, position)
        value_size, position = read_varint(block, position)
        end = position + unshared + value_size
        if shared > len(key) or end > limit:
            raise SSTableError("an entry reaches outside its block")
        key = key[:shared] + block[position : position + unshared]
        yield key, block[position + unshared : end]
        position = end


def _read_handle(data: bytes, position: int) -> Tuple[int, int, int]:
    offset, position = read_varint(data, position)
    size, position = read_varint(data, position)
    return offset, size, position


def read_table(file: BinaryIO) -> Iterator[Tuple[bytes, bytes]]:
    """Give every (key, value) of a table, in the order of the keys, one block in memory at a time.

    Raises:
        SSTableError: the file is no table, a length or offset is wrong, a block's checksum does not
            fit, or the keys are not in strictly rising order.
    """
    if not has_table_footer(file):
        raise SSTableError("the file does not end with a table's footer")
    file_size = file.seek(0, 2)
    file.seek(file_size - FOOTER_SIZE_BYTES)
    footer = file.read(FOOTER_SIZE_BYTES)
    _, _, position = _read_handle(footer, 0)
    index_offset, index_size, _ = _read_handle(footer, position)
    last = None
    for _, handle in _entries(_read_block(file, index_offset, index_size, file_size)):
        offset, size, _ = _read_handle(handle, 0)
        for key, value in _entries(_read_block(file, offset, size, file_size)):
            if last is not None and key <= last:
                raise SSTableError(f"the key {key[:80]!r} does not follow {last[:80]!r}")
            last = key
            yield key, value
