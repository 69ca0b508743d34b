"""The items of a batch: one conversion each, under a name that is its result's."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestration.settings import ConvertSettings


@dataclass(frozen=True)
class Item:
    """One conversion of a batch.

    Attributes:
        name: of its result folder, and of its records in the ledger.
        where: the row that asks for it, for people: "models.csv line 7".
        settings: those of the single command; `settings.out` is the batch's folder / `name`.
        size_bytes: of the checkpoint's files, a measure of the work.
    """

    name: str
    where: str = field(compare=False)
    settings: ConvertSettings
    size_bytes: int
