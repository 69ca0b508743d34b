"""Everything that is wrong with an items file, told at once."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass, field

from orchestration.errors import BadItems

MOST_SHOWN = 50
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200
_SHORT.maxlist = _SHORT.maxdict = 10


@dataclass
class Problems:
    """Collects what is wrong with rows; the first ones are told, the others counted.

    Attributes:
        source: the file or glob, for people.
        lines: what to tell, one line a problem.
        count: of all problems.
    """

    source: str
    lines: list[str] = field(default_factory=list)
    count: int = 0

    @property
    def is_full(self) -> bool:
        """Whether a further problem would be counted only: its words need not be found."""
        return len(self.lines) >= MOST_SHOWN

    def add(self, where: str, happened: str, expected: str, remedy: str) -> None:
        """Note a problem in the three parts that an error has."""
        self.count += 1
        if not self.is_full:
            self.lines.append(f"{where}: {happened} {expected} {remedy}")

    def count_one(self) -> None:
        """Note a problem without words."""
        self.count += 1

    def raise_if_any(self) -> None:
        """End the reading of the items.

        Raises:
            BadItems: there was a problem.
        """
        if not self.count:
            return
        rest = self.count - len(self.lines)
        lines = [*self.lines, f"… and {rest:,} more."] if rest else self.lines
        mistakes = "mistake" if self.count == 1 else "mistakes"
        raise BadItems(
            f"{self.source} has {self.count:,} {mistakes}:"
            + "".join(f"\n    {line}" for line in lines),
            "Each item was expected to name a checkpoint that is there, and options of the single"
            " command with values that it takes.",
            "Mend them all, and run the command again; nothing has been started.",
        )


def shortened(value: object) -> str:
    """A value for a message, quoted, not longer than a few lines."""
    return _SHORT.repr(value)
