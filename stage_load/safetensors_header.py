"""The header of a safetensors file: read without trusting it, and written always the same way.

The format (https://github.com/huggingface/safetensors): eight bytes with the header's length, the
header as JSON, then the tensors' bytes without holes. This module has no dependency but the
standard library.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

LENGTH_BYTES = 8
MOST_HEADER_BYTES = 100_000_000
"""The limit of the safetensors library itself."""

MOST_AXES = 64
"""The limit of numpy and of torch."""

_MOST_ADDRESSED_BYTES = 2**63 - 1
"""Also of a tensor without elements: numpy multiplies the sizes that are not zero."""

ALIGNMENT_BYTES = 8
METADATA = "__metadata__"

ITEM_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "BOOL": 1,
        "U8": 1,
        "I8": 1,
        "U16": 2,
        "I16": 2,
        "F16": 2,
        "BF16": 2,
        "U32": 4,
        "I32": 4,
        "F32": 4,
        "U64": 8,
        "I64": 8,
        "F64": 8,
        "C64": 8,
    }
)


class _Described(NamedTuple):
    """One tensor's values as the header has them, not yet checked."""

    dtype: Any
    shape: Any
    data_offsets: Any


ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_MOST_SHOWN = 80
_TENSOR_KEYS = frozenset(_Described._fields)


class HeaderError(ValueError):
    """The header is not one; the message says where and what was expected."""


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor of a file; ``begin`` and ``end`` count from the first byte of the data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def size_bytes(self) -> int:
        """Number of bytes of the tensor."""
        return self.end - self.begin


@dataclass(frozen=True)
class Header:
    """A file's tensors in the order of their bytes, its metadata, and where its data begins."""

    entries: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]
    data_begin: int


@lru_cache(maxsize=4096)
def shared_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the one copy of a shape that many tensors have."""
    return shape


def read_length(prefix: bytes, file_bytes: int) -> int:
    """Return the header's length that the first eight bytes give.

    Raises:
        HeaderError: the file is too short for it, or it is beyond the format's limit.
    """
    if len(prefix) < LENGTH_BYTES:
        raise HeaderError(
            f"the file has {file_bytes} bytes, less than the {LENGTH_BYTES} of a length"
        )
    length = int.from_bytes(prefix, "little")
    if length > MOST_HEADER_BYTES:
        raise HeaderError(f"the header's length is {length}, more than {MOST_HEADER_BYTES}")
    if LENGTH_BYTES + length > file_bytes:
        raise HeaderError(f"the header has {length} bytes, the file {file_bytes}: it is cut short")
    return length


def parse_header(text: bytes, file_bytes: int) -> Header:
    """Read the header's JSON and check every value of it against the file's size.

    Args:
        text: the header's bytes.
        file_bytes: size of the whole file.

    Raises:
        HeaderError: a value is missing, of a wrong type, or out of bounds; a name comes twice; the
            tensors overlap, leave holes, or do not end where the file ends.
    """
    data_begin = LENGTH_BYTES + len(text)
    decoded = _decode_text(text)
    del text
    values = _decode(decoded)
    del decoded
    metadata = values.pop(METADATA, {})
    if not _is_text_map(metadata):
        raise HeaderError(f"{METADATA} is no object of texts")
    entries = [_entry(name, values.pop(name)) for name in list(values)]
    entries.sort(key=lambda entry: (entry.begin, entry.end))
    position = 0
    for entry in entries:
        if entry.begin != position:
            kind = "overlaps the one before" if entry.begin < position else "leaves a hole before"
            raise HeaderError(f"tensor {entry.name!r} {kind}")
        position = entry.end
    if data_begin + position != file_bytes:
        raise HeaderError(
            f"the tensors end at byte {data_begin + position}, the file at {file_bytes}"
        )
    by_name = MappingProxyType({entry.name: entry for entry in entries})
    return Header(by_name, metadata, data_begin)


def write_header(
    tensors: Iterable[tuple[str, str, tuple[int, ...]]], metadata: Mapping[str, str]
) -> tuple[bytes, tuple[TensorEntry, ...]]:
    """Lay tensors out one after the other, in the order given.

    Args:
        tensors: name, dtype (as in ``ITEM_BYTES``) and shape of each.
        metadata: at most one key, since several are stored in no certain order by the library.

    Returns:
        The file's first bytes (length and header, padded so that the data starts aligned), after
        which the data begins, and where in the data each tensor belongs.
    """
    # The text grows piece by piece: of many tensors, one object for all would take far more memory.
    pieces = [f'"{METADATA}":{_compact(dict(metadata))}'] if metadata else []
    placed = []
    position = 0
    for name, dtype, shape in tensors:
        end = position + math.prod(shape) * ITEM_BYTES[dtype]
        value = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, end]}
        pieces.append(f"{_compact(name)}:{_compact(value)}")
        placed.append(TensorEntry(name, dtype, shape, position, end))
        position = end
    text = f"{{{','.join(pieces)}}}".encode()
    text += b" " * (-len(text) % ALIGNMENT_BYTES)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text, tuple(placed)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _decode_text(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise HeaderError(f"the header is not UTF-8: {error.reason}") from error


def _decode(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text, object_pairs_hook=_without_duplicates)
    except RecursionError as error:
        raise HeaderError("the header is nested too deeply") from error
    except HeaderError:
        raise
    except ValueError as error:
        raise HeaderError(f"the header is no JSON: {error}") from error
    _check_names(text, values)
    if not isinstance(values, dict):
        raise HeaderError("the header is no JSON object")
    return values


def _check_names(text: str, values: Any) -> None:
    """Refuse half of a surrogate pair, which only an escape can bring and no file can be sent."""
    if ESCAPED_SURROGATE.search(text) is not None and isinstance(values, dict):
        for name in values:
            try:
                name.encode("utf-8")
            except UnicodeEncodeError as error:
                raise HeaderError(f"the name {name!r} is no text: {error.reason}") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> Any:
    """Make an object of its pairs; that of one tensor becomes a tuple, a third as large."""
    values = dict(pairs)
    if len(values) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise HeaderError(f"{twice!r} comes twice")
    if values.keys() == _TENSOR_KEYS:
        shape = _frozen(values["shape"])
        if isinstance(shape, tuple):
            shape = shared_shape(shape)
        return _Described(values["dtype"], shape, _frozen(values["data_offsets"]))
    return values


def _frozen(value: Any) -> Any:
    """Make a tuple of a list of sizes; anything else is refused when it is checked."""
    if isinstance(value, list) and all(map(_is_size, value)):
        return tuple(value)
    return value


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _short(shape: tuple[int, ...]) -> str:
    text = str([*shape])
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _entry(name: str, value: Any) -> TensorEntry:
    if not isinstance(value, _Described):
        raise HeaderError(f"tensor {name!r} does not have exactly dtype, shape and data_offsets")
    dtype, shape, offsets = value
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise HeaderError(
            f"tensor {name!r} has the dtype {dtype!r}, known: {', '.join(ITEM_BYTES)}"
        )
    if not isinstance(shape, tuple):
        raise HeaderError(f"tensor {name!r} has a shape that is no list of sizes")
    if not isinstance(offsets, tuple) or len(offsets) != 2:
        raise HeaderError(f"tensor {name!r} has data_offsets that are not two positions")
    begin, end = offsets
    expected = math.prod(shape) * ITEM_BYTES[dtype]
    if end - begin != expected:
        raise HeaderError(
            f"tensor {name!r} has the bytes {begin} to {end}, "
            f"its shape {list(shape)} of {dtype} takes {expected}"
        )
    addressed = math.prod(size or 1 for size in shape) * ITEM_BYTES[dtype]
    if len(shape) > MOST_AXES or addressed > _MOST_ADDRESSED_BYTES:
        raise HeaderError(f"tensor {name!r} has a shape that no memory holds: {_short(shape)}")
    return TensorEntry(sys.intern(name), sys.intern(dtype), shape, begin, end)
