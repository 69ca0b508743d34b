"""A verification as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestration.archive.verify.verdicts import Verdict, Verification
from orchestration.printing import in_one_line
from orchestration.summary import shown_path

_MARKS: Final = {"ok": "ok", "failed": "FAILED", "not_checked": "not checked"}
_COLORS: Final = {"ok": "green", "failed": "red", "not_checked": "yellow"}
_LINK_WIDTH: Final = 11
_MARK_WIDTH: Final = 13
_MOST_FAULTS: Final = 20


def table_lines(verification: Verification) -> Iterator[tuple[str, str | None]]:
    """Each line with its terminal colour, the headline first."""
    yield _headline(verification)
    for verdict in verification.verdicts:
        yield from _verdict_lines(verdict)


def _headline(verification: Verification) -> tuple[str, str]:
    bag = shown_path(verification.bag)
    failed = [verdict.link for verdict in verification.failed]
    if failed:
        return in_one_line(f"BROKEN  {bag}: {', '.join(failed)}"), "red"
    unchecked = [v.link for v in verification.verdicts if v.state == "not_checked"]
    if unchecked:
        told = f"as far as it was checked; not checked: {', '.join(unchecked)}"
        return in_one_line(f"HOLDS   {bag}, {told}"), "yellow"
    return in_one_line(f"HOLDS   {bag}"), "green"


def _verdict_lines(verdict: Verdict) -> Iterator[tuple[str, str | None]]:
    start = f"  {verdict.link:<{_LINK_WIDTH}}{_MARKS[verdict.state]:<{_MARK_WIDTH}}"
    yield in_one_line(f"{start}{verdict.details}"), _COLORS[verdict.state]
    for fault in verdict.faults[:_MOST_FAULTS]:
        yield in_one_line(f"    {fault.path}: {fault.kind}: {fault.text}"), None
    if len(verdict.faults) > _MOST_FAULTS:
        more = len(verdict.faults) - _MOST_FAULTS
        yield f"    and {more:,} more; --json names all of them", None
    for note in verdict.notes:
        yield in_one_line(f"    note: {note}"), None
