"""The fields of the messages, from lines of text that read like a .proto file (see `tables`)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Dict, Mapping, NamedTuple, Optional, Tuple

from stage_extract.messages import wire
from stage_extract.messages.tables import ENUMS
from stage_extract.messages.tables import MESSAGES as FRAMEWORK_MESSAGES
from stage_extract.messages.tables_objects import MESSAGES as OBJECT_MESSAGES
from stage_extract.messages.tables_saved import MESSAGES as SAVED_MESSAGES

ENUM, MESSAGE, MAP = "enum", "message", "map"
BYTES, STRING = "bytes", "string"

# By the name of a scalar type.
_WIRE_TYPES: Mapping[str, int] = MappingProxyType(
    {
        "bool": wire.VARINT,
        "bytes": wire.LENGTH,
        "double": wire.FIXED64,
        "enum": wire.VARINT,
        "fixed32": wire.FIXED32,
        "float": wire.FIXED32,
        "int32": wire.VARINT,
        "int64": wire.VARINT,
        "sint64": wire.VARINT,
        "string": wire.LENGTH,
        "uint32": wire.VARINT,
        "uint64": wire.VARINT,
    }
)


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: its number on the wire.
        name: as in the .proto file.
        kind: a scalar type ("int32", "string" …), "enum", "message" or "map".
        type_name: the message, or the enum; of a map, the message of an entry; else "".
        repeated: there may be many; false for a map.
        oneof: the group of which only one field is there; "" for none.
        wire_type: of one value.
    """

    number: int
    name: str
    kind: str
    type_name: str
    repeated: bool
    oneof: str
    wire_type: int

    @property
    def tag(self) -> int:
        """The tag before one value."""
        return self.number << wire.WIRE_TYPE_BITS | self.wire_type

    @property
    def packed_tag(self) -> Optional[int]:
        """The tag before a list of numbers without tags of their own; None if there are none."""
        if not self.repeated or self.wire_type == wire.LENGTH:
            return None
        return self.number << wire.WIRE_TYPE_BITS | wire.LENGTH


class Table:
    """The fields of one message.

    Attributes:
        name: of the message, without "tensorflow.".
        by_name: the fields, in the order of their numbers.
        by_tag: the same by each tag that they may come with.
        oneofs: the names of each group of which only one field is there.
    """

    def __init__(self, name: str, fields: Tuple[Field, ...]) -> None:
        self.name = name
        self.by_name: Mapping[str, Field] = MappingProxyType({one.name: one for one in fields})
        by_tag: Dict[int, Field] = {}
        oneofs: Dict[str, Tuple[str, ...]] = {}
        for field in fields:
            by_tag[field.tag] = field
            if field.packed_tag is not None:
                by_tag[field.packed_tag] = field
            if field.oneof:
                oneofs[field.oneof] = (*oneofs.get(field.oneof, ()), field.name)
        self.by_tag: Mapping[int, Field] = MappingProxyType(by_tag)
        self.oneofs: Mapping[str, Tuple[str, ...]] = MappingProxyType(oneofs)


def _field(type_name: str, name: str, number: int, repeated: bool, oneof: str) -> Field:
    if type_name in _WIRE_TYPES:
        return Field(number, name, type_name, "", repeated, oneof, _WIRE_TYPES[type_name])
    kind = ENUM if type_name in ENUMS else MESSAGE
    wire_type = wire.VARINT if kind == ENUM else wire.LENGTH
    return Field(number, name, kind, type_name, repeated, oneof, wire_type)


def _read_line(message: str, line: str) -> Tuple[Field, Optional[Table]]:
    """Read one line; gives the field and, for a map, the message of its entries."""
    *words, name, _, digits = line.split()
    number, type_name = int(digits), words[-1]
    if type_name.startswith("map<"):
        key, value = type_name[len("map<") : -1].split(",")
        entry = Table(
            f"{message}.{name}.entry",
            (_field(key, "key", 1, False, ""), _field(value, "value", 2, False, "")),
        )
        return Field(number, name, MAP, entry.name, False, "", wire.LENGTH), entry
    oneof = words[1] if words[0] == "oneof" else ""
    return _field(type_name, name, number, words[0] == "repeated", oneof), None


def _read_tables() -> Mapping[str, Table]:
    tables: Dict[str, Table] = {}
    messages = {**FRAMEWORK_MESSAGES, **SAVED_MESSAGES, **OBJECT_MESSAGES}
    for message, lines in messages.items():
        fields = []
        for line in lines.strip().splitlines():
            field, entry = _read_line(message, line)
            fields.append(field)
            if entry is not None:
                tables[entry.name] = entry
        tables[message] = Table(message, tuple(fields))
    return MappingProxyType(tables)


# All messages by name, and the entries of their maps.
TABLES: Mapping[str, Table] = _read_tables()
