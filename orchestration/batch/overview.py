"""Where every item of a batch stands, read from the ledger alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from orchestration.batch.ledger import Entry, read_entries, read_entry
from orchestration.batch.onlooker import Onlooker
from orchestration.batch.record import Failure, Record
from orchestration.batch.settings import BatchFolder
from orchestration.batch.stored_items import Listed
from orchestration.errors import (
    EXIT_ITEMS_LEFT,
    EXIT_OK,
    EXIT_SOME_FAILED,
    OutputNotWritable,
)

Standing = Literal["done", "failed", "skipped", "running", "lost", "queued"]
REPORT_FILE = "report.html"
STANDINGS: tuple[Standing, ...] = get_args(Standing)
LEFT: tuple[Standing, ...] = ("running", "lost", "queued")
"""Of items that are not at their end."""


@dataclass(frozen=True)
class ItemState:
    """Where one item stands.

    Attributes:
        listed: the item.
        standing: "lost" = whoever had it is gone; that and "queued" are still to be done.
        record: of its latest attempt; None if there is none that can be read.
        note: what else is to be told of it, or None.
    """

    listed: Listed
    standing: Standing
    record: Record | None = None
    note: str | None = None

    @property
    def name(self) -> str:
        """Of the item."""
        return self.listed.name

    @property
    def seconds(self) -> float | None:
        """How long its attempt took, if it has ended."""
        return None if self.record is None else seconds_of(self.record)

    @property
    def size_bytes(self) -> int | None:
        """Of its checkpoint, when somebody began with it."""
        return None if self.record is None else self.record.size_bytes

    @property
    def report(self) -> str | None:
        """Path of its report below the batch's folder, if it has a result."""
        has_result = self.record is not None and self.record.result.get("verdict") is not None
        return f"{self.name}/{REPORT_FILE}" if has_result else None

    @property
    def failure(self) -> Failure | None:
        """Why it failed, if it did."""
        return None if self.record is None else self.record.failure


@dataclass(frozen=True)
class Overview:
    """Where all items stand.

    Attributes:
        items: in the order of the list.
        unlisted: items that the ledger knows from earlier lists.
    """

    items: tuple[ItemState, ...]
    unlisted: int = 0

    def of(self, *standings: Standing) -> Iterator[ItemState]:
        """The items that stand so."""
        return (item for item in self.items if item.standing in standings)

    def counts(self) -> dict[Standing, int]:
        """Number of items of each standing."""
        found = Counter(item.standing for item in self.items)
        return {standing: found[standing] for standing in STANDINGS}

    def verdicts(self) -> dict[str, int]:
        """Number of results of each verdict that did not fail: "proven" or "unproven"."""
        records = (item.record for item in self.of("done", "skipped"))
        verdicts = (record.result.get("verdict") for record in records if record)
        return dict(sorted(Counter(str(verdict) for verdict in verdicts if verdict).items()))

    @property
    def left(self) -> int:
        """Number of items that are not at their end."""
        return sum(1 for _ in self.of(*LEFT))

    @property
    def exit_code(self) -> int:
        """What a run ends with that leaves the batch so."""
        if self.left:
            return EXIT_ITEMS_LEFT
        return EXIT_SOME_FAILED if any(self.of("failed")) else EXIT_OK


def read_overview(folder: BatchFolder, listed: Sequence[Listed]) -> Overview:
    """Read where the items of a list stand; nothing is written.

    Raises:
        OutputNotWritable: the folder cannot be read.
    """
    try:
        entries = read_entries(folder)
        onlooker = Onlooker(folder)
        items = tuple(_state(folder, one, entries.get(one.name), onlooker) for one in listed)
    except OSError as error:
        raise OutputNotWritable(
            f"The ledger in {folder.root} cannot be read: {error.strerror}.",
            "A folder was expected in which a batch has run, and that you may read.",
            "Look at --out, or ask its owner for leave to read it.",
        ) from error
    return Overview(items, len(entries.keys() - {one.name for one in listed}))


def seconds_of(record: Record) -> float | None:
    """How long an attempt took, by the clock of the machine that made it."""
    if record.ended is None:
        return None
    begin, end = datetime.fromisoformat(record.started), datetime.fromisoformat(record.ended)
    return max(0.0, (end - begin).total_seconds())


def failures_by_class(overview: Overview) -> Mapping[str, list[ItemState]]:
    """Class of the error -> the items that failed so; the most frequent first."""
    found: dict[str, list[ItemState]] = {}
    for item in overview.of("failed"):
        class_name = "unknown" if item.failure is None else item.failure.class_name
        found.setdefault(class_name, []).append(item)
    return dict(sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0])))


def _state(
    folder: BatchFolder, listed: Listed, entry: Entry | None, onlooker: Onlooker
) -> ItemState:
    if isinstance(entry, Record) and entry.state == "running":
        if not onlooker.is_lost(entry.owner):
            return ItemState(listed, "running", entry)
        # It may have ended well, and its owner with it, since it was read.
        again = read_entry(folder, entry.name, entry.attempt)
        if again == entry:
            note = f"lost with {entry.owner.words()}; it will be done again"
            return ItemState(listed, "lost", entry, note)
        entry = again
    if entry is None:
        return ItemState(listed, "queued")
    if not isinstance(entry, Record):
        note = f"the record of attempt {entry.attempt} is damaged: {entry.reason}"
        return ItemState(listed, "queued", None, note)
    if entry.state == "released":
        return ItemState(listed, "queued", entry, f"given back by {entry.owner.words()}")
    assert entry.state != "running"
    return ItemState(listed, entry.state, entry)
