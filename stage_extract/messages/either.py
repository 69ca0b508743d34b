"""What this stage asks of messages of either kind, TensorFlow's own and ours."""

from __future__ import annotations

from typing import Any

import numpy

from stage_extract.messages.message import Message
from stage_extract.messages.schema import TABLES, Table
from stage_extract.messages.values import number_dtype

_PACKAGE = "tensorflow."


def table_of(message: Any) -> Table:
    """Give the table of a message."""
    if isinstance(message, Message):
        return message.TABLE
    name = message.DESCRIPTOR.full_name
    return TABLES[name[len(_PACKAGE) :] if name.startswith(_PACKAGE) else name]


def numbers(message: Any, field: str) -> Any:
    """Give a repeated number as an array [n], without a list of Python's numbers in between."""
    if isinstance(message, Message):
        return message.numbers(field)
    values = getattr(message, field)
    return numpy.fromiter(values, number_dtype(table_of(message).by_name[field]), len(values))


def view(message: Any, field: str) -> memoryview:
    """Give a field of bytes; ours without a copy."""
    return (
        message.view(field) if isinstance(message, Message) else memoryview(getattr(message, field))
    )
