"""Settings as JSON, for a run's record, and back again.

Both follow the dataclasses of `settings`, so that an option is never recorded and forgotten.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Settings = TypeVar("Settings")


def to_json(value: Any) -> Any:
    """Settings, or a value in them, as JSON has it: paths are texts."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: to_json(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Path):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {name: to_json(one) for name, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_json(one) for one in value]
    return value


def from_json(kind: type[Settings], value: Any, where: str) -> Settings:
    """Settings of a class from what `to_json` made of such ones.

    Args:
        kind: the class.
        value: the JSON value.
        where: its place in the whole document, for people.

    Raises:
        ValueError: the value, or one in it, is no such thing; the text tells which.
    """
    found: Settings = _decoded(kind, value, where)
    return found


def _decoded(kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind):
        return _object(kind, value, where)
    if kind is Any:
        return value
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        present = next(one for one in arguments if one is not types.NoneType)
        return None if value is None else _decoded(present, value, where)
    if origin is Literal:
        return _checked(
            value in arguments, value, where, f"one of {', '.join(map(str, arguments))}"
        )
    if origin is tuple:
        _checked(isinstance(value, list), value, where, "a list")
        return tuple(_decoded(arguments[0], one, f"{where}[{i}]") for i, one in enumerate(value))
    if origin is not None:
        _checked(isinstance(value, dict), value, where, "an object")
        return {name: _decoded(arguments[1], one, f"{where}.{name}") for name, one in value.items()}
    return _plain(kind, value, where)


def _object(kind: Any, value: Any, where: str) -> Any:
    """A dataclass from an object that has its fields and no others."""
    _checked(isinstance(value, dict), value, where, "an object")
    names = [one.name for one in fields(kind)]
    missing, unknown = sorted(set(names) - set(value)), sorted(set(value) - set(names))
    if missing or unknown:
        told = f"{where} lacks {missing[0]!r}" if missing else f"{where} has {unknown[0]!r}"
        raise ValueError(f"{told}, expected {', '.join(names)}")
    hints = get_type_hints(kind)
    return kind(**{name: _decoded(hints[name], value[name], f"{where}.{name}") for name in names})


def _plain(kind: type, value: Any, where: str) -> Any:
    if kind is Path:
        is_path = isinstance(value, str) and value.startswith("/") and "\0" not in value
        return Path(_checked(is_path, value, where, "a path from the root"))
    if kind is float:
        # No infinity, no NaN, and no whole number that is beyond both.
        is_number = type(value) in (int, float) and abs(value) <= sys.float_info.max
        return float(_checked(is_number, value, where, "a number"))
    words = {bool: "true or false", int: "a whole number", str: "a text"}
    return _checked(type(value) is kind, value, where, words[kind])


def _checked(is_right: bool, value: Any, where: str, expected: str) -> Any:
    if not is_right:
        raise ValueError(f"{where} is {value!r:.80}, expected {expected}")
    return value
