"""Tables of keys and values (SSTables) whose checksums fit whatever they say; CPython 3.7 too.

A flipped bit of a table fails at its checksum. What lies behind is reached only by a table that was
written anew from entries that lie.
"""

from __future__ import annotations

import io
import random
import struct
from typing import List, Sequence, Tuple

from stage_extract.storage.crc32c import extend, mask
from stage_extract.storage.sstable import MAGIC, read_table
from tests.fuzz.mutation import mutate_bytes, varint

Entry = Tuple[bytes, bytes]

_KEYS = (
    b"",
    b"\0",
    b"\xff\xfe",
    b"__metadata__",
    b"../../etc/passwd",
    b"a\nb\r\x1b[31m",
    "a\u202eb".encode(),
    b"x" * 1_000_000,
    b"name/.ATTRIBUTES/VARIABLE_VALUE",
    b"_CHECKPOINTABLE_OBJECT_GRAPH",
)
# Dimensions of a shape, as fields 2 of a TensorShapeProto: 2^60 elements, negative, none, many.
_SIZES = (0, 1, 7, 2**31, 2**40, 2**60, 2**63 - 1, 2**64 - 1)


def table(entries: Sequence[Entry]) -> bytes:
    """Write a table of one block."""
    data = _with_trailer(_block(entries))
    data_handle = varint(0) + varint(len(data) - 5)
    meta_offset = len(data)
    meta = _block([])
    data += _with_trailer(meta)
    index_offset = len(data)
    index = _block([(b"\xff", data_handle)])
    data += _with_trailer(index)
    handles = (meta_offset, len(meta), index_offset, len(index))
    return data + b"".join(map(varint, handles)).ljust(40, b"\0") + MAGIC


def _block(entries: Sequence[Entry]) -> bytes:
    body = b"".join(
        b"\0" + varint(len(key)) + varint(len(value)) + key + value for key, value in entries
    )
    return body + struct.pack("<II", 0, 1)


def _with_trailer(block: bytes) -> bytes:
    checked = block + b"\0"
    return checked + struct.pack("<I", mask(extend(0, checked)))


def is_table(data: bytes) -> bool:
    """Whether a file ends as a table does."""
    return data.endswith(MAGIC)


def mutate_table(data: bytes, chance: random.Random) -> bytes:
    """Change keys, values, order or number of a table's entries."""
    entries = list(read_table(io.BytesIO(data)))
    for _ in range(chance.choice((1, 1, 2, 4))):
        _change(entries, chance)
    if chance.randrange(4):
        entries.sort()
    return table(entries)


def _change(entries: List[Entry], chance: random.Random) -> None:
    position = chance.randrange(len(entries))
    key, value = entries[position]
    what = chance.randrange(8)
    if what == 0 and len(entries) > 1:
        del entries[position]
    elif what == 1:
        entries.append((chance.choice(_KEYS), value))
    elif what == 2:
        entries.append((mutate_bytes(key, chance), chance.choice(entries)[1]))
    elif what == 3:
        entries[position] = key, chance.choice(entries)[1]
    elif what == 4:
        entries[position] = key, value + _shape(chance)
    else:
        entries[position] = key, mutate_bytes(value, chance, [other for _, other in entries])


def _shape(chance: random.Random) -> bytes:
    """A further field 2 of a BundleEntryProto, which is merged into its shape."""
    count = chance.choice((1, 1, 2, 3, 40, 300))
    sizes = (b"\x08" + varint(chance.choice(_SIZES)) for _ in range(count))
    shape = b"".join(b"\x12" + varint(len(size)) + size for size in sizes)
    return b"\x12" + varint(len(shape)) + shape
