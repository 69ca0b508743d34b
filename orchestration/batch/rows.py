"""Rows of an items file or of a glob, before their values are looked at."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from orchestration.batch.columns import CHECKPOINT
from orchestration.batch.csv_rows import csv_rows
from orchestration.batch.globs import has_magic, matches
from orchestration.batch.json_rows import json_rows
from orchestration.batch.problems import Problems
from orchestration.errors import BadItems
from orchestration.printing import printable

_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class Row:
    """One item as it is written.

    Attributes:
        where: for people: "models.csv line 7".
        cells: column -> text or JSON value; only what is not empty. An unknown column, which has
            been noted as a mistake, is there too: it may be a known one, written wrongly.
    """

    where: str
    cells: Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """Where rows come from.

    Attributes:
        name: for people.
        folder: what paths in the rows start from.
        rows: in their order.
    """

    name: str
    folder: Path
    rows: tuple[Row, ...]


def read_source(source: str, out: Path, problems: Problems) -> Source:
    """Read an items file, or look for what a glob names.

    Args:
        source: the path of a file, or a pattern.
        out: the batch's folder, from the root; nothing in it is an item of a glob, so that the
            next run finds the same.
        problems: gets what is wrong with single rows.

    Raises:
        BadItems: there is nothing to read, or it is no text.
    """
    path = Path(os.path.expanduser(source))
    if os.path.exists(path) and not os.path.isdir(path):
        return _read_file(path, problems)
    if not has_magic(source):
        _refuse_path(path)
    folder = Path(os.path.realpath(os.curdir))
    own = os.path.realpath(out)
    found = [path for path in matches(os.path.expanduser(source)) if not _is_within(path, own)]
    if not found:
        raise BadItems(
            f"Nothing is found by {source!r}.",
            "A pattern was expected that names checkpoints: folders, prefixes or files.",
            f"Try `ls -d {source}`; the pattern starts from {folder}.",
        )
    return Source(source, folder, tuple(Row(name, {CHECKPOINT: name}) for name in found))


def _is_within(path: str, folder: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(folder)


def _read_file(path: Path, problems: Problems) -> Source:
    text = _text(path)
    name = printable(os.fspath(path))
    # Nothing else begins with a brace: no column does.
    is_json = path.suffix.lower() in _JSON_SUFFIXES or _first_sign(text) == "{"
    read = json_rows if is_json else csv_rows
    rows = tuple(_rows(name, read(text, path, problems)))
    if not rows and not problems.count:
        raise BadItems(
            f"{name} holds no items.",
            "At least one row was expected.",
            "Write one row a checkpoint.",
        )
    # What comes through a pipe lies nowhere.
    folder = path.parent if os.path.isfile(path) else Path()
    return Source(name, Path(os.path.realpath(folder)), rows)


def _rows(name: str, numbered: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[Row]:
    for number, cells in numbered:
        yield Row(f"{name} line {number}", cells)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadItems(
            f"The items file {path} cannot be read: {error.strerror}.",
            "A file was expected that you may read.",
            f"Look at its permissions: `ls -l {path}`.",
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadItems(
            f"The items file {path} is no text in UTF-8; line {line} has the byte"
            f" {data[error.start]:#04x}.",
            "CSV or JSON Lines in UTF-8 was expected.",
            'Save it so; spreadsheets call it "CSV UTF-8".',
        ) from error
    if "\0" in text:
        raise BadItems(
            f"The items file {path} holds a NUL character, as binary files do.",
            "CSV or JSON Lines was expected.",
            "Write an items file that names the checkpoints, or a glob in quotes.",
        )
    return text


def _first_sign(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return next((line[0] for line in lines if line and not line.startswith("#")), "")


def _refuse_path(path: Path) -> NoReturn:
    if os.path.isdir(path):
        raise BadItems(
            f"{path} is a folder.",
            "An items file, or a glob in quotes, was expected.",
            f"Write '{path}/*' for all that lies in it; a single checkpoint needs no batch.",
        )
    folder = path.parent
    names = os.listdir(folder) if os.path.isdir(folder) and os.access(folder, os.R_OK) else []
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    hint = f"Nearest names: {', '.join(near)}." if near else f"Look into {folder}."
    raise BadItems(
        f"There is no items file {path}.",
        "A CSV or JSON Lines file, or a glob in quotes such as 'runs/*/ckpt', was expected.",
        hint,
    )
