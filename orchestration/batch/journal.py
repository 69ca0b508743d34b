"""Claims on items and records of their ends, from all lanes of one process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from orchestration.batch.ending import Ending
from orchestration.batch.figures import failure_of, figures_of, parity_failure
from orchestration.batch.items import Item
from orchestration.batch.ledger import Attempt, Entry, Ledger
from orchestration.batch.owner import BatchOwner
from orchestration.batch.record import Record


class Journal:
    """The ledger, as this process has seen and changed it.

    Args:
        ledger: of the batch.
        owner: this process.
    """

    def __init__(self, ledger: Ledger, owner: BatchOwner) -> None:
        self._ledger = ledger
        self._owner = owner
        self._entries = ledger.entries()
        self._lock = threading.Lock()

    def entry(self, name: str) -> Entry | None:
        """Latest attempt at an item that is known of; None if there is none."""
        return self._entries.get(name)

    def look_again(self) -> None:
        """Learn what other processes have done in the meantime.

        Raises:
            OutputNotWritable: the ledger cannot be read.
        """
        entries = self._ledger.entries()
        with self._lock:
            self._entries = entries

    def is_being_done(self, entry: Entry | None) -> bool:
        """Whether a living process is at an item."""
        return entry is not None and self._ledger.is_being_done(entry)

    def is_of_this_task(self, entry: Entry | None) -> bool:
        """Whether an earlier start of this very task of Slurm has done an item."""
        own = self._owner.slurm
        if own is None or not isinstance(entry, Record) or entry.owner.slurm is None:
            return False
        return entry.owner.slurm.is_earlier_start_of(own)

    def claim(self, item: Item) -> Attempt | None:
        """Claim an item; None if another process has it, or has had it in the meantime.

        Raises:
            DiskFull, OutputNotWritable: the claim cannot be written.
        """
        latest = self._entries.get(item.name)
        return self._ledger.claim(item.name, item.size_bytes, latest)

    def finish(
        self, attempt: Attempt, ending: Ending, seen: Mapping[str, Any] | None = None
    ) -> None:
        """Record how an attempt ended.

        Args:
            attempt: claimed before.
            ending: how it ended.
            seen: state of the files of a result, see `done_check`.

        Raises:
            DiskFull, OutputNotWritable: the record cannot be written.
        """
        failure, result = None, {"seconds": round(ending.seconds, 3)}
        if ending.error is not None:
            failure = failure_of(ending.error)
        elif ending.manifest:
            failure = parity_failure(ending.manifest)
            result = figures_of(ending.manifest, ending.seconds)
        # A result that was made or found is a failure where its proof failed.
        has_failed = failure is not None and ending.state != "released"
        record = attempt.record.ended_as(
            "failed" if has_failed else ending.state,
            failure=failure,
            log=ending.log,
            result=result,
            seen=dict(seen or {}),
        )
        attempt.finish(record)
        with self._lock:
            self._entries[record.name] = record
