"""Checks the bytes of a message, nested ones included, before anything of it is read.

Afterwards a message can be decoded as late as its fields are asked for: nothing can fail any more.
"""

from __future__ import annotations

from typing import Dict, Set

from stage_extract.messages.schema import BYTES, MAP, MESSAGE, STRING, TABLES, Field, Table
from stage_extract.messages.wire import LENGTH, DecodeError, check_packed, read_fields

# protobuf's own default: messages within messages.
MAX_NESTING = 100
# Most of a graph's attributes are a few short texts, again and again: each is checked once. Such a
# text cannot hold more than half as many messages within each other.
_MAX_KNOWN_SIZE_BYTES = 64
_MAX_KNOWN = 200_000
_KNOWN_NESTING = MAX_NESTING - _MAX_KNOWN_SIZE_BYTES // 2


class _Checker:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._known: Dict[str, Set[bytes]] = {}
        self._left = _MAX_KNOWN

    def check(self, start: int, stop: int, table: Table, nesting: int) -> None:
        by_tag = table.by_tag
        for tag, begin, end in read_fields(self._data, start, stop):
            field = by_tag.get(tag)
            if field is None or tag & 7 != LENGTH or field.kind == BYTES:
                continue
            if field.kind == STRING:
                self._check_text(begin, end, field)
            elif field.kind in (MESSAGE, MAP):
                self._check_nested(begin, end, field, nesting)
            else:
                check_packed(self._data, begin, end, field.wire_type)

    def _check_text(self, start: int, stop: int, field: Field) -> None:
        try:
            self._data[start:stop].decode("utf-8")
        except UnicodeDecodeError as error:
            raise DecodeError(f"the {field.name} at byte {start} is no UTF-8") from error

    def _check_nested(self, start: int, stop: int, field: Field, nesting: int) -> None:
        if nesting >= MAX_NESTING:
            raise DecodeError(f"more than {MAX_NESTING} messages lie within each other")
        table = TABLES[field.type_name]
        if stop - start > _MAX_KNOWN_SIZE_BYTES or nesting >= _KNOWN_NESTING:
            self.check(start, stop, table, nesting + 1)
            return
        known = self._known.setdefault(table.name, set())
        content = self._data[start:stop]
        if content in known:
            return
        self.check(start, stop, table, nesting + 1)
        if self._left:
            self._left -= 1
            known.add(content)


def check_message(data: bytes, table: Table) -> None:
    """Check that bytes are a message.

    Raises:
        DecodeError: they are not: a length leads outside, a text is no UTF-8, too much nesting.
    """
    _Checker(data).check(0, len(data), table, 0)
