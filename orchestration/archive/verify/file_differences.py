"""Compares files that must be equal, and names what in them differs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, Final

from orchestration.strict_json import decode_json

_PIECE_BYTES: Final = 1 << 20
_LENGTH_BYTES: Final = 8
_MOST_HEADER_BYTES: Final = 100_000_000
# A line of a hostile file may be all of it.
_MOST_TEXT_BYTES: Final = 64 << 20
_MOST_NAMED: Final = 3
_SHOWN_CHARACTERS: Final = 120


def difference(archived: Path, remade: Path) -> str | None:
    """What differs between a file that was put away and the one made now; None = nothing."""
    if not archived.is_file():
        return "it is not in the bag"
    if not remade.is_file():
        return "it is not made any more"
    if _are_equal(archived, remade):
        return None
    if archived.suffix == ".safetensors":
        return _tensor_difference(archived, remade)
    size_bytes = archived.stat().st_size
    if archived.suffix in (".csv", ".json", ".py") and size_bytes <= _MOST_TEXT_BYTES:
        return _line_difference(archived, remade)
    return "its bytes differ"


def differing_tensors(archived: Path, remade: Path) -> list[str]:
    """Names of tensors of a safetensors file that another lacks, or has with another value.

    Raises:
        ValueError, OSError: one of them is no such file.
    """
    with archived.open("rb") as first, remade.open("rb") as second:
        one, other = _header(first), _header(second)
        return [
            name
            for name in sorted(one.keys() | other.keys())
            if name not in one
            or name not in other
            or not _is_equal_tensor(first, one[name], second, other[name])
        ]


def tensor_names(path: Path) -> set[str]:
    """Names of the tensors of a safetensors file.

    Raises:
        ValueError, OSError: it is no such file.
    """
    with path.open("rb") as stream:
        return set(_header(stream))


def _are_equal(first: Path, second: Path) -> bool:
    if first.stat().st_size != second.stat().st_size:
        return False
    with first.open("rb") as one, second.open("rb") as other:
        while piece := one.read(_PIECE_BYTES):
            if piece != other.read(_PIECE_BYTES):
                return False
    return True


def _tensor_difference(archived: Path, remade: Path) -> str:
    try:
        names = differing_tensors(archived, remade)
    except ValueError as error:
        return f"it is no safetensors file: {error}"
    if not names:
        return "its tensors are equal, and its header or their order is not"
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return f"other values in {', '.join(names[:_MOST_NAMED])}{more}"


def _line_difference(archived: Path, remade: Path) -> str:
    with archived.open("rb") as first, remade.open("rb") as second:
        for number, (one, other) in enumerate(zip_longest(first, second), start=1):
            if one != other:
                return f"line {number} is {_shown(one)}, and now {_shown(other)}"
    return "its bytes differ"


def _shown(line: bytes | None) -> str:
    if line is None:
        return "not there"
    return repr(line.rstrip(b"\r\n").decode("utf-8", "replace")[:_SHOWN_CHARACTERS])


def _header(stream: IO[bytes]) -> Mapping[str, tuple[Any, Any, int, int]]:
    """Name -> dtype, shape, begin and end in the file, of each tensor. Raises ValueError."""
    length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    if length > _MOST_HEADER_BYTES:
        raise ValueError(f"its header has {length:,} bytes")
    header = decode_json(stream.read(length))
    start = _LENGTH_BYTES + length
    try:
        return {
            name: (entry["dtype"], entry["shape"], *(start + at for at in entry["data_offsets"]))
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("its header does not describe tensors") from error


def _is_equal_tensor(
    first: IO[bytes],
    one: tuple[Any, Any, int, int],
    second: IO[bytes],
    other: tuple[Any, Any, int, int],
) -> bool:
    if one[:2] != other[:2]:
        return False
    begin, end = one[2:]
    first.seek(begin)
    second.seek(other[2])
    while begin < end:
        piece = first.read(min(_PIECE_BYTES, end - begin))
        if not piece or piece != second.read(len(piece)):
            return False
        begin += len(piece)
    return True
