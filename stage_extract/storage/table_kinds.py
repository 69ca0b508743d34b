"""Tells by a few bytes what a table holds: a whole V1 checkpoint, or the index of a V2 one.

The first key of both is empty. V1 keeps a SavedTensorSlices there, whose first field is a message
(tag 0x0a); V2 a BundleHeaderProto, whose first field is a number (tag 0x08).
"""

from __future__ import annotations

import os
from typing import Optional

from stage_extract.files import open_for_reading
from stage_extract.storage.sstable import SSTableError, has_table_footer, read_varint

V1_TABLE = "V1"
V2_INDEX = "V2 index"
UNKNOWN_TABLE = "table"

_HEAD_SIZE_BYTES = 64
# The first entry shares nothing with the one before, and its key has no bytes.
_EMPTY_KEY = b"\x00\x00"
_MESSAGE_TAG = b"\x0a"
_NUMBER_TAG = b"\x08"
_LITERAL_TAG_SIZES_BYTES = (1, 2, 3, 4, 5)


def _first_value(head: bytes) -> bytes:
    """Give the start of the value under the empty key; nothing if there is no such key."""
    if not head.startswith(_EMPTY_KEY):
        return b""
    try:
        _, start = read_varint(head, len(_EMPTY_KEY))
    except SSTableError:
        return b""
    return head[start:]


def _unpacked(head: bytes) -> bytes:
    """Give the start of a block that may be compressed: Snappy begins it with a literal."""
    if head.startswith(_EMPTY_KEY):
        return head
    try:
        _, start = read_varint(head, 0)
    except SSTableError:
        return b""
    found = head.find(_EMPTY_KEY, start)
    return head[found:] if found - start in _LITERAL_TAG_SIZES_BYTES else b""


def table_kind(path: str) -> Optional[str]:
    """Tell what a table holds; None if the file does not end like one.

    Raises:
        NotReadable: the operating system refuses.
    """
    with open_for_reading(path) as file:
        if not has_table_footer(file):
            return None
        file.seek(0)
        value = _first_value(_unpacked(file.read(_HEAD_SIZE_BYTES)))
    kinds = {_MESSAGE_TAG: V1_TABLE, _NUMBER_TAG: V2_INDEX}
    return kinds.get(value[:1], UNKNOWN_TABLE)


def starts_like_v1(head: bytes) -> bool:
    """Tell whether the first bytes of a file are those of a V1 checkpoint, whole or cut off.

    In its list of tensors (a message), the first tensor (a message) starts with its name.
    """
    value = _first_value(head)
    for _ in range(2):
        if not value.startswith(_MESSAGE_TAG):
            return False
        try:
            _, start = read_varint(value, len(_MESSAGE_TAG))
        except SSTableError:
            return False
        value = value[start:]
    return value.startswith(_MESSAGE_TAG)


def is_v1_file(path: str) -> bool:
    """Tell whether a plain file is (a shard of) a V1 checkpoint.

    Raises:
        NotReadable: the operating system refuses.
    """
    return os.path.isfile(path) and table_kind(path) == V1_TABLE
