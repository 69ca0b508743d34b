"""`batch --status`: where everything stands, for people."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import click

from orchestration.batch.overview import ItemState, Overview, failures_by_class, read_overview
from orchestration.batch.pace import pace_of, seconds_left
from orchestration.batch.record import Failure
from orchestration.batch.settings import BatchFolder
from orchestration.batch.slurm_status import slurm_lines
from orchestration.batch.stored_items import Listed
from orchestration.errors import EXIT_OK
from orchestration.printing import duration_text, printable, size_text
from orchestration.summary import shown_path

MOST_SHOWN = 20
_MOST_NAMES = 3
_LABEL_WIDTH = 10


def show_status(
    folder: BatchFolder, listed: Sequence[Listed], *, as_json: bool, only_failed: bool
) -> int:
    """Print where the items stand; nothing is changed.

    Args:
        folder: of the batch.
        listed: the items.
        as_json: for programs.
        only_failed: of single items, those alone that have failed.

    Raises:
        OutputNotWritable: the folder cannot be read.
    """
    overview = read_overview(folder, listed)
    failed = tuple(overview.of("failed"))
    if as_json:
        from orchestration.batch.status_document import status_document

        shown = failed if only_failed else overview.items
        document = status_document(folder.out, overview, shown)
        click.echo(json.dumps(document, indent=1, sort_keys=True))
        return EXIT_OK
    if only_failed:
        lines = _failed_blocks(folder, failed)
    else:
        lines = chain(status_lines(folder, overview), slurm_lines(folder, os.environ))
    click.echo("\n".join(map(printable, lines)))
    return EXIT_OK


def status_lines(folder: BatchFolder, overview: Overview) -> Iterator[str]:
    """The tables: how many stand how, the pace, who is at work, what failed for which reason."""
    yield f"{_count(len(overview.items), 'item')} in {shown_path(folder.out)}"
    for standing, count in overview.counts().items():
        if count or standing in ("done", "failed", "queued"):
            note = _verdicts(overview) if standing == "done" else ""
            yield f"  {standing:<{_LABEL_WIDTH}}{count:>7,}{note}"
    yield from _pace_lines(overview)
    yield from _running_lines(overview)
    lost = [f"{item.name}  {item.note}" for item in overview.of("lost")]
    yield from _titled("Lost", lost)
    yield from _titled("Failed", _causes(overview))
    notes = [f"{item.name}  {item.note}" for item in overview.of("queued") if item.note]
    yield from _titled("To be done again", notes)
    if overview.unlisted:
        yield ""
        yield f"The ledger holds {_count(overview.unlisted, 'item')} more, of earlier lists."


def failure_lines(failure: Failure) -> Iterator[str]:
    """Why an item failed, in its three parts."""
    yield f"{failure.class_name} (exit code {failure.exit_code})"
    for part in (failure.happened, failure.expected, failure.remedy):
        # A message may have lines of its own.
        yield "  " + part.replace("\n", "\n  ")


def _verdicts(overview: Overview) -> str:
    texts = [f"{count:,} {verdict}" for verdict, count in overview.verdicts().items()]
    return f"  {', '.join(texts)}" if texts else ""


def _pace_lines(overview: Overview) -> Iterator[str]:
    done_bytes = sum(item.size_bytes or 0 for item in overview.of("done"))
    yield f"  {'size':<{_LABEL_WIDTH}}{size_text(done_bytes)} of checkpoints done"
    pace = pace_of(overview)
    if pace is None:
        return
    a_minute = f"{pace.items_per_minute:.3g} items, {size_text(round(pace.bytes_per_minute))}"
    yield f"  {'pace':<{_LABEL_WIDTH}}{a_minute} a minute"
    left_s = seconds_left(overview, pace)
    if overview.left and left_s is not None:
        is_at_work = any(overview.of("running"))
        idle = "" if is_at_work else "; nobody is at work: run the command again"
        yield f"  {'time left':<{_LABEL_WIDTH}}about {duration_text(left_s)}{idle}"


def _running_lines(overview: Overview) -> Iterator[str]:
    running = [item for item in overview.of("running") if item.record is not None]
    width = max((len(printable(item.name)) for item in running), default=0)
    rows = [
        f"{printable(item.name):<{width}}  since {_time(item.record.started)}"
        f"  on {item.record.owner.words()}"
        for item in running
        if item.record is not None
    ]
    yield from _titled("Running (times in UTC)", rows)


def _causes(overview: Overview) -> list[str]:
    """One line a class of error: how many, and the first names."""
    lines = []
    for class_name, items in failures_by_class(overview).items():
        names = ", ".join(item.name for item in islice(items, _MOST_NAMES))
        rest = len(items) - _MOST_NAMES
        lines.append(f"{len(items):>5,}  {class_name}: {names}{f' and {rest:,} more' * (rest > 0)}")
    return [*lines, "       --failed tells each one's message and log"] if lines else []


def _titled(title: str, lines: Sequence[str]) -> Iterator[str]:
    """A title and as many lines as can be looked at; nothing where there are none."""
    if not lines:
        return
    yield ""
    yield title
    yield from (f"  {line}" for line in islice(lines, MOST_SHOWN))
    if len(lines) > MOST_SHOWN:
        yield f"  … and {len(lines) - MOST_SHOWN:,} more; --json tells all"


def _failed_blocks(folder: BatchFolder, failed: Iterable[ItemState]) -> Iterator[str]:
    """One block of lines an item, with an empty line between two."""
    is_first = True
    for item in failed:
        if not is_first:
            yield ""
        is_first = False
        yield from _failed_block(folder, item)
    if is_first:
        yield "No item has failed."


def _failed_block(folder: BatchFolder, item: ItemState) -> Iterator[str]:
    record = item.record
    assert record is not None
    first, *rest = ["unknown"] if record.failure is None else failure_lines(record.failure)
    yield f"{item.name}: {first}"
    yield from rest
    yield f"  checkpoint: {item.listed.checkpoint} ({item.listed.where})"
    if record.log is not None:
        yield f"  log: {shown_path(Path(os.path.join(folder.out, record.log)))}"
    if item.report is not None:
        yield f"  report: {shown_path(folder.out / item.report)}"


def _time(text: str) -> str:
    """An ISO time to the second, as people write it."""
    return text[:19].replace("T", " ")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
