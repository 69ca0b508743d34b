"""What was found in a bag, whether it is a folder or a stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from orchestration.archive.bag.hashing import FileFound
from orchestration.archive.layout import MOST_FILES
from orchestration.archive.verify.bag_names import TAG_FILES
from orchestration.archive.verify.verdicts import Fault

Progress = Callable[[int, int], None]
"""Takes how many bytes of how many have been read."""


MOST_FOLDERS: Final = 1_000_000


@dataclass
class Count:
    """Counts what lies in a bag: the tables of a hostile one would not fit into memory.

    Attributes:
        most_files: of the payload and beside it, links and the like included.
        files: so many were there until now.
        folders: the same for folders.
    """

    most_files: int = MOST_FILES + len(TAG_FILES)
    files: int = 0
    folders: int = 0

    def add(self, is_folder: bool) -> str | None:
        """Count one more; gives what is wrong once there are too many."""
        if is_folder:
            self.folders += 1
        else:
            self.files += 1
        if self.files > self.most_files or self.folders > MOST_FOLDERS:
            return f"the bag holds more than {self.most_files:,} files, or {MOST_FOLDERS:,} folders"
        return None


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
        count: of files and folders.
    """

    folder: Path
    files: dict[str, FileFound] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    is_whole: bool = True
    is_plain: bool = True
    is_stream: bool = False
    count: Count = field(default_factory=Count)

    def refuse(self, path: str, why: str) -> None:
        """Note something that no bag of this program holds."""
        self.is_plain = False
        self.faults.append(Fault(path, "unsafe", why))

    def broke_off(self, path: str, why: str) -> None:
        """Note that the rest is not known."""
        self.is_whole = False
        self.faults.append(Fault(path, "unreadable", why))
