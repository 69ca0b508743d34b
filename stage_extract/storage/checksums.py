"""CRC32C and Snappy: TensorFlow's own functions in a process that reads by it, else our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stage_extract.reader_choice import reads_by_itself

if TYPE_CHECKING or reads_by_itself():
    from stage_extract.storage.crc32c import extend as extend_crc32c
    from stage_extract.storage.crc32c import mask as mask_crc32c
    from stage_extract.storage.snappy import uncompress as uncompress_snappy
else:
    from stage_extract.storage.native import extend_crc32c, mask_crc32c, uncompress_snappy

__all__ = ["extend_crc32c", "mask_crc32c", "uncompress_snappy"]
