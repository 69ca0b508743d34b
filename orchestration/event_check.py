"""What a stage may say. A container's word is not trusted: a hostile checkpoint may speak there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from orchestration.errors import StageCrashed

MOST_LINE_BYTES = 256 << 20
"""Longest line of a stage; the inspection of 50,000 tensors has about a tenth of that."""

_SHOWN_BYTES = 200
_Check = Callable[[Any], bool]


def decode_event(line: bytes) -> dict[str, Any]:
    """One line of a stage's output as an event.

    Raises:
        StageCrashed: the line is not an event, or an event without what belongs to it.
    """
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict) or not _is_event(event):
        raise StageCrashed(
            f"A stage wrote {line[:_SHOWN_BYTES]!r} where an event was due.",
            'Stages write one JSON object with an "event", and what belongs to it, per line.',
            "Run again with --verbose to see the stage's own text.",
        )
    return event


def line_too_long(limit_bytes: int) -> StageCrashed:
    """The error for a line without an end."""
    return StageCrashed(
        f"A stage wrote more than {limit_bytes:,} bytes without the end of a line.",
        "Stages write one event per line.",
        "Run again with --verbose to see the stage's own text.",
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_exit_code(value: Any) -> bool:
    # Zero would call a failure a success.
    return type(value) is int and 0 < value < 128


def _is_error(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("user_traceback", []), list)
        and _has(value, _ERROR)
    )


_ERROR: Mapping[str, _Check] = MappingProxyType(
    {
        "class": _is_text,
        "exit_code": _is_exit_code,
        "happened": _is_text,
        "expected": _is_text,
        "remedy": _is_text,
    }
)
_EVENTS: Mapping[str, Mapping[str, _Check]] = MappingProxyType(
    {
        "ready": {},
        "progress": {"phase": _is_text, "done": _is_count, "total": _is_count},
        "warning": {"message": _is_text},
        "done": {"job": _is_text, "result": _is_object},
        "failed": {"job": _is_text_or_none, "error": _is_error},
    }
)


# What an event of any kind may have besides.
_OPTIONAL: Mapping[str, _Check] = MappingProxyType(
    {"versions": _is_object, "resident_memory_bytes": _is_count}
)


def _is_event(event: Mapping[str, Any]) -> bool:
    kind = event.get("event")
    if not isinstance(kind, str):
        return False
    given = {name: check for name, check in _OPTIONAL.items() if name in event}
    return _has(event, {**_EVENTS.get(kind, {}), **given})


def _has(values: Mapping[str, Any], checks: Mapping[str, _Check]) -> bool:
    return all(name in values and check(values[name]) for name, check in checks.items())
