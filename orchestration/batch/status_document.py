"""`batch --status --json`: where everything stands, for programs. The README tells its fields."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestration.batch.overview import ItemState, Overview, failures_by_class
from orchestration.batch.pace import pace_of, seconds_left

FORMAT = "tf1-to-torch-batch-status"
VERSION = 1


def status_document(out: Path, overview: Overview, shown: Sequence[ItemState]) -> dict[str, Any]:
    """The status as JSON.

    Args:
        out: the batch's folder.
        overview: all items.
        shown: the items that are told one by one.
    """
    pace = pace_of(overview)
    return {
        "format": FORMAT,
        "version": VERSION,
        "out": os.fspath(out),
        "counts": {"total": len(overview.items), **overview.counts()},
        "verdicts": overview.verdicts(),
        "unlisted": overview.unlisted,
        "pace": None if pace is None else vars(pace),
        "seconds_left": seconds_left(overview, pace),
        "exit_code": overview.exit_code,
        "failures": {name: len(items) for name, items in failures_by_class(overview).items()},
        "items": [_item(item) for item in shown],
    }


def _item(item: ItemState) -> dict[str, Any]:
    found: dict[str, Any] = {**vars(item.listed), "state": item.standing, "note": item.note}
    record = item.record
    if record is None:
        return found
    return {
        **found,
        "attempt": record.attempt,
        "host": record.owner.host,
        "process": record.owner.process.pid,
        "slurm": None if record.owner.slurm is None else vars(record.owner.slurm),
        "started": record.started,
        "ended": record.ended,
        "size_bytes": record.size_bytes,
        "failure": None if record.failure is None else vars(record.failure),
        "log": record.log,
        "result": dict(record.result),
    }
