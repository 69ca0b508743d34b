"""Arguments of a user's factory: NAME=VALUE on the command line, or a JSON file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click


def model_argument(text: str) -> tuple[str, Any]:
    """NAME=VALUE; the value is JSON, and what is no JSON is text.

    `classes=3` is a number, `name=unet` a text, and `name="3"`, quoted, a text as well.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise click.BadParameter(f"{text!r} is no argument; write NAME=VALUE.")
    try:
        return name, _decoded(value)
    except (ValueError, RecursionError):
        return name, _sendable(value, text)


def model_arguments_file(text: str) -> Mapping[str, Any]:
    """A file that holds one JSON object: argument name -> value."""
    try:
        with open(os.path.expanduser(text), encoding="utf-8") as file:
            values = _decoded(file.read())
    except OSError as error:
        raise click.BadParameter(f"{text!r} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"{text!r} holds no JSON: {error}.") from error
    if not isinstance(values, dict) or not all(name.isidentifier() for name in values):
        raise click.BadParameter(f"{text!r} holds no JSON object of argument names and values.")
    return values


def merged(from_file: Mapping[str, Any] | None, given: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """All arguments; one given by itself overrules that of the file.

    Raises:
        click.BadParameter: an argument was given twice.
    """
    names = [name for name, _ in given]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise click.BadParameter(f"--model-arg {twice[0]} was given twice.")
    return {**(from_file or {}), **dict(given)}


def _decoded(text: str) -> Any:
    """JSON as its standard has it: neither NaN nor a number beyond a double's range."""
    value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    return _sendable(value, text)


def _sendable(value: Any, text: str) -> Any:
    """The value, unless it has bytes or halves of surrogate pairs that no file can hold."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise click.BadParameter(f"{text!a} is no text in UTF-8.") from error
    return value


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
