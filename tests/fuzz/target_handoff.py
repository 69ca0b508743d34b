"""The check between the stages, on the host: it sees a stranger's export before anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestration.errors import OrchestrationError
from orchestration.handoff import check_export
from tests.fuzz.target import DONE, INPUT


class HandoffTarget:
    """An export; damaged as stage 2's are."""

    def __init__(self, exports: Any) -> None:
        self.prepare = exports.prepare

    def run(self, folder: str) -> str:
        try:
            check_export(Path(folder, INPUT))
        except OrchestrationError as error:
            return type(error).__name__
        return DONE
