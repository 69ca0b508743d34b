"""The options of the single command as columns of an items file."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import click

from orchestration.command_options import model_options, transfer_options
from orchestration.reading_options import checkpoint_options, reference_options

# Which machine computes is said once for the whole batch.
_OF_THE_BATCH = frozenset({"device"})
_WITH_OBJECTS = frozenset({"model_arg", "model_args", "input_shape"})
CHECKPOINT, NAME, WHERE, MODEL = "checkpoint", "name", "where", "model"
_OWN = (CHECKPOINT, NAME, WHERE)


@click.command()
@model_options
@transfer_options
@checkpoint_options
@reference_options
def row_command(**given: Any) -> int:
    """Nobody calls it: it lends its options."""
    return len(given)


def column_of(option: click.Parameter) -> str:
    """Name of an option's column: `--model-arg` is "model_arg"."""
    name = next(name for name in option.opts if name.startswith("--"))
    return name.removeprefix("--").replace("-", "_")


COLUMNS: Mapping[str, click.Parameter] = MappingProxyType(
    {column_of(option): option for option in row_command.params if option.name not in _OF_THE_BATCH}
)
"""Column -> option, apart from `checkpoint`, `name` and `where`."""


def column_name(text: str) -> str:
    """A column as people write it ("--Model-Arg ", "model arg") in the form that is known."""
    return "_".join(text.strip().lstrip("-").casefold().replace("-", " ").split())


def is_known(column: str) -> bool:
    """Whether there is such a column."""
    return column in COLUMNS or column in _OWN


def is_repeated(column: str) -> bool:
    """Whether a column takes several values."""
    return column in COLUMNS and COLUMNS[column].multiple


def takes_object(column: str) -> bool:
    """Whether a column takes names with values."""
    return column in _WITH_OBJECTS


def nearest(column: str) -> str:
    """What may have been meant by an unknown column, for people."""
    # The place of a row is for lists that this program writes itself.
    known = [CHECKPOINT, NAME, *COLUMNS]
    near = difflib.get_close_matches(column, known, n=3, cutoff=0.6)
    if near:
        return f"Nearest: {', '.join(near)}."
    return f"There are {', '.join(sorted(known))}."
