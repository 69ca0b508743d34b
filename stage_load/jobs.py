"""Job lines: what the host asks of this stage, checked once and then frozen."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stage_load.comparison import DEFAULT_TOLERANCE
from stage_load.errors import JobInvalid
from stage_load.job_lines import MOST_LINE_BYTES, is_too_long

LOAD = "load"
CHECK = "check"


@dataclass(frozen=True)
class LoadOptions:
    """What a user may choose for one export.

    Attributes:
        model: name of a model, or file.py:Factory.
        model_folder: where its package lies, or ``None`` for an installed one.
        model_args: keyword arguments of a user's factory.
        device: auto, cpu, cuda or cuda:N.
        map: the user's mapping file, or ``None``.
        tolerance: allowed difference, relative to the largest magnitude of each output.
        prove: compare with the reference run.
        rules: rules by hand, see ``name_rules``.
        allow_missing: patterns of tensors that may keep their constructors' values.
        allow_unused: patterns of variables that may have no place.
        adapt: patterns of tensors that may have other input channels or classes.
        freeze: patterns of parameters that a loaded result does not train.
        dtype: of the result; ``None`` = as the checkpoint has it.
    """

    model: str
    model_folder: Path | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    map: Path | None = None
    tolerance: float = DEFAULT_TOLERANCE
    prove: bool = True
    rules: tuple[str, ...] = ()
    allow_missing: tuple[str, ...] = ()
    allow_unused: tuple[str, ...] = ()
    adapt: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    dtype: str | None = None


@dataclass(frozen=True)
class Job:
    """One job line.

    Attributes:
        identifier: the host's name of the job, repeated in each of its events.
        command: ``"load"``, or ``"check"``, which needs no export.
        export: the export folder.
        out: the empty, writable folder of the result.
        options: the user's choices.
    """

    identifier: str
    command: str
    export: Path
    out: Path
    options: LoadOptions


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_tolerance(value: Any) -> bool:
    number = isinstance(value, float | int) and not isinstance(value, bool)
    return number and 0 <= value < 1


_OPTIONS: Mapping[str, tuple[Callable[[Any], bool], str]] = MappingProxyType(
    {
        "model": (_is_text, "the name of a model"),
        "model_folder": (lambda value: value is None or _is_text(value), "a path or null"),
        "model_args": (lambda value: isinstance(value, dict), "an object"),
        "device": (_is_text, "auto, cpu, cuda or cuda:N"),
        "map": (lambda value: value is None or _is_text(value), "a path or null"),
        "tolerance": (_is_tolerance, "a number of at least 0 and below 1"),
        "prove": (lambda value: isinstance(value, bool), "true or false"),
        "rules": (_are_texts, "a list of texts"),
        "allow_missing": (_are_texts, "a list of texts"),
        "allow_unused": (_are_texts, "a list of texts"),
        "adapt": (_are_texts, "a list of texts"),
        "freeze": (_are_texts, "a list of texts"),
        "dtype": (
            lambda value: value in (None, "float16", "bfloat16"),
            "float16, bfloat16 or null",
        ),
    }
)


def decode_job_line(line: str) -> dict[str, Any]:
    """Decode one line.

    Raises:
        JobInvalid: it is no JSON object, or too long for a job.
    """
    if is_too_long(line):
        raise _invalid(
            f"A job line is longer than {MOST_LINE_BYTES:,} bytes.", "one JSON object a line"
        )
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"A job line is no JSON: {error}.", "one JSON object a line") from error
    if not isinstance(values, dict):
        raise _invalid(f"A job line is a {type(values).__name__}.", "one JSON object a line")
    return values


def parse_job(values: Mapping[str, Any]) -> Job:
    """Check a decoded job line and freeze it.

    Raises:
        JobInvalid: a field is missing, unknown, or of a wrong type.
    """
    command = values.get("command")
    if command not in (LOAD, CHECK):
        raise _invalid(f"The command is {command!r}.", f"{LOAD} or {CHECK}")
    paths = ("export", "out") if command == LOAD else ()
    for name in ("job", *paths):
        if not _is_text(values.get(name)):
            raise _invalid(
                f"The field {name!r} is {values.get(name)!r}.", "a text that is not empty"
            )
    return Job(
        identifier=values["job"],
        command=command,
        export=Path(values.get("export") or "."),
        out=Path(values.get("out") or "."),
        options=_parse_options(values.get("options")),
    )


def _parse_options(values: Any) -> LoadOptions:
    if not isinstance(values, dict) or "model" not in values:
        raise _invalid(f"The options are {values!r}.", "an object with a model")
    for name, value in values.items():
        if name not in _OPTIONS:
            raise _invalid(f"There is no option {name!r}.", f"one of {', '.join(_OPTIONS)}")
        is_valid, expected = _OPTIONS[name]
        if not is_valid(value):
            raise _invalid(f"The option {name!r} is {value!r}.", expected)
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    for name in ("map", "model_folder"):
        if given.get(name) is not None:
            given[name] = Path(given[name])
    return LoadOptions(**given)


def _invalid(happened: str, expected: str) -> JobInvalid:
    return JobInvalid(happened, f"Expected {expected}.", "Correct the job line that was sent.")
