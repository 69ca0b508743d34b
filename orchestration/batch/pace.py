"""How fast a batch goes, and how long what is left will take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from orchestration.batch.overview import Overview
from orchestration.batch.record import Record

# The latest ones tell the present speed: workers come and go.
_MOST_RECENT = 100
_MINUTE_S = 60.0


@dataclass(frozen=True)
class Pace:
    """What all workers together get done.

    Attributes:
        items_per_minute: ended items, failed ones among them.
        bytes_per_minute: of their checkpoints.
    """

    items_per_minute: float
    bytes_per_minute: float


def pace_of(overview: Overview) -> Pace | None:
    """The pace of the latest items; None before there are any.

    Pauses between runs do not count: the time is that in which any of these items was at work.
    Times of several machines are put side by side here, so it is as good as their clocks.
    """
    ended = [item.record for item in overview.of("done", "failed") if item.record is not None]
    recent = sorted(ended, key=lambda record: record.ended or "")[-_MOST_RECENT:]
    minutes = _at_work_s(recent) / _MINUTE_S
    if not minutes:
        return None
    size_bytes = sum(record.size_bytes for record in recent)
    return Pace(len(recent) / minutes, size_bytes / minutes)


def seconds_left(overview: Overview, pace: Pace | None) -> float | None:
    """How long the items will take that are left, at this pace; None if nobody knows."""
    if pace is None:
        return None
    return overview.left / pace.items_per_minute * _MINUTE_S


def _at_work_s(records: Iterable[Record]) -> float:
    """Length of the union of the times from start to end."""
    spans = sorted((_time_s(r.started), _time_s(r.ended)) for r in records if r.ended is not None)
    total_s, covered_to_s = 0.0, float("-inf")
    for begin_s, end_s in spans:
        total_s += max(0.0, end_s - max(begin_s, covered_to_s))
        covered_to_s = max(covered_to_s, end_s)
    return total_s


def _time_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
