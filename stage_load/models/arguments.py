"""Checks the arguments that a user gives for their factory, before it is called."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from typing import Any

from stage_load.errors import ModelArgumentsInvalid

_MOST_DEFAULT = 40
_BY_KEYWORD = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_ANY = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def check_arguments(text: str, factory: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Compare keyword arguments with a factory's signature.

    Args:
        text: the factory as it was named.
        factory: a class or function; one that tells no signature is not checked.
        arguments: name -> JSON value.

    Raises:
        ModelArgumentsInvalid: arguments are unknown or missing; the message names all of them.
    """
    try:
        parameters = list(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError):
        return
    problems = [*_unknown(parameters, arguments), *_missing(parameters, arguments)]
    if problems:
        raise ModelArgumentsInvalid(
            f"{text}: {'; '.join(problems)}.",
            f"Its parameters: {_shown(parameters)}.",
            "Pass each by name, --model-arg NAME=VALUE, or in an object with --model-args.",
        )


def _unknown(parameters: Sequence[Parameter], arguments: Mapping[str, Any]) -> list[str]:
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
        return []
    known = [parameter.name for parameter in parameters if parameter.kind in _BY_KEYWORD]
    problems = []
    for name in arguments:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f", nearest: {near[0]!r}" if near else ""
            problems.append(f"it takes no argument {name!r}{hint}")
    return problems


def _missing(parameters: Sequence[Parameter], arguments: Mapping[str, Any]) -> list[str]:
    needed = [
        parameter
        for parameter in parameters
        if parameter.default is Parameter.empty and parameter.kind not in _ANY
    ]
    problems = [
        f"its argument {parameter.name!r} is missing"
        for parameter in needed
        if parameter.kind in _BY_KEYWORD and parameter.name not in arguments
    ]
    problems += [
        f"its argument {parameter.name!r} has to be passed by position"
        for parameter in needed
        if parameter.kind is Parameter.POSITIONAL_ONLY
    ]
    return problems


def _shown(parameters: Sequence[Parameter]) -> str:
    """Return names and defaults as they stand in a ``def``, without annotations."""
    return ", ".join(_shown_parameter(parameter) for parameter in parameters) or "none"


def _shown_parameter(parameter: Parameter) -> str:
    if parameter.kind in _ANY:
        return str(parameter.replace(annotation=Parameter.empty))
    if parameter.default is Parameter.empty:
        return parameter.name
    default = repr(parameter.default)
    return f"{parameter.name}={default if len(default) <= _MOST_DEFAULT else '…'}"
