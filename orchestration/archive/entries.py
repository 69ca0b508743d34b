"""What goes into a bag's payload, one entry a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One file of the payload.

    Attributes:
        path: where it goes, below `data/`.
        source: the file, or its content.
        size_bytes: of it.
        may_link: this program wrote it, and nobody writes into it again: a bag on the same file
            system may hold it as a hard link.
        sha256: what its record says, in hexadecimal digits; None without a record.
        was: what it is called where it comes from, for people.
    """

    path: str
    source: Path | bytes
    size_bytes: int
    may_link: bool = False
    sha256: str | None = None
    was: str = ""


@dataclass(frozen=True)
class Contents:
    """What goes into a bag.

    Attributes:
        entries: sorted by path.
        renamed: path in the bag, below `data/` -> former path; what a bag could not list.
        left_out: path that it would have below `data/` -> why it is not in the bag.
        code_commit: commit of the old training code, if its folder is a checkout of git.
    """

    entries: tuple[Entry, ...]
    renamed: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    code_commit: str | None = None

    @property
    def size_bytes(self) -> int:
        """Of all entries together."""
        return sum(entry.size_bytes for entry in self.entries)

    def below(self, folder: str) -> list[Entry]:
        """Entries in a folder of `data/`."""
        return [entry for entry in self.entries if entry.path.startswith(f"{folder}/")]
