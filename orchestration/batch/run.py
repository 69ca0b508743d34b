"""Runs the items of a batch on this machine: each once, none harmed by another."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import takewhile

from orchestration.batch.items import Item
from orchestration.batch.journal import Journal
from orchestration.batch.ledger import Ledger
from orchestration.batch.memory import LANE_BYTES, plan_lanes
from orchestration.batch.owner import BatchOwner, Heartbeat
from orchestration.batch.planned import PlannedItem, Planner
from orchestration.batch.progress import BatchProgress
from orchestration.batch.rounds import Leftovers, Rounds
from orchestration.batch.settings import BatchFolder, BatchSettings
from orchestration.batch.sorting import Sorted, Sorter
from orchestration.batch.steps import Steps
from orchestration.batch.stopping import stopping_on_signals
from orchestration.batch.summary import write_summaries
from orchestration.batch.work_folders import WorkFolders
from orchestration.errors import (
    EXIT_ITEMS_LEFT,
    EXIT_OK,
    EXIT_SOME_FAILED,
    OrchestrationError,
)
from orchestration.result_folder import writing_to
from orchestration.run_context import RunContext

_LOOK_AGAIN_S = 2.0


@dataclass(frozen=True)
class BatchOutcome:
    """What a batch came to.

    Attributes:
        done: items with a result that nothing speaks against, earlier runs' too.
        failed: items without one.
        left: items that are still to be done.
        own: items that this run itself has brought to an end.
        stopped_by: number of the signal that ended the run early, or None.
    """

    done: int
    failed: int
    left: int
    own: int = 0
    stopped_by: int | None = None

    @property
    def exit_code(self) -> int:
        """All well, some failed, or some left."""
        if self.left:
            return EXIT_ITEMS_LEFT
        return EXIT_SOME_FAILED if self.failed else EXIT_OK


def run_batch(settings: BatchSettings, items: Sequence[Item], context: RunContext) -> BatchOutcome:
    """Do all items that are not done.

    Raises:
        OrchestrationError: the batch cannot go on; what was done is done, and the rest is left.
    """
    folder = BatchFolder(settings.out)
    planner = Planner(items, context.runtime, context.display.notify)
    context.runtime.reap()
    owner = BatchOwner.current(context.environment)
    with writing_to(folder.out):
        folder.logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as entered:
        stop = entered.enter_context(stopping_on_signals())
        # Last, when this process is none of those at work any more.
        entered.enter_context(_ending_with_summary(folder))
        entered.enter_context(Heartbeat(folder.owners, owner))
        ledger = Ledger(folder, owner)
        journal = Journal(ledger, owner)
        with WorkFolders(folder, ledger, owner) as folders:
            steps = Steps(folder, journal, context)
            progress = BatchProgress(context.display, len(items))
            sorter = Sorter(settings, planner, journal, progress.ended, context.display.notify)
            runtime = context.runtime
            rounds = Rounds(settings, runtime, journal, steps, folders, progress, stop)
            return Batch(items, sorter, rounds, context).run()


@contextmanager
def _ending_with_summary(folder: BatchFolder) -> Iterator[None]:
    """Tell what became of all items, also where the batch cannot go on."""
    try:
        yield
    except OrchestrationError:
        # Why it cannot matters more than that this cannot be written, either.
        with suppress(OrchestrationError):
            write_summaries(folder)
        raise
    write_summaries(folder)


class Batch:
    """The rounds of a batch.

    Args:
        items: all of it.
        sorter: tells what is to be done of it.
        rounds: does it.
        context: of the command.
    """

    def __init__(
        self, items: Sequence[Item], sorter: Sorter, rounds: Rounds, context: RunContext
    ) -> None:
        self._items = items
        self._sorter = sorter
        self._rounds = rounds
        self._context = context

    def run(self) -> BatchOutcome:
        """Do what is to be done; what others do is waited for."""
        progress = self._rounds.progress
        found = self._sort(self._items)
        progress.begin(found)
        waiting = self._do(found)
        while waiting and not self._rounds.stop.is_made:
            self._wait(waiting)
            found = self._sort(waiting)
            progress.found(found)
            waiting = self._do(found)
        tally = progress.tally
        left, stopped_by = tally.total - tally.ended, self._rounds.stop.signal_number
        return BatchOutcome(tally.done, tally.failed, left, tally.own, stopped_by)

    def _sort(self, items: Iterable[Item]) -> Sorted:
        """Look at items, as long as nothing asks for the end: results may have to be hashed."""
        stop = self._rounds.stop
        return self._sorter.sort(takewhile(lambda _: not stop.is_made, items))

    def _do(self, found: Sorted) -> list[Item]:
        """Do items on all lanes, and what lacked memory beside others alone.

        Returns:
            What other processes have.
        """
        left = self._round(found.to_do)
        alone = [] if self._rounds.stop.is_made else left.alone
        last = self._round(alone, is_alone=True)
        return [*found.others, *left.others, *last.others]

    def _round(self, items: Sequence[PlannedItem], *, is_alone: bool = False) -> Leftovers:
        if not items or self._rounds.stop.is_made:
            return Leftovers()
        settings = self._rounds.settings
        sizes_bytes = [planned.item.size_bytes for planned in items]
        lanes = plan_lanes(
            settings.jobs, settings.memory_bytes, sizes_bytes, self._context.environment
        )
        if is_alone:
            lanes = replace(lanes, count=1, reason="these lacked memory beside others")
        self._say_lanes(len(items), lanes.count, lanes.reason)
        self._say_shortage(lanes.budget_bytes)
        return self._rounds.run(items, lanes, is_alone=is_alone)

    def _say_lanes(self, items: int, count: int, reason: str) -> None:
        noun = "item" if items == 1 else "items"
        lanes = "one at a time" if count == 1 else f"{count} at once"
        self._context.display.notify(f"{items} {noun} to do, {lanes} ({reason})")

    def _say_shortage(self, budget_bytes: int) -> None:
        if budget_bytes < LANE_BYTES:
            self._context.display.notify(
                f"Warning: an item takes about {LANE_BYTES / 1e9:.1f} GB, TensorFlow and torch"
                " included. Where workers, or the whole task, are killed: ask for more memory"
                " (--memory-gb, or --mem of Slurm's)."
            )

    def _wait(self, items: Iterable[Item]) -> None:
        """Wait until another process may have come to the end of an item, or to its own."""
        names = [item.name for item in items]
        journal, stop = self._rounds.journal, self._rounds.stop
        self._context.display.notify(
            f"Waiting for what other processes do: {len(names)}, the first is {names[0]}"
        )
        while not stop.is_made:
            journal.look_again()
            if any(not journal.is_being_done(journal.entry(name)) for name in names):
                return
            time.sleep(_LOOK_AGAIN_S)
