"""Compares two graph.json byte for byte, except for what says which code has read the checkpoint.

graph.json has one line a variable, layer or node, and one a value of its own (see
`stage_extract.writing.graph_writer`), so that lines are compared, and the file need not be parsed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

REFERENCE: Final = "reference"
SOURCE: Final = "source"
# What tells TensorFlow's reader from the one without it.
_READER_KEYS: Final = ("reader", "tensorflow")
_SECTION: Final = re.compile(rb'^"([a-z_]{1,40})": ')
_DIGEST_BYTES: Final = 16
_MOST_NAMED: Final = 5
_SHOWN_CHARACTERS: Final = 120

Lines = dict[str, list[bytes]]
"""Section -> hash of each of its lines."""


def differing_parts(archived: Path, remade: Path, excused: Collection[str]) -> list[str]:
    """What two graph.json do not have in common, in words; empty if nothing.

    Args:
        archived: the one that was put away.
        remade: the one that was made now.
        excused: of "reference" and "source", what is not compared; of "source", then, all but the
            reader is.
    """
    first, second = _lines(archived), _lines(remade)
    if list(first) != list(second):
        names = sorted(first.keys() ^ second.keys()) or sorted(first)
        return [f"its parts {', '.join(names)} are others, or in another order"]
    found = []
    for section in first:
        if section in excused:
            found += _excused_differences(archived, remade, section)
        elif first[section] != second[section]:
            found.append(_difference(archived, remade, section, first, second))
    return found[:_MOST_NAMED]


def _lines(path: Path) -> Lines:
    found: Lines = {}
    for section, line in _sectioned(path):
        digest = hashlib.blake2b(line, digest_size=_DIGEST_BYTES).digest()
        found.setdefault(section, []).append(digest)
    return found


def _sectioned(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each line with the name of the part that it belongs to; "" before the first."""
    section = ""
    with path.open("rb") as stream:
        for line in stream:
            match = _SECTION.match(line)
            if match is not None:
                section = match[1].decode("ascii")
            yield section, line


def _difference(archived: Path, remade: Path, section: str, first: Lines, second: Lines) -> str:
    """The first line of a part that differs, named."""
    pairs = zip_longest(first[section], second[section])
    index = next(i for i, (one, other) in enumerate(pairs) if one != other)
    line = _line(archived, section, index) or _line(remade, section, index)
    return f"{section}: {_name(line)}"


def _line(path: Path, section: str, index: int) -> bytes:
    lines = (line for name, line in _sectioned(path) if name == section)
    return next((line for i, line in enumerate(lines) if i == index), b"")


def _name(line: bytes) -> str:
    """Name of the variable, layer or node that a line tells of, or else how it begins."""
    try:
        entry = json.loads(line.strip().rstrip(b","))
    except (ValueError, RecursionError):
        entry = None
    if isinstance(entry, dict):
        named = next((entry[key] for key in ("name", "tensor", "node") if key in entry), None)
        if isinstance(named, str):
            return named[:_SHOWN_CHARACTERS]
    return repr(line.strip()[:_SHOWN_CHARACTERS].decode("utf-8", "replace"))


def _excused_differences(archived: Path, remade: Path, section: str) -> list[str]:
    """What is wrong with a part that may differ: it must be written as stage 1 writes it."""
    lines = [line for name, line in _sectioned(archived) if name == section]
    value = _value(lines, section)
    if value is None:
        return [f"{section}: it is not one line, as it is written"]
    if section != SOURCE:
        return []
    now = _value([line for name, line in _sectioned(remade) if name == section], section)
    for source in (value, now):
        for key in _READER_KEYS:
            if source is not None:
                source.pop(key, None)
    return [] if value == now else [f"{section}: {value} was put away, and now it is {now}"]


def _value(lines: list[bytes], section: str) -> dict[str, Any] | None:
    """The object of a part of one line; None if it is written in any other way than stage 1's."""
    if len(lines) != 1:
        return None
    text = lines[0].decode("utf-8", "replace").rstrip("\n").removesuffix(",")
    text = text.removeprefix(f'"{section}": ')
    try:
        value = json.loads(text)
        written = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and written == text else None
