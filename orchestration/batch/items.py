"""The items of a batch: one conversion each, under a name that is its result's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from orchestration.batch.cells import Parser, Value, absolute_model, check_defaults
from orchestration.batch.checkpoint_sizes import CheckpointSizes
from orchestration.batch.columns import CHECKPOINT, COLUMNS, MODEL, NAME, WHERE, is_known
from orchestration.batch.names import made_name, name_key, why_not
from orchestration.batch.problems import Problems, shortened
from orchestration.batch.rows import Row, read_source
from orchestration.batch.settings import BatchFolder
from orchestration.command_options import load_options, runtime_settings
from orchestration.errors import CheckpointMissing
from orchestration.reading_options import extract_options
from orchestration.settings import ConvertSettings


@dataclass(frozen=True)
class Item:
    """One conversion of a batch.

    Attributes:
        name: of its result folder, and of its records in the ledger.
        where: the row that asks for it, for people: "models.csv line 7".
        settings: those of the single command; `settings.out` is the batch's folder / `name`.
        size_bytes: of the checkpoint's files, a measure of the work.
    """

    name: str
    where: str = field(compare=False)
    settings: ConvertSettings
    size_bytes: int


def read_items(source: str, given: Mapping[str, Any], out: Path) -> tuple[Item, ...]:
    """All items that an items file or a glob asks for; nothing is started, nothing written.

    In a file of the batch's own all checkpoints have been there once. One that is gone since is
    that item's failure, and stops no other.

    Args:
        source: path of a CSV or JSON Lines file, or a glob.
        given: the parsed options of the `batch` command, which rows overrule.
        out: the batch's folder, from the root.

    Raises:
        BadItems: rows are wrong; all of them are told.
        click.BadParameter: an option for all rows is what no row can hold.
    """
    problems = Problems(source)
    read = read_source(source, out, problems)
    is_own = read.folder == Path(os.path.realpath(BatchFolder(out).items))
    reader = _RowReader(given, out, read.folder, problems, may_be_gone=is_own)
    items = [item for row in read.rows for item in reader.items(row)]
    problems.raise_if_any()
    return tuple(items)


class _RowReader:
    """Makes items of rows; what they are checked against is asked for once only."""

    def __init__(
        self,
        given: Mapping[str, Any],
        out: Path,
        folder: Path,
        problems: Problems,
        *,
        may_be_gone: bool,
    ) -> None:
        model = given[MODEL]
        self._defaults = {**given, MODEL: model and absolute_model(model)}
        check_defaults(self._defaults)
        self._runtime = runtime_settings(given)
        self._out = out
        self._problems = problems
        self._may_be_gone = may_be_gone
        self._parser = Parser(folder)
        self._sizes = CheckpointSizes()
        self._named: dict[str, tuple[str, bool]] = {}

    def items(self, row: Row) -> Iterator[Item]:
        """The item that a row asks for, if it is right."""
        before = self._problems.count
        # What a column that is written wrongly says is not known: its lack would be no news.
        is_whole = all(map(is_known, row.cells))
        values = self._values(row, is_whole=is_whole)
        checkpoint = self._checkpoint(row)
        size_bytes = 0 if checkpoint is None else self._size_bytes(row, checkpoint)
        written = self._written_name(row)
        if checkpoint is None or not is_whole or self._problems.count > before:
            return
        name = written or self._made_name(row, checkpoint, values)
        if self._problems.count > before:
            return
        try:
            settings = self._settings(checkpoint, name, values.values())
        except click.BadParameter as error:
            self._refuse(
                row, error.message, "Options that fit each other were expected.", "Mend the row."
            )
            return
        yield Item(name, str(row.cells.get(WHERE, row.where)), settings, size_bytes)

    def _settings(self, checkpoint: Path, name: str, values: Iterable[Value]) -> ConvertSettings:
        given = {**self._defaults, **{value.option: value.value for value in values}}
        return ConvertSettings(
            checkpoint=checkpoint,
            out=self._out / name,
            force=given["force"],
            extract=extract_options(given, reference=given["prove"]),
            load=load_options(given),
            runtime=self._runtime,
        )

    def _values(self, row: Row, *, is_whole: bool) -> dict[str, Value]:
        """Column -> what the row says of an option of the single command."""
        values = {}
        for column, cell in row.cells.items():
            if column not in COLUMNS:
                continue
            try:
                values[column] = self._parser.parse(column, cell)
            except click.BadParameter as error:
                self._refuse_cell(row, column, error, "Mend it, or leave it empty for the default.")
        if is_whole and MODEL not in row.cells and not self._defaults[MODEL]:
            self._refuse(
                row,
                "No model is named.",
                "A cell in the column 'model', or --model for all rows, was expected.",
                "Write unet, file.py:Factory or package.module:Factory.",
            )
        return values

    def _checkpoint(self, row: Row) -> Path | None:
        cell = row.cells.get(CHECKPOINT)
        try:
            if isinstance(cell, str):
                return self._parser.path(cell)
        except click.BadParameter as error:
            self._refuse_cell(row, CHECKPOINT, error, "Mend it.")
            return None
        self._refuse(
            row,
            "No checkpoint is named." if cell is None else f"checkpoint is {shortened(cell)}.",
            "A path in the column 'checkpoint' was expected.",
            "Write a folder, a prefix or one of a checkpoint's files.",
        )
        return None

    def _size_bytes(self, row: Row, checkpoint: Path) -> int:
        is_unsaid = self._may_be_gone or self._problems.is_full
        if is_unsaid and not self._sizes.is_there(checkpoint):
            if not self._may_be_gone:
                self._problems.count_one()
            return 0
        try:
            return self._sizes.size_bytes(checkpoint)
        except CheckpointMissing as error:
            self._refuse(row, error.happened, error.expected, error.remedy)
            return 0

    def _written_name(self, row: Row) -> str | None:
        """The row's own name; refused where no folder can have it."""
        written = row.cells.get(NAME)
        if written is None:
            return None
        name = str(written)
        reason = "it is no text" if isinstance(written, list | dict) else why_not(name)
        if reason is None:
            self._take_name(row, name)
        else:
            self._refuse(
                row,
                f"name is {shortened(written)}, and {reason}.",
                "A name for a folder that every file system takes was expected.",
                "Choose letters, digits, '.', '_' and '-'.",
            )
        return name

    def _made_name(self, row: Row, checkpoint: Path, values: Mapping[str, Value]) -> str:
        cells = {column: value.identity for column, value in values.items()}
        name = made_name(checkpoint, cells)
        self._take_name(row, name)
        return name

    def _take_name(self, row: Row, name: str) -> None:
        is_made = NAME not in row.cells
        earlier, was_made = self._named.setdefault(name_key(name), (row.where, is_made))
        if earlier != row.where:
            self._refuse_twice(row, name, earlier, is_same=is_made and was_made)

    def _refuse_twice(self, row: Row, name: str, earlier: str, *, is_same: bool) -> None:
        if is_same:
            self._refuse(
                row,
                f"It asks for the same as {earlier}.",
                "Each row was expected to ask for something else.",
                "Remove one of them, or give each a name of its own in the column 'name'.",
            )
            return
        self._refuse(
            row,
            f"name is {shortened(name)}, as in {earlier}.",
            "Each name was expected once; some file systems take ANN and ann for one.",
            "Choose another name.",
        )

    def _refuse_cell(self, row: Row, column: str, error: click.BadParameter, remedy: str) -> None:
        expected = f"{error.message[:1].upper()}{error.message[1:]}"
        self._refuse(row, f"{column} is {shortened(row.cells[column])}.", expected, remedy)

    def _refuse(self, row: Row, happened: str, expected: str, remedy: str) -> None:
        self._problems.add(row.where, happened, expected, remedy)
