"""Tells an error that speaks of the bag from one that speaks of this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from orchestration.archive.verify.verdicts import Fault, Link, Verdict, judged, not_checked
from orchestration.errors import (
    CorruptCheckpoint,
    ExportInvalid,
    ImageUnusable,
    NotReproduced,
    OrchestrationError,
    StageFailed,
    error_name,
    exit_code_of,
)

_OF_THE_BAG: Final = (CorruptCheckpoint, ExportInvalid, ImageUnusable, NotReproduced)
# Reported by a stage of itself or of the machine.
_OF_THE_MACHINE: Final = frozenset(
    {"DeviceOutOfMemory", "DeviceUnavailable", "DiskFull", "JobInvalid", "OutputNotWritable"}
)


class Guard:
    """Does the work of links, and turns its errors into verdicts.

    Attributes:
        hindrance: exit code of the first error that kept a link from being checked, or None.
    """

    def __init__(self) -> None:
        self.hindrance: int | None = None

    def part(self, link: Link, shown: str, action: Callable[[], object]) -> Verdict | None:
        """Do a part of a link's work.

        Args:
            link: whose.
            shown: path of what is wrong, if the bag is at fault.
            action: the work.

        Returns:
            A verdict where it cannot be done, else None.
        """
        try:
            action()
        except OrchestrationError as error:
            told = f"{error_name(error)}: {error.happened} {error.expected}"
            if _says_something_of_the_bag(error):
                return judged(link, [Fault(shown, "contradicted", told)], "could not be made again")
            self.hindrance = self.hindrance or exit_code_of(error)
            return not_checked(link, told, [error.remedy])
        return None

    def verdict(self, link: Link, shown: str, action: Callable[[], Verdict]) -> Verdict:
        """Do all of a link's work; the arguments are those of `part`."""
        found: list[Verdict] = []
        failed = self.part(link, shown, lambda: found.append(action()))
        return found[0] if failed is None else failed


def _says_something_of_the_bag(error: OrchestrationError) -> bool:
    if isinstance(error, StageFailed):
        return error.class_name not in _OF_THE_MACHINE
    return isinstance(error, _OF_THE_BAG)
