"""An item that a lane works on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from orchestration.batch.done_check import Fingerprint
from orchestration.batch.generation import Generation
from orchestration.batch.item_log import ItemLog
from orchestration.batch.lane_folder import ItemFolder
from orchestration.batch.ledger import Attempt
from orchestration.batch.planned import PlannedItem
from orchestration.manifest import BackgroundDescription
from orchestration.stage_runs import Exported


@dataclass(eq=False)
class Work:
    """One attempt at one item, from its claim to its record.

    Attributes:
        planned: the item.
        attempt: the claim on it.
        folder: where its result is made.
        log: what is said meanwhile.
        seen: state of the checkpoint's files before they are read.
        started_s: `time.monotonic()` at its start.
        exported: what stage 1 made of it.
        files: the export's files, being hashed.
        load_record: what the manifest tells about stage 2.
        is_checked: stage 2 has looked at its options.
    """

    planned: PlannedItem
    attempt: Attempt
    folder: ItemFolder
    log: ItemLog
    seen: dict[str, Fingerprint]
    started_s: float = field(default_factory=time.monotonic)
    exported: Exported | None = None
    files: BackgroundDescription | None = None
    load_record: dict[str, Any] | None = None
    is_checked: bool = False
    _generation: Generation | None = None

    @property
    def name(self) -> str:
        """Of the item."""
        return self.planned.item.name

    @property
    def age_s(self) -> float:
        """How long ago it was begun."""
        return time.monotonic() - self.started_s

    @property
    def generation(self) -> Generation:
        """Whose workers do it."""
        assert self._generation is not None, "set when the item is begun"
        return self._generation

    @generation.setter
    def generation(self, generation: Generation) -> None:
        self._generation = generation
