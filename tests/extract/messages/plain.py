"""Messages of either kind as plain values, to compare them."""

from __future__ import annotations

from typing import Any

from stage_extract.messages.either import table_of
from stage_extract.messages.schema import MAP, MESSAGE, TABLES, Field


def plain(message: Any) -> Any:
    """Give all fields of a message that are there, nested ones too; NaN as a text."""
    found = {}
    for name, field in table_of(message).by_name.items():
        value = getattr(message, name)
        if field.kind == MAP:
            content = TABLES[field.type_name].by_name["value"]
            found[name] = {key: _one(content, value[key]) for key in sorted(value)}
        elif field.repeated:
            found[name] = [_one(field, one) for one in value]
        elif field.kind == MESSAGE:
            found[name] = plain(value) if message.HasField(name) else None
        elif not field.oneof or message.HasField(name):
            found[name] = _one(field, value)
    return {name: value for name, value in found.items() if value not in (None, [], {})}


def _one(field: Field, value: Any) -> Any:
    if field.kind == MESSAGE:
        return plain(value)
    return (type(value).__name__, repr(value))
