"""Repeated fields and maps of a message."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional


class Repeated(List[Any]):
    """The values of a repeated field.

    Args:
        changed: called before a value is added, if it matters.
        make: makes a message of the field's type; None for other fields.
    """

    __slots__ = ("_changed", "_make")

    def __init__(
        self,
        values: Iterable[Any],
        changed: Optional[Callable[[], None]],
        make: Optional[Callable[..., Any]],
    ) -> None:
        super().__init__(values)
        self._changed = changed
        self._make = make

    def add(self, **values: Any) -> Any:
        """Add a message and give it."""
        if self._make is None:
            raise AttributeError("only a list of messages has add()")
        message = self._make(**values)
        if self._changed is not None:
            self._changed()
        super().append(message)
        return message

    def append(self, value: Any) -> None:
        """Add a value; a message is copied."""
        self.extend((value,))

    def extend(self, values: Iterable[Any]) -> None:
        """Add values; messages are copied."""
        if self._changed is not None:
            self._changed()
        super().extend(values if self._make is None else [_copied(self._make, v) for v in values])

    def copied(self, copy: Callable[[Any], Any]) -> Repeated:
        """Give a list of copies."""
        return Repeated(map(copy, self), None, self._make)


def _copied(make: Callable[[], Any], message: Any) -> Any:
    copy = make()
    copy.CopyFrom(message)
    return copy


class Map(Dict[Any, Any]):
    """The entries of a map. Reading a key that is not there makes an entry, as protobuf does.

    Args:
        entries: the entries.
        changed: called before an entry is added, if it matters.
        make: makes a message of the values' type; None for other values.
        default: the value of a new entry that is no message.
    """

    __slots__ = ("_changed", "_default", "_make")

    def __init__(
        self,
        entries: Mapping[Any, Any],
        changed: Optional[Callable[[], None]],
        make: Optional[Callable[..., Any]],
        default: Any,
    ) -> None:
        super().__init__(entries)
        self._changed = changed
        self._make = make
        self._default = default

    def __missing__(self, key: Any) -> Any:
        value = self._default if self._make is None else self._make()
        self._add(key, value)
        return value

    def __setitem__(self, key: Any, value: Any) -> None:
        if self._make is not None:
            raise ValueError("a message is copied into a map: map[key].CopyFrom(message)")
        self._add(key, value)

    def _add(self, key: Any, value: Any) -> None:
        if self._changed is not None:
            self._changed()
        super().__setitem__(key, value)

    def copied(self, copy: Callable[[Any], Any]) -> Map:
        """Give a map of copies."""
        entries = {key: copy(value) for key, value in self.items()}
        return Map(entries, None, self._make, self._default)
