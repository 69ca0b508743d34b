"""Rows of a JSON Lines file: one object a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestration.batch.columns import column_name, is_known, nearest
from orchestration.batch.problems import Problems, shortened
from orchestration.strict_json import decode_json


def json_rows(text: str, path: Path, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and cells of all lines that can be understood; null is an empty cell."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{path} line {number}"
        try:
            value = decode_json(line.encode())
        except ValueError as error:
            problems.add(
                where,
                f"{shortened(line.strip())} is no JSON: {error}.",
                "One JSON object a line was expected.",
                "A list over several lines has to become one object a line.",
            )
            continue
        if not isinstance(value, dict):
            problems.add(
                where,
                f"{shortened(value)} is no object.",
                'An object such as {"checkpoint": "run7/ckpt", "model": "unet"} was expected.',
                "Write names of options with their values.",
            )
            continue
        yield number, _cells(value, where, problems)


def _cells(value: dict[str, Any], where: str, problems: Problems) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for written, cell in value.items():
        column = column_name(written)
        if column in cells or not is_known(column):
            happened = "is said twice" if column in cells else "is no option of a row"
            problems.add(
                where,
                f"{shortened(written)} {happened}.",
                "Each name was expected once, and to be an option of the single command.",
                nearest(column),
            )
        if column not in cells and cell not in (None, "", [], {}):
            cells[column] = cell
    return cells
