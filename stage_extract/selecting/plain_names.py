"""Names without the ":0" that a Saver writes which was given a dict of tensors' names."""

from __future__ import annotations

from typing import Sequence

from stage_extract.reader import VariableInfo

OUTPUT = ":0"


def without_output(name: str) -> str:
    """Give a name without the number of its output."""
    return name[: -len(OUTPUT)] if name.endswith(OUTPUT) else name


def without_outputs(variables: Sequence[VariableInfo]) -> Sequence[VariableInfo]:
    """Give variables by their plain names: the same, unless all of them end so."""
    if not all(variable.name.endswith(OUTPUT) for variable in variables):
        return variables
    return [variable._replace(name=without_output(variable.name)) for variable in variables]
