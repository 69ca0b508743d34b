"""What the fields of a message do when they are read or set (see `message`)."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Tuple

from stage_extract.messages.containers import Map, Repeated
from stage_extract.messages.schema import MAP, MESSAGE, TABLES, Field, Table
from stage_extract.messages.values import DEFAULTS, Raw, read_numbers, read_scalar
from stage_extract.messages.wire import read_fields

# The classes of all messages, by their names in the tables.
CLASSES: Dict[str, Any] = {}


def value_at(field: Field, data: bytes, start: int, stop: int) -> Any:
    """Give one value that lies at a place, a message undecoded."""
    if field.kind != MESSAGE:
        return read_scalar(field, data, start, stop)
    kind = CLASSES[field.type_name]
    message = kind.__new__(kind)
    message._data, message._spans = data, (start, stop)
    message._values = message._owner = None
    return message


def maker(field: Field) -> Optional[Callable[..., Any]]:
    """Give what makes a message of a repeated field; None for other fields."""
    return CLASSES[field.type_name] if field.kind == MESSAGE else None


def is_there(value: Any) -> bool:
    """Tell whether a value is there: a message may be made only because it was read."""
    return value is not None and getattr(value, "_owner", None) is None


def clear_others(values: Dict[str, Any], field: Field, table: Table) -> None:
    """Take out the other fields of a oneof, before one is set."""
    if field.oneof:
        for name in table.oneofs[field.oneof]:
            if name != field.name:
                values.pop(name, None)


def attach(message: Any) -> None:
    """Let a message, and those that it is in, be there."""
    while message._owner is not None:
        (owner, field), message._owner = message._owner, None
        clear_others(owner._decoded(), field, owner.TABLE)
        message = owner


def _changed(message: Any) -> Optional[Callable[[], None]]:
    """Give what a new list calls when it is filled: nothing where its message is there already."""
    return None if message._owner is None else lambda: attach(message)


def make_property(field: Field) -> property:
    """Give what reads a field of a message by its name, and sets it."""
    if field.kind == MAP:
        return property(lambda message: _get_map(message, field))
    if field.repeated:
        return property(lambda message: _get_repeated(message, field))
    if field.kind == MESSAGE:
        return property(lambda message: _get_message(message, field))
    return _scalar_property(field)


def _scalar_property(field: Field) -> property:
    name, default = field.name, DEFAULTS[field.kind]

    def read(message: Any) -> Any:
        value = message._decoded().get(name, default)
        return value if type(value) is not memoryview else bytes(value)

    def write(message: Any, value: Any) -> None:
        values = message._decoded()
        clear_others(values, field, message.TABLE)
        values[name] = value
        attach(message)

    return property(read, write)


def _get_message(message: Any, field: Field) -> Any:
    values = message._decoded()
    if field.name not in values:
        values[field.name] = CLASSES[field.type_name]()
        values[field.name]._owner = (message, field)
    return values[field.name]


def _get_repeated(message: Any, field: Field) -> Repeated:
    values = message._decoded()
    value = values.get(field.name, ())
    if type(value) is not Repeated:
        if isinstance(value, Raw):
            value = read_numbers(field, message._data, value).tolist()
        value = values[field.name] = Repeated(value, _changed(message), maker(field))
    return value


def merge(message: Any, start: int, stop: int) -> None:
    """Let a message that is not decoded yet go on at another place: what comes twice is merged."""
    if not isinstance(message._spans, list):
        message._spans = list(message._spans)
    message._spans.extend((start, stop))


def _read_entry(table: Table, data: bytes, start: int, stop: int) -> Tuple[Any, Any]:
    """Give key and value of one entry of a map."""
    key_field, content = table.by_name["key"], table.by_name["value"]
    key = DEFAULTS[key_field.kind]
    value = None
    for tag, begin, end in read_fields(data, start, stop):
        field = table.by_tag.get(tag)
        if field is key_field:
            key = read_scalar(field, data, begin, end)
        elif field is content and value is not None and field.kind == MESSAGE:
            merge(value, begin, end)
        elif field is content:
            value = value_at(field, data, begin, end)
    if value is None:
        is_message = content.kind == MESSAGE
        value = CLASSES[content.type_name]() if is_message else DEFAULTS[content.kind]
    return key, value


def _get_map(message: Any, field: Field) -> Map:
    values = message._decoded()
    value = values.get(field.name, Raw())
    if type(value) is not Map:
        table = TABLES[field.type_name]
        content = table.by_name["value"]
        # The last of several entries with one key counts.
        found = dict(
            _read_entry(table, message._data, value[place + 1], value[place + 2])
            for place in range(0, len(value), 3)
        )
        make = CLASSES[content.type_name] if content.kind == MESSAGE else None
        default = None if make is not None else DEFAULTS[content.kind]
        value = values[field.name] = Map(found, _changed(message), make, default)
    return value
