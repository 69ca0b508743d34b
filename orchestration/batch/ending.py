"""How an attempt at an item ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestration.errors import (
    OrchestrationError,
    OutOfMemory,
    StageFailed,
    error_name,
)

EndState = Literal["done", "skipped", "failed", "released"]
# A stage's own word for a graphics card that is full.
_CARD_IS_FULL = "DeviceOutOfMemory"
_CONCERN_ALL = ("DiskFull", "OutputNotWritable")


@dataclass(frozen=True)
class Ending:
    """What came of one attempt.

    Attributes:
        name: of the item.
        state: "skipped" = the result was there, though no record told of it; "released" = given
            back, to be done later.
        seconds: from its start.
        manifest: of its result, if it is done.
        error: why it has no result.
        log: where what the stages said is kept, relative to the output folder, if they said
            anything.
    """

    name: str
    state: EndState
    seconds: float
    manifest: Mapping[str, Any] = field(default_factory=dict)
    error: OrchestrationError | None = None
    log: str | None = None

    @property
    def verdict(self) -> str | None:
        """What the proof said of a result."""
        return self.manifest["load"]["result"]["verdict"] if self.manifest else None

    @property
    def is_well(self) -> bool:
        """Whether there is a result, and nothing speaks against it."""
        return self.state in ("done", "skipped") and self.verdict != "failed"

    @property
    def error_name(self) -> str | None:
        """Class of the error, as it is printed."""
        return None if self.error is None else error_name(self.error)


def concerns_all_items(error: OrchestrationError) -> bool:
    """Whether the next item would have no better luck, so that the batch ends."""
    return error_name(error) in _CONCERN_ALL


def wants_memory(error: OrchestrationError) -> bool:
    """Whether more memory might be all that an item lacked."""
    is_card = isinstance(error, StageFailed) and error.class_name == _CARD_IS_FULL
    return is_card or isinstance(error, OutOfMemory)
