"""Which items of a batch are left, judged where jobs are submitted exactly as a run judges it."""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.batch.ending import Ending
from orchestration.batch.items import Item
from orchestration.batch.journal import Journal
from orchestration.batch.ledger import Ledger
from orchestration.batch.owner import BatchOwner, Heartbeat
from orchestration.batch.planned import Planner
from orchestration.batch.progress import describe, earlier_words
from orchestration.batch.settings import BatchFolder, BatchSettings
from orchestration.batch.sorting import Sorter
from orchestration.run_context import RunContext


def names_left(settings: BatchSettings, items: Sequence[Item], context: RunContext) -> set[str]:
    """Names of the items that a run would do, or wait for.

    The runtime is prepared, so that whatever its stages lack is told here and not by every job.
    Items that cannot be begun at all are recorded as failed.

    Raises:
        OrchestrationError: the runtime cannot run the items, or the ledger cannot be written.
    """
    notify = context.display.notify
    planner = Planner(items, context.runtime, notify)
    folder, owner = BatchFolder(settings.out), BatchOwner.current(context.environment)

    def tell(ending: Ending) -> None:
        context.display.problem(describe(ending))

    with Heartbeat(folder.owners, owner):
        journal = Journal(Ledger(folder, owner), owner)
        found = Sorter(settings, planner, journal, tell, notify).sort(items)
    if found.done or found.failed:
        notify(earlier_words(found))
    return {planned.item.name for planned in found.to_do} | {item.name for item in found.others}
