"""`summary.csv`: one row an item, for spreadsheets and programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from orchestration.batch.overview import ItemState, Overview
from orchestration.printing import printable

# A spreadsheet takes a text that begins so for a formula (OWASP, "CSV Injection"); the last four
# are the wide signs of East Asian writing.
_FORMULA_BEGINS = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001
Cell = str | int | float | None


def csv_text(overview: Overview) -> str:
    """The file's text: rows in the order of the list, always the same columns."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    for item in overview.items:
        writer.writerow([_shown(cell(item)) for cell in COLUMNS.values()])
    return written.getvalue()


def figure(item: ItemState, *names: str) -> Cell:
    """A figure of an item's result; None where there is none.

    Args:
        item: the item.
        names: the way to it, such as "stage_s", "load".
    """
    value: Any = {} if item.record is None else item.record.result
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, str | int | float) else None


def _figure(*names: str) -> Callable[[ItemState], Cell]:
    return lambda item: figure(item, *names)


def _told(path: str) -> Callable[[ItemState], Cell]:
    """What an attribute of an attribute says; nothing where one of them says nothing."""

    def cell(item: ItemState) -> Cell:
        value: Any = item
        for name in path.split("."):
            value = None if value is None else getattr(value, name)
        found: Cell = value
        return found

    return cell


COLUMNS: Mapping[str, Callable[[ItemState], Cell]] = MappingProxyType(
    {
        "name": _told("name"),
        "state": _told("standing"),
        "verdict": _figure("verdict"),
        "max_rel": _figure("max_rel"),
        "max_abs": _figure("max_abs"),
        "worst": _figure("worst"),
        "tolerance": _figure("tolerance"),
        "reason": _figure("reason"),
        "error": _told("record.failure.class_name"),
        "exit_code": _told("record.failure.exit_code"),
        "happened": _told("record.failure.happened"),
        "expected": _told("record.failure.expected"),
        "remedy": _told("record.failure.remedy"),
        "note": _told("note"),
        "checkpoint": _told("listed.checkpoint"),
        "where": _told("listed.where"),
        "model": _figure("model"),
        "device": _figure("device"),
        "parameters": _figure("parameters"),
        "tensors": _figure("tensors"),
        "checkpoint_bytes": _told("record.size_bytes"),
        "result_bytes": _figure("size_bytes"),
        "seconds": _told("seconds"),
        "extract_s": _figure("stage_s", "extract"),
        "load_s": _figure("stage_s", "load"),
        "extract_peak_bytes": _figure("peak_memory_bytes", "extract"),
        "load_peak_bytes": _figure("peak_memory_bytes", "load"),
        "attempt": _told("record.attempt"),
        "host": _told("record.owner.host"),
        "slurm_job": _told("record.owner.slurm.name"),
        "started": _told("record.started"),
        "ended": _told("record.ended"),
        "log": _told("record.log"),
        "report": lambda item: item.report,
    }
)
"""Column -> what it tells of an item. New ones come last, so that numbers of columns stay."""


def _shown(cell: Cell) -> Cell:
    """A cell on one line that no program takes for a formula."""
    if not isinstance(cell, str):
        return cell
    text = printable(" ".join(cell.splitlines()))
    return f"'{text}" if text.startswith(_FORMULA_BEGINS) else text
