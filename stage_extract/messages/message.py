"""Messages of protocol buffers with the part of protobuf's Python API that this stage uses.

A message is checked when it is parsed and decoded one level at a time when a field is asked for:
of a graph of 300,000 nodes most attributes are never read.
"""

from __future__ import annotations

from typing import Any, ClassVar, Dict, List, Optional, Sequence, Tuple, Type, TypeVar

import numpy

from stage_extract.messages.accessors import (
    CLASSES,
    attach,
    clear_others,
    is_there,
    make_property,
    maker,
    merge,
    value_at,
)
from stage_extract.messages.check import check_message
from stage_extract.messages.containers import Map, Repeated
from stage_extract.messages.schema import BYTES, MAP, MESSAGE, TABLES, Field, Table
from stage_extract.messages.values import (
    Raw,
    number_dtype,
    read_numbers,
)
from stage_extract.messages.wire import LENGTH, read_fields
from stage_extract.messages.wire import Field as WireField

_M = TypeVar("_M", bound="Message")


class Message:
    """One message; a subclass has the fields of the table with its name.

    The names of the methods are protobuf's. Reading a message or a list that is not there gives an
    empty one, which comes to be there when something is put into it.
    """

    # _data: the bytes, and _spans: where the message lies in them (start, stop, …: several are
    # merged). _values: what was decoded, None before. _owner: the message and the field of it that
    # this one becomes when it changes; None where it is there.
    __slots__ = ("_data", "_owner", "_spans", "_values")
    __hash__ = None  # type: ignore[assignment]
    TABLE: ClassVar[Table] = Table("", ())

    def __init_subclass__(cls, table: str = "") -> None:
        super().__init_subclass__()
        cls.TABLE = TABLES[table or cls.__name__]
        CLASSES[cls.TABLE.name] = cls
        for field in cls.TABLE.by_name.values():
            setattr(cls, field.name, make_property(field))

    def __init__(self, **values: Any) -> None:
        self._data: bytes = b""
        self._spans: Sequence[int] = ()
        self._values: Optional[Dict[str, Any]] = {}
        self._owner: Optional[Tuple[Message, Field]] = None
        for name, value in values.items():
            _assign(self, name, value)

    def __getattr__(self, name: str) -> Any:
        # Only reached for what the table lacks; the declaration lets the fields pass mypy.
        raise AttributeError(f"a {self.TABLE.name} has no field {name!r}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message) or other.TABLE is not self.TABLE:
            return NotImplemented
        return self.ListFields() == other.ListFields()

    def __repr__(self) -> str:
        return f"<{self.TABLE.name} with {', '.join(name for name, _ in self.ListFields())}>"

    @classmethod
    def FromString(cls: Type[_M], data: bytes) -> _M:  # noqa: N802
        """Make a message from serialized bytes (see `ParseFromString`)."""
        message = cls()
        message.ParseFromString(data)
        return message

    def ParseFromString(self, data: bytes) -> int:  # noqa: N802
        """Take over the content of serialized bytes; gives their number.

        Raises:
            DecodeError: they are no such message; then this one is unchanged.
        """
        data = bytes(data)
        check_message(data, self.TABLE)
        self._data, self._spans, self._values = data, (0, len(data)), None
        attach(self)
        return len(data)

    def CopyFrom(self: _M, other: _M) -> None:  # noqa: N802
        """Take over the content of another message of the same type."""
        if other.TABLE is not self.TABLE:
            raise TypeError(f"a {other.TABLE.name} is no {self.TABLE.name}")
        if other is self:
            return
        self._data, self._spans, self._values = other._data, other._spans, None
        if other._values is not None:
            values = other._values.items()
            self._values = {name: _copy(value) for name, value in values if is_there(value)}
        attach(self)

    def SetInParent(self) -> None:  # noqa: N802
        """Let the message be there, though empty."""
        attach(self)

    def Clear(self) -> None:  # noqa: N802
        """Take all fields out."""
        self.CopyFrom(type(self)())

    def ClearField(self, name: str) -> None:  # noqa: N802
        """Take a field out."""
        self._decoded().pop(self._field(name).name, None)

    def HasField(self, name: str) -> bool:  # noqa: N802
        """Tell whether a message, or a field of a oneof, is there.

        Raises:
            ValueError: for other fields nothing tells that.
        """
        field = self._field(name)
        if field.repeated or field.kind == MAP or not (field.kind == MESSAGE or field.oneof):
            raise ValueError(f"nothing tells whether {name!r} is there")
        return is_there(self._decoded().get(name))

    def WhichOneof(self, group: str) -> Optional[str]:  # noqa: N802
        """Give the name of the field of a oneof that is there, None if none is."""
        values = self._decoded()
        for name in self.TABLE.oneofs[group]:
            if is_there(values.get(name)):
                return name
        return None

    def ListFields(self) -> List[Tuple[str, Any]]:  # noqa: N802
        """Give the name and value of all fields that are there and not empty."""
        found = []
        for name, field in self.TABLE.by_name.items():
            value = getattr(self, name)
            if (field.kind == MESSAGE and not field.repeated) or field.oneof:
                there = self.HasField(name)
            else:
                there = bool(value) or value != value
            if there:
                found.append((name, value))
        return found

    def numbers(self, name: str) -> Any:
        """Give a repeated number as an array [n]; large ones are never made a list."""
        value = self._decoded().get(name, Raw())
        if isinstance(value, Raw):
            return read_numbers(self._field(name), self._data, value)
        return numpy.array(value, number_dtype(self._field(name)))

    def view(self, name: str) -> memoryview:
        """Give a field of bytes without a copy."""
        return memoryview(self._decoded().get(self._field(name).name, b""))

    def _field(self, name: str) -> Field:
        if name not in self.TABLE.by_name:
            raise ValueError(f"a {self.TABLE.name} has no field {name!r}")
        return self.TABLE.by_name[name]

    def _decoded(self) -> Dict[str, Any]:
        """Give the values that are there, decoded at this level."""
        if self._values is None:
            self._values = {}
            by_tag, spans = self.TABLE.by_tag, self._spans
            for place in range(0, len(spans), 2):
                for tag, start, stop in read_fields(self._data, spans[place], spans[place + 1]):
                    field = by_tag.get(tag)
                    if field is not None:
                        self._store(self._values, field, (tag, start, stop))
            self._spans = ()
        return self._values

    def _store(self, values: Dict[str, Any], field: Field, found: WireField) -> None:
        """Take over one field from the wire."""
        name, data = field.name, self._data
        _, start, stop = found
        if field.kind == MAP or (field.repeated and field.wire_type != LENGTH):
            if name not in values:
                values[name] = Raw()
            values[name].extend(found)
        elif field.repeated:
            if name not in values:
                values[name] = Repeated((), None, maker(field))
            value = value_at(field, data, start, stop)
            list.append(values[name], bytes(value) if field.kind == BYTES else value)
        elif field.kind == MESSAGE and name in values:
            merge(values[name], start, stop)
        else:
            if field.oneof:
                clear_others(values, field, self.TABLE)
            values[name] = value_at(field, data, start, stop)


def _copy(value: Any) -> Any:
    if isinstance(value, Message):
        copy = type(value)()
        copy.CopyFrom(value)
        return copy
    if isinstance(value, Raw):
        return Raw(value)
    return value.copied(_copy) if isinstance(value, (Map, Repeated)) else value


def _assign(message: Message, name: str, value: Any) -> None:
    """Set a field of any kind, as the keyword arguments of a message do."""
    field = message._field(name)
    if field.kind == MAP:
        raise TypeError(f"the map {name!r} is filled entry by entry")
    if field.repeated:
        getattr(message, name).extend(value)
    elif field.kind == MESSAGE:
        getattr(message, name).CopyFrom(value)
    else:
        setattr(message, name, value)
