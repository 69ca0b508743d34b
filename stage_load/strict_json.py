"""Reads JSON of strangers: a plain file of limited size, each name once, text that can be written.

``json`` itself takes the last of two equal names, reads NaN, UTF-16 and halves of surrogate pairs,
and ends in a RecursionError where brackets are nested without end.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from stage_load.plain_files import read_plain_file
from stage_load.safetensors_header import ESCAPED_SURROGATE

MOST_BYTES = 256 << 20
"""Far beyond the graph of 50,000 variables; decoded, text takes up to twenty times its size."""

Hook = Callable[[dict[str, Any]], Any]


def read_json(path: Path, hook: Hook | None = None) -> Any:
    """Read a file as JSON.

    Raises:
        OSError: it cannot be read, is no plain file, or is too large.
        ValueError: as ``decode_json``.
    """
    return decode_json(read_plain_file(path, MOST_BYTES), hook)


def decode_json(data: bytes, hook: Hook | None = None) -> Any:
    """Decode UTF-8 text.

    Args:
        data: the text.
        hook: takes each object, and returns what stands for it.

    Raises:
        ValueError: it is no JSON, or JSON that this project never writes.
    """
    text = data.decode("utf-8")
    check_text = ESCAPED_SURROGATE.search(text) is not None

    def object_of(pairs: list[tuple[str, Any]]) -> Any:
        values = dict(pairs)
        if len(values) != len(pairs):
            raise ValueError("a name comes twice in one object")
        if check_text:
            _check_text([*values, *values.values()])
        return values if hook is None else hook(values)

    try:
        return json.loads(text, object_pairs_hook=object_of, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _check_text(values: list[Any]) -> None:
    """Refuse half of a surrogate pair, which no file and no terminal can be sent."""
    for value in values:
        if isinstance(value, str):
            value.encode("utf-8")
        elif isinstance(value, list):
            _check_text(value)


def _refuse(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is no number of JSON")
