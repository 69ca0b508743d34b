"""Cells of an items file as values of options.

A cell goes through the type of the very option that the command line has, so that a row takes what
the command line takes, and refuses it with the same words.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from orchestration.batch.columns import COLUMNS, MODEL, row_command
from orchestration.batch.settings import absolute

_PATHS = frozenset({"map", "data_folder", "model_args"})
_DEEPEST = 100


@dataclass(frozen=True)
class Value:
    """What a cell says.

    Attributes:
        option: name of the value in the parsed options.
        value: what the command line would give.
        identity: the same as JSON, where a file is only its path: what the row's name is made of.
    """

    option: str
    value: Any
    identity: Any


class Parser:
    """Turns cells into the values that the command line would give.

    Args:
        folder: what paths in cells start from.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._context = click.Context(row_command)
        self._known: dict[tuple[str, str], Value] = {}

    def parse(self, column: str, cell: Any) -> Value:
        """What a cell says.

        Args:
            column: one of `COLUMNS`.
            cell: text, or a JSON value.

        Raises:
            click.BadParameter: the option does not take it.
        """
        if not isinstance(cell, str):
            return self._parsed(column, cell)
        # Most columns say the same in every row, and a file's existence need be asked once only.
        if (column, cell) not in self._known:
            self._known[column, cell] = self._parsed(column, cell)
        return self._known[column, cell]

    def path(self, text: str) -> Path:
        """A path in a cell, from the root.

        Raises:
            click.BadParameter: no path can be so.
        """
        _check_cell(text)
        path = absolute(Path(os.path.expanduser(text)), self._folder)
        _check_cell(os.fspath(path))
        return path

    def _parsed(self, column: str, cell: Any) -> Value:
        _check_cell(cell)
        option = COLUMNS[column]
        assert option.name is not None
        if column == "model_args" and isinstance(cell, dict):
            _check_arguments(cell)
            return Value(option.name, cell, cell)
        if column in _PATHS and isinstance(cell, str):
            cell = os.fspath(self.path(cell))
        elif column == MODEL and isinstance(cell, str):
            cell = absolute_model(cell, self._folder)
            _check_cell(cell)
        words = _words(column, cell)
        if not option.multiple and len(words) != 1:
            raise click.BadParameter("one value was expected, not several.")
        value = _cast(option, words if option.multiple else words[0], self._context)
        return Value(option.name, value, cell if column in _PATHS else value)


def _cast(option: click.Parameter, words: tuple[str, ...] | str, context: click.Context) -> Any:
    try:
        return option.type_cast_value(context, words)
    except click.BadParameter as error:
        if not isinstance(option.type, click.types.BoolParamType):
            raise
        # click's own words list the empty text and a dozen others.
        raise click.BadParameter("true or false, yes or no, 1 or 0 was expected.") from error


def check_defaults(given: Mapping[str, Any]) -> None:
    """Refuse options for all rows that no file of items can hold.

    Raises:
        click.BadParameter: there is one.
    """
    for option in COLUMNS.values():
        value = given.get(str(option.name))
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, str | Path):
                try:
                    _check_cell(os.fspath(part))
                except click.BadParameter as error:
                    error.param = option
                    raise


def _check_cell(cell: Any) -> None:
    """Refuse what no path and no UTF-8 file can hold, and what is nested without end.

    Raises:
        click.BadParameter: there is some in the cell.
    """
    if _is_deep(cell):
        raise click.BadParameter("it is nested too deeply.")
    for text in _texts(cell):
        if "\0" in text:
            raise click.BadParameter("text without NUL was expected.")
        if any("\ud800" <= sign <= "\udfff" for sign in text):
            raise click.BadParameter(
                "text in UTF-8 was expected; give the file or its folder another name."
            )


def _is_deep(cell: Any) -> bool:
    level = [cell]
    for _ in range(_DEEPEST):
        level = [part for parts in level for part in _parts(parts)]
        if not level:
            return False
    return True


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else ()


def _texts(cell: Any) -> Iterator[str]:
    """All text in a JSON value."""
    if isinstance(cell, str):
        yield cell
    for part in _parts(cell):
        yield from _texts(part)


def absolute_model(model: str, folder: Path | None = None) -> str:
    """`file.py:Factory` with the file's path from the root; another model as it is."""
    path, colon, factory = model.rpartition(":")
    if not path.endswith(".py"):
        return model
    return f"{absolute(Path(os.path.expanduser(path)), folder)}{colon}{factory}"


def _words(column: str, cell: Any) -> tuple[str, ...]:
    """A cell as the words that would follow the option on the command line."""
    if isinstance(cell, dict):
        if column not in _PAIRS:
            raise click.BadParameter("it takes no object of names and values.")
        return tuple(f"{name}={_PAIRS[column](value)}" for name, value in cell.items())
    if isinstance(cell, list):
        return tuple(_word(value) for value in cell)
    return (_word(cell),)


def _word(value: Any) -> str:
    if isinstance(value, dict | list) or value is None:
        raise click.BadParameter("text, a number, true or false was expected.")
    return value if isinstance(value, str) else json.dumps(value)


def _sizes(value: Any) -> str:
    return ",".join(map(_word, value)) if isinstance(value, list) else _word(value)


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise click.BadParameter("it holds a number beyond all that JSON has.") from error


_PAIRS = MappingProxyType({"model_arg": _as_json, "input_shape": _sizes})


def _check_arguments(arguments: Mapping[str, Any]) -> None:
    for name, value in arguments.items():
        if not name.isidentifier():
            raise click.BadParameter(f"{name!r} is no name of an argument.")
        _as_json(value)
