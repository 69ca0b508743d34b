"""Reads protobuf's text format into messages, TensorFlow's own or ours (.pbtxt, `checkpoint`).

protobuf's own parser goes as deep as the text says, until Python's stack ends.
"""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import Any, Mapping, Set, Tuple

import numpy

from stage_extract.messages.accessors import CLASSES
from stage_extract.messages.check import MAX_NESTING
from stage_extract.messages.either import table_of
from stage_extract.messages.schema import ENUM, MAP, MESSAGE, TABLES, Field, Table
from stage_extract.messages.tables import ENUMS
from stage_extract.messages.tokens import Tokens, unquoted

_CLOSING = MappingProxyType({"{": "}", "<": ">"})
_QUOTES = ('"', "'")
_TRUE, _FALSE = ("true", "True", "t", "1"), ("false", "False", "f", "0")
_RANGES: Mapping[str, Tuple[int, int]] = MappingProxyType(
    {
        "enum": (-(1 << 31), (1 << 31) - 1),
        "fixed32": (0, (1 << 32) - 1),
        "int32": (-(1 << 31), (1 << 31) - 1),
        "int64": (-(1 << 63), (1 << 63) - 1),
        "sint64": (-(1 << 63), (1 << 63) - 1),
        "uint32": (0, (1 << 32) - 1),
        "uint64": (0, (1 << 64) - 1),
    }
)
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9A-Fa-f]+)|(0[0-7]*)|([1-9][0-9]*))")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?[fF]?")
_NOT_FINITE = re.compile(r"(-?)(inf|infinity|nan)f?", re.IGNORECASE)
# A longer number is out of every range; Python takes quadratic time to read it.
_MAX_DIGITS = 100


def parse_text(text: str, message: Any) -> None:
    """Fill an empty message from a text.

    Raises:
        TextError: it is no such text: an unknown field, a value of another type, too deep.
    """
    tokens = Tokens(text)
    _Parser(tokens).read_fields(message, table_of(message), "", 0)


class _Parser:
    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def read_fields(self, message: Any, table: Table, closing: str, nesting: int) -> None:
        """Read fields up to the closing bracket, or to the end of the text."""
        if nesting > MAX_NESTING:
            raise self._tokens.error(f"more than {MAX_NESTING} messages lie within each other")
        seen: Set[str] = set()
        while self._tokens.current != closing:
            name = self._tokens.advance()
            if name not in table.by_name:
                raise self._tokens.error(f"a {table.name} has no field {name[:80]!r}")
            field = table.by_name[name]
            if not field.repeated and field.kind != MAP:
                group = field.oneof or name
                if group in seen:
                    raise self._tokens.error(f"{name} comes twice, or beside another of its kind")
                seen.add(group)
            self._read_field(message, field, nesting)
            self._tokens.take(",", ";")
        self._tokens.advance()

    def _read_field(self, message: Any, field: Field, nesting: int) -> None:
        is_message = field.kind in (MESSAGE, MAP)
        if not self._tokens.take(":") and not is_message:
            self._tokens.expect(":")
        many = field.repeated or field.kind == MAP
        if not many or not self._tokens.take("["):
            self._read_one(message, field, nesting)
        elif not self._tokens.take("]"):
            self._read_one(message, field, nesting)
            while self._tokens.expect(",", "]") == ",":
                self._read_one(message, field, nesting)

    def _read_one(self, message: Any, field: Field, nesting: int) -> None:
        if field.kind == MAP:
            self._read_entry(message, field, nesting)
        elif field.kind == MESSAGE:
            if field.repeated:
                inner = getattr(message, field.name).add()
            else:
                inner = getattr(message, field.name)
                inner.SetInParent()
            self._read_message(inner, field, nesting)
        elif field.repeated:
            getattr(message, field.name).append(self._read_value(field))
        else:
            setattr(message, field.name, self._read_value(field))

    def _read_entry(self, message: Any, field: Field, nesting: int) -> None:
        entries = getattr(message, field.name)
        make = entries.GetEntryClass() if hasattr(entries, "GetEntryClass") else None
        entry = (make or CLASSES[field.type_name])()
        self._read_message(entry, field, nesting)
        if TABLES[field.type_name].by_name["value"].kind == MESSAGE:
            entries[entry.key].CopyFrom(entry.value)
        else:
            entries[entry.key] = entry.value

    def _read_message(self, message: Any, field: Field, nesting: int) -> None:
        closing = _CLOSING[self._tokens.expect(*_CLOSING)]
        self.read_fields(message, TABLES[field.type_name], closing, nesting + 1)

    def _read_value(self, field: Field) -> Any:
        if field.kind in ("bytes", "string"):
            return self._read_text(field)
        token = self._tokens.current
        if field.kind == "bool":
            value = _bool(token)
        elif field.kind in ("double", "float"):
            value = _float(token, field.kind)
        elif field.kind == ENUM and token in ENUMS[field.type_name]:
            value = ENUMS[field.type_name][token]
        else:
            value = _integer(token, _RANGES[field.kind])
        if value is None:
            raise self._tokens.error(f"expected a value of {field.name} ({field.kind})")
        self._tokens.advance()
        return value

    def _read_text(self, field: Field) -> Any:
        """Read quoted texts; those that follow each other are one."""
        if not self._tokens.current.startswith(_QUOTES):
            raise self._tokens.error(f"expected a quoted {field.name}")
        content = bytearray()
        try:
            while self._tokens.current.startswith(_QUOTES):
                content += unquoted(self._tokens.current)
                self._tokens.advance()
            return bytes(content) if field.kind == "bytes" else content.decode("utf-8")
        except (UnicodeDecodeError, OverflowError, ValueError) as error:
            raise self._tokens.error(f"the text of {field.name}: {error}") from error


def _bool(token: str) -> Any:
    return True if token in _TRUE else False if token in _FALSE else None


def _integer(token: str, limits: Tuple[int, int]) -> Any:
    match = _INTEGER.fullmatch(token)
    if match is None or len(token) > _MAX_DIGITS:
        return None
    sign, hexadecimal, octal, decimal = match.groups()
    size = int(hexadecimal, 16) if hexadecimal else int(octal, 8) if octal else int(decimal)
    value = -size if sign == "-" else size
    return value if limits[0] <= value <= limits[1] else None


def _float(token: str, kind: str) -> Any:
    special = _NOT_FINITE.fullmatch(token.replace(" ", "").replace("\t", ""))
    if special is not None:
        value = math.nan if special[2].lower() == "nan" else math.inf
        return -value if special[1] else value
    if _FLOAT.fullmatch(token) is None or len(token) > _MAX_DIGITS:
        return None
    value = float(token.rstrip("fF"))
    with numpy.errstate(over="ignore"):
        return float(numpy.float32(value)) if kind == "float" else value
