"""A text in a V2 checkpoint, which is stored in another way than numbers.

Of a tensor of texts: the length of each as a varint, a masked CRC32C of the lengths (as 32-bit
numbers), then the bytes (WriteStringTensor in tensorflow/core/util/tensor_bundle/tensor_bundle.cc).
"""

from __future__ import annotations

import struct
from typing import Sequence

from stage_extract.errors import CorruptTensor
from stage_extract.files import not_readable, open_for_reading
from stage_extract.storage.bundle_index import IndexedTensor
from stage_extract.storage.checksums import extend_crc32c, mask_crc32c
from stage_extract.storage.sstable import SSTableError, read_varint

# An object graph of a model of many thousand layers has a few megabytes.
_LIMIT_BYTES = 256 * 2**20
_CHECKSUM_BYTES = 4


def read_text(tensor: IndexedTensor, shard_paths: Sequence[str]) -> bytes:
    """Give the one text of a scalar tensor of texts.

    Args:
        tensor: its entry in the index.
        shard_paths: the data shards, in the order of their numbers.

    Raises:
        CorruptTensor: its bytes are no such text, or do not have their checksum.
        NotReadable: the operating system refuses.
    """
    extent = tensor.extents[0]
    path = shard_paths[extent.shard]
    if tensor.shape != () or extent.size_bytes > _LIMIT_BYTES:
        raise _corrupt(tensor, path, f"of the shape {list(tensor.shape)}")
    with open_for_reading(path) as file:
        try:
            file.seek(extent.offset)
            content = file.read(extent.size_bytes)
        except OSError as error:
            raise not_readable(path, error) from error
    try:
        length_bytes, start = read_varint(content, 0)
    except SSTableError as error:
        raise _corrupt(tensor, path, "without a length") from error
    text = content[start + _CHECKSUM_BYTES :]
    if length_bytes != len(text):
        raise _corrupt(tensor, path, f"of {length_bytes} bytes, and {len(text)} are there")
    crc = extend_crc32c(0, struct.pack("<I", length_bytes))
    crc = extend_crc32c(crc, content[start:])
    if mask_crc32c(crc) != extent.masked_crc32c:
        raise _corrupt(tensor, path, "without its stored checksum")
    return text


def _corrupt(tensor: IndexedTensor, path: str, what: str) -> CorruptTensor:
    return CorruptTensor(
        f"{tensor.name!r} in {path!r} is a text {what}.",
        "Expected one text, as TensorFlow wrote it.",
        "Copy the file again from its source; if the source is damaged, take another step.",
    )
