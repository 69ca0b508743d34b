"""What all lanes of a batch share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestration.batch.ending import Ending
from orchestration.batch.journal import Journal
from orchestration.batch.memory_watch import MemoryWatch
from orchestration.batch.planned import PlannedItem
from orchestration.batch.queues import Queues
from orchestration.batch.settings import BatchSettings
from orchestration.batch.steps import Steps
from orchestration.runtimes.base import Runtime


@dataclass(frozen=True)
class LaneServices:
    """What all lanes share.

    Attributes:
        runtime: starts their workers.
        settings: of the batch.
        queues: what is to be done.
        journal: claims and records.
        steps: what the host does to an item between the stages and after them.
        memory: watches the workers.
        is_alone: no other lane is at work, so lack of memory is a failure.
        on_end: is told how each attempt ended; from any lane.
        on_others: is told which items other processes have; from any lane.
    """

    runtime: Runtime
    settings: BatchSettings
    queues: Queues
    journal: Journal
    steps: Steps
    memory: MemoryWatch
    is_alone: bool
    on_end: Callable[[PlannedItem, Ending], None]
    on_others: Callable[[PlannedItem], None]
