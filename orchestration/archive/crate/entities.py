"""Small things that every part of an archive's metadata needs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rocrate.model import Entity
    from rocrate.rocrate import ROCrate

# How an action ended.
COMPLETED: Final = "http://schema.org/CompletedActionStatus"
FAILED: Final = "http://schema.org/FailedActionStatus"


def add_entity(crate: ROCrate, identifier: str, properties: Mapping[str, Any]) -> Entity:
    """Add something that is no file, unless it is there already.

    Args:
        crate: what it is added to.
        identifier: an address, or "#" and a name that is unique here.
        properties: its type ("@type") among them. None, and an empty list, is left out.
    """
    from rocrate.model import ContextEntity

    known = crate.get(identifier)
    if known is not None:
        return known
    told = {name: value for name, value in properties.items() if value not in (None, [])}
    return crate.add(ContextEntity(crate, identifier, told))


def one_or_more(values: list[Any]) -> Any:
    """A list; a single value without one, as RO-Crate recommends."""
    return values[0] if len(values) == 1 else values


def clean(text: str) -> str:
    """`text` as UTF-8 can hold it: names of files may be bytes that are no text."""
    return os.fsencode(text).decode("utf-8", errors="replace")


def moment_of(text: str) -> datetime:
    """A time by ISO 8601; Python 3.10 does not know its Z. Raises ValueError."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
