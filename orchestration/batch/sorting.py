"""What is to be done of a batch, seen from its ledger and from the results that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from orchestration.batch.done_check import Check
from orchestration.batch.ending import Ending
from orchestration.batch.items import Item
from orchestration.batch.journal import Journal
from orchestration.batch.ledger import Damaged, Entry
from orchestration.batch.planned import PlannedItem, Planner
from orchestration.batch.record import Record
from orchestration.batch.settings import BatchSettings
from orchestration.errors import OrchestrationError
from orchestration.previous_result import check_out
from orchestration.runtimes.base import Notify


@dataclass
class Sorted:
    """The items of a batch by what is known of them.

    Attributes:
        to_do: nobody has done them.
        others: other processes are at them.
        done: names of those whose result is right.
        failed: names of those that failed before, and are not to be tried again.
    """

    to_do: list[PlannedItem] = field(default_factory=list)
    others: list[Item] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class Sorter:
    """Sorts items; those that cannot be begun at all are recorded as failed.

    Args:
        settings: of the batch.
        planner: finds what items need.
        journal: what is known of them.
        on_end: is told of items that end here.
        notify: is told of damaged records, and of results that are not right any more.
    """

    def __init__(
        self,
        settings: BatchSettings,
        planner: Planner,
        journal: Journal,
        on_end: Callable[[Ending], None],
        notify: Notify,
    ) -> None:
        self._settings = settings
        self._planner = planner
        self._journal = journal
        self._on_end = on_end
        self._notify = notify

    def sort(self, items: Iterable[Item]) -> Sorted:
        """Look at every item.

        Raises:
            DiskFull, OutputNotWritable: the ledger cannot be written.
        """
        found = Sorted()
        for item in items:
            entry = self._journal.entry(item.name)
            if isinstance(entry, Damaged):
                self._notify(f"The ledger's record of {item.name} is damaged: {entry.reason}")
            try:
                planned = self._planner.plan(item)
            except OrchestrationError as error:
                self._refuse(item, entry, error, found)
            else:
                self._sort_one(planned, entry, found)
        return found

    def _sort_one(self, planned: PlannedItem, entry: Entry | None, found: Sorted) -> None:
        name = planned.item.name
        if self._journal.is_being_done(entry):
            found.others.append(planned.item)
        elif self._is_redone(entry):
            found.to_do.append(planned)
        elif _has_failed(entry) and not self._is_retried(entry):
            found.failed.append(name)
        else:
            seen = entry.seen if isinstance(entry, Record) else {}
            check = planned.check(seen, verify=self._settings.verify)
            if check.problem is None:
                self._keep(planned, entry, check, found)
            elif check.manifest is None:
                found.to_do.append(planned)
            else:
                self._redo(planned, entry, check, found)

    def _redo(self, planned: PlannedItem, entry: Entry | None, check: Check, found: Sorted) -> None:
        """The result is not what would be made now; it stays until there is one."""
        item = planned.item
        try:
            check_out(item.settings.out, True, planned.checkpoint.folder)
        except OrchestrationError as error:
            self._refuse(item, entry, error, found)
        else:
            self._notify(f"{item.name} is done again: {check.problem}")
            found.to_do.append(replace(planned, outdated=check))

    def _is_redone(self, entry: Entry | None) -> bool:
        """Whether --force makes an item be done again: once, however often Slurm begins anew."""
        return self._settings.force and not self._journal.is_of_this_task(entry)

    def _is_retried(self, entry: Entry | None) -> bool:
        """The same of --retry-failed."""
        return self._settings.retry_failed and not self._journal.is_of_this_task(entry)

    def _keep(self, planned: PlannedItem, entry: Entry | None, check: Check, found: Sorted) -> None:
        """The result is there; a ledger that does not know is told."""
        assert check.manifest is not None
        name = planned.item.name
        ending = Ending(name, "skipped", 0.0, check.manifest)
        if _has_failed(entry) and not ending.is_well:
            # What is to be tried again is its proof.
            self._redo(planned, entry, replace(check, problem="its proof failed"), found)
            return
        is_known = isinstance(entry, Record) and entry.state in ("done", "skipped")
        if is_known or self._record(planned.item, ending, check):
            (found.done if ending.is_well else found.failed).append(name)
        else:
            found.others.append(planned.item)

    def _refuse(
        self, item: Item, entry: Entry | None, error: OrchestrationError, found: Sorted
    ) -> None:
        """An item fails before its work begins."""
        if self._journal.is_being_done(entry):
            found.others.append(item)
            return
        if _has_failed(entry) and not (self._is_retried(entry) or self._is_redone(entry)):
            found.failed.append(item.name)
            return
        ending = Ending(item.name, "failed", 0.0, error=error)
        if self._record(item, ending, None):
            self._on_end(ending)
        else:
            found.others.append(item)

    def _record(self, item: Item, ending: Ending, check: Check | None) -> bool:
        attempt = self._journal.claim(item)
        if attempt is None:
            return False
        self._journal.finish(attempt, ending, None if check is None else check.seen)
        return True


def _has_failed(entry: Entry | None) -> bool:
    return isinstance(entry, Record) and entry.state == "failed"
