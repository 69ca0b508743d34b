"""A V1 and a V2 checkpoint at one prefix: how they differ, told without reading much of either."""

from __future__ import annotations

from contextlib import closing
from typing import Callable, List

from stage_extract.dtypes import BY_NAME
from stage_extract.finding.step_choice import shown
from stage_extract.reader import VariableInfo, VariableReader
from stage_extract.storage.slices import count_elements

_MAX_COMPARED_SIZE_BYTES = 1024 * 1024

OpenReader = Callable[[], VariableReader]


def difference(open_reader: OpenReader, open_other: OpenReader, other_format: str) -> str:
    """Say, in a sentence, what the other checkpoint at a prefix holds.

    Variables are compared by name, type and shape, and the smallest by their values: a counter of
    steps is among them, and no weight is the same after more training.

    Args:
        open_reader: opens the checkpoint that is read.
        open_other: opens the other one.
        other_format: format of that.

    Raises:
        ExtractError: one of them is damaged.
    """
    with closing(open_reader()) as reader, closing(open_other()) as other:
        mine = {variable.name: variable for variable in reader.variables()}
        others = {variable.name: variable for variable in other.variables()}
        lacking = sorted(set(mine) - set(others))
        more = sorted(set(others) - set(mine))
        shared = sorted(set(mine) & set(others))
        reshaped = [name for name in shared if mine[name] != others[name]]
        told = [
            f"{words} {len(names)} variables ({shown(names)})"
            for words, names in (
                ("lacks", lacking),
                ("has besides", more),
                ("has in another shape or type", reshaped),
            )
            if names
        ]
        compared = _smallest([mine[name] for name in shared if name not in reshaped])
        changed = [name for name in compared if reader.read(name).tobytes() != _bytes(other, name)]
    if changed:
        told.append(f"has other values in {len(changed)} of {len(compared)} ({shown(changed)})")
    elif compared:
        told.append(f"has the same values in the {len(compared)} that were compared")
    return f"The {other_format} checkpoint {'; it '.join(told)}."


def _bytes(reader: VariableReader, name: str) -> bytes:
    return bytes(reader.read(name).tobytes())


def _smallest(variables: List[VariableInfo]) -> List[str]:
    """Give the names of the smallest numeric variables, sorted."""
    sizes = sorted(
        (count_elements(variable.shape) * size_bytes, variable.name)
        for variable in variables
        for size_bytes in [BY_NAME[variable.dtype].size_bytes]
        if size_bytes is not None
    )
    names = []
    total_bytes = 0
    for size_bytes, name in sizes:
        total_bytes += size_bytes
        if total_bytes > _MAX_COMPARED_SIZE_BYTES:
            break
        names.append(name)
    return sorted(names)
