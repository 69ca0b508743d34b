"""Lists of graph.json whose entries are made when they are asked for.

An entry as a dict takes about a kilobyte; a checkpoint may have tens of thousands of variables, and
the writer needs one of them at a time.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, Sequence, TypeVar

T = TypeVar("T")


class LazyEntries(Sequence[Dict[str, Any]]):
    """A sequence of JSON objects, each made anew from its item.

    Args:
        items: what the entries are made of.
        make: gives the entry of (index, item).
    """

    def __init__(self, items: Sequence[T], make: Callable[[int, T], Dict[str, Any]]) -> None:
        self._items = items
        self._make = make

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Dict[str, Any]]:
        for index, item in enumerate(self._items):
            yield self._make(index, item)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return list(self)[index]
        return self._make(range(len(self._items))[index], self._items[index])
