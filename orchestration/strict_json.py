"""Reads JSON that a stranger may have written, without a value that could mean something else.

`json` itself takes the last of two equal names, reads NaN and UTF-16 and halves of surrogate pairs,
and ends in a RecursionError where brackets are nested without end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn

_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def decode_json(data: bytes) -> Any:
    """Decode UTF-8 text.

    Raises:
        ValueError: it is no JSON, or JSON that this project never writes.
    """
    text = data.decode("utf-8")
    check_text = _ESCAPED_SURROGATE.search(text) is not None

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name occurs twice")
        if check_text:
            _check_text([*found, *found.values()])
        return found

    try:
        return json.loads(text, object_pairs_hook=object_of, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _check_text(values: Iterable[Any]) -> None:
    """Refuse half of a surrogate pair, which no file and no terminal can be sent."""
    for value in values:
        if isinstance(value, str):
            value.encode("utf-8")
        elif isinstance(value, list):
            _check_text(value)


def _no_number(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is no number")
