"""Rows of a CSV file, as people and spreadsheets write them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestration.batch.columns import (
    CHECKPOINT,
    column_name,
    is_known,
    is_repeated,
    nearest,
    takes_object,
)
from orchestration.batch.problems import Problems, shortened
from orchestration.strict_json import decode_json

_DELIMITERS = (",", ";", "\t")
_MOST_CELL_CHARACTERS = 1 << 20
# A spreadsheet's own way to tell the delimiter: a first line "sep=;".
_TOLD_DELIMITER = re.compile(r"sep=([,;|:\t])[\r\n]*", re.IGNORECASE)


def csv_rows(text: str, path: Path, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and cells of all rows that can be understood.

    A row starts where its first cell does: quoted cells may hold several lines.
    """
    csv.field_size_limit(_MOST_CELL_CHARACTERS)
    reader = _Reader(text, path)
    try:
        header = next(reader.records(), None)
        if header is None:
            return
        columns = _columns(header[1], f"{path} line {header[0]}", problems)
        if CHECKPOINT not in columns:
            return
        for number, cells in reader.records():
            found = _row(columns, cells, f"{path} line {number}", problems)
            if found:
                yield number, found
    except csv.Error as error:
        problems.add(
            f"{path} line {reader.start}",
            f"It is no CSV: {error}.",
            'Cells with quotes were expected to be written "like ""this""".',
            "Mend the quotes; what comes after them could not be read.",
        )


class _Reader:
    """Records with the number of the line in which each starts; comments and blank lines are none.

    Attributes:
        start: line in which the latest record starts.
    """

    def __init__(self, text: str, path: Path) -> None:
        self._lines = enumerate(io.StringIO(text, newline=""), 1)
        self._is_between = True
        self.start = 0
        delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(text)
        self._reader = csv.reader(self, delimiter=delimiter, skipinitialspace=True, strict=True)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        for number, line in self._lines:
            if self._is_between:
                if _is_no_record(line, number):
                    continue
                self.start = number
                self._is_between = False
            return line
        raise StopIteration

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """The records that are left."""
        while True:
            self._is_between = True
            cells = next(self._reader, None)
            if cells is None:
                return
            yield self.start, [cell.strip() for cell in cells]


def _is_no_record(line: str, number: int) -> bool:
    text = line.strip()
    is_told = number == 1 and _TOLD_DELIMITER.fullmatch(line) is not None
    return not text or text.startswith("#") or is_told


def _delimiter(text: str) -> str:
    """The one that the first line tells, or by which the header falls into most known columns."""
    lines = text.splitlines() or [""]
    told = _TOLD_DELIMITER.fullmatch(lines[0])
    if told is not None:
        return told[1]
    header = next((line for number, line in enumerate(lines, 1) if not _is_no_record(line, 0)), "")
    return max(_DELIMITERS, key=lambda sign: _known_columns(header, sign))


def _known_columns(header: str, delimiter: str) -> int:
    try:
        cells = next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return 0
    return sum(is_known(column_name(cell)) for cell in cells)


def _columns(header: list[str], where: str, problems: Problems) -> list[str]:
    """The header's columns, "" for one without name; what is wrong with it is noted."""
    columns = [column_name(cell) for cell in header]
    for index, (column, written) in enumerate(zip(columns, header, strict=True)):
        if column and not is_known(column):
            problems.add(
                where,
                f"The column {shortened(written)} is no option of a row.",
                "Each column was expected to be an option of the single command.",
                nearest(column),
            )
        elif column and column in columns[:index]:
            problems.add(
                where,
                f"The column {shortened(written)} is there twice.",
                "Each column was expected once.",
                "Several values of one option go into one cell, each on a line of its own.",
            )
    if CHECKPOINT not in columns:
        problems.add(
            where,
            f"No column is called {CHECKPOINT!r}.",
            "The first line was expected to name the columns.",
            f"Write such a line, for example: {CHECKPOINT},model,name",
        )
    return columns


def _row(
    columns: list[str], cells: list[str], where: str, problems: Problems
) -> dict[str, Any] | None:
    """The cells that are not empty; cells at the end may be left out."""
    beyond = next((cell for cell in cells[len(columns) :] if cell), None)
    nameless = next(
        (cell for column, cell in zip(columns, cells, strict=False) if cell and not column), beyond
    )
    if nameless is not None:
        problems.add(
            where,
            f"The cell {shortened(nameless)} is below no column.",
            f"At most {len(columns)} cells were expected, each below its column's name.",
            'Quote a cell that holds the delimiter: "a,b".',
        )
        return None
    found = {}
    for column, cell in zip(columns, cells, strict=False):
        try:
            if cell:
                found[column] = _cell(column, cell)
        except ValueError as error:
            problems.add(
                where,
                f"{column} is {shortened(cell)}, which is no JSON: {error}.",
                "What begins with a brace was expected to be an object of names and values.",
                'Write it so, each quote doubled: "{""depth"": 3}".',
            )
            return None
    return found


def _cell(column: str, text: str) -> Any:
    """Text, or what a cell can hold besides: several values, or names with values.

    Raises:
        ValueError: it begins as an object does, and is none.
    """
    if takes_object(column) and text.startswith("{"):
        return decode_json(text.encode())
    if not is_repeated(column):
        return text
    if text.startswith("["):
        value = _list(text)
        # A pattern may look like it: [0-9] is no list of texts.
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return value
    return [line.strip() for line in re.split(r"[\r\n]", text) if line.strip()]


def _list(text: str) -> Any:
    try:
        return decode_json(text.encode())
    except ValueError:
        return None
