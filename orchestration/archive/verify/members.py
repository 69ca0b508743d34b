"""What was found in a bag, whether it is a folder or a stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from orchestration.archive.verify.hashing import FileFound
from orchestration.archive.verify.verdicts import Fault

Progress = Callable[[int, int], None]
"""Takes how many bytes of how many have been read."""


@dataclass
class BagContent:
    """What was found in a bag.

    Attributes:
        folder: where its files lie on this machine: the bag itself, or where a stream was unpacked.
        files: path from the bag's own folder on -> file.
        faults: what is no file, cannot be read, or should not be there in any bag.
        is_whole: False where reading broke off, so that nothing is known of the rest.
        is_plain: False where links, devices or the like lie in it: no stage is to read from it.
        is_stream: some files were hashed and not unpacked.
    """

    folder: Path
    files: dict[str, FileFound] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    is_whole: bool = True
    is_plain: bool = True
    is_stream: bool = False

    def refuse(self, path: str, why: str) -> None:
        """Note something that no bag of this program holds."""
        self.is_plain = False
        self.faults.append(Fault(path, "unsafe", why))

    def broke_off(self, path: str, why: str) -> None:
        """Note that the rest is not known."""
        self.is_whole = False
        self.faults.append(Fault(path, "unreadable", why))
