"""One copy of what many layers have: 25,000 mappings would take most of the memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def read_only(values: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return a read-only mapping of these values; equal plain values give the same object."""
    if not values:
        return _NOTHING
    if any(isinstance(value, dict | list) for value in values.values()):
        return MappingProxyType(dict(values))
    # By type as well: 1, 1.0 and True are equal, and are not the same.
    return _shared(tuple((key, type(value), value) for key, value in values.items()))


@lru_cache(maxsize=4096)
def _shared(items: tuple[tuple[str, type, Any], ...]) -> Mapping[str, Any]:
    return MappingProxyType({key: value for key, _, value in items})
