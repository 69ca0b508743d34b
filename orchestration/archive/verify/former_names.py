"""Files that lie in a bag under another name than they had: their names cannot be listed there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from orchestration.archive.layout import GIVEN, ORIGINAL, PAYLOAD, RENAMED, RESULT
from orchestration.archive.portable_names import read_renamed
from orchestration.archive.verify.bag_names import MOST_TAG_FILE_BYTES, why_unsafe
from orchestration.archive.verify.members import BagContent
from orchestration.result_folder import writing_to

# What stages and records know by name.
_NAMED: Final = tuple(f"{folder}/" for folder in (ORIGINAL, GIVEN, RESULT))


@dataclass(frozen=True)
class FormerNames:
    """Which files had other names.

    Attributes:
        now: former path -> path in the bag, both from the bag's folder on.
    """

    now: Mapping[str, str]

    @classmethod
    def read(cls, content: BagContent) -> FormerNames:
        """The bag's own list; empty where there is none.

        Raises:
            ValueError: it is no such list, or leads out of the bag.
        """
        found = content.files.get(RENAMED)
        if found is None:
            return cls({})
        if found.size_bytes > MOST_TAG_FILE_BYTES:
            raise ValueError(f"it has {found.size_bytes:,} bytes")
        listed = read_renamed((content.folder / RENAMED).read_bytes())
        now = {f"{PAYLOAD}/{former}": f"{PAYLOAD}/{path}" for path, former in listed.items()}
        wrong = [path for pair in now.items() for path in pair if why_unsafe(path) is not None]
        if wrong or len(now) != len(listed):
            raise ValueError(f"it leads out of the bag, or has a name twice: {wrong[:1]}")
        _check_places(now, content)
        return cls(now)

    def path(self, former: str) -> str:
        """Where a file lies in the bag that was called so."""
        return self.now.get(former, former)

    def with_former_names(self, content: BagContent, scratch: Path) -> Path:
        """A folder in which what stages read is called as it was: the bag, if nothing else is.

        Args:
            content: what is in the bag.
            scratch: an empty folder; gets links where the file system can, else copies.

        Raises:
            DiskFull, OutputNotWritable: it cannot be filled.
        """
        if not any(former.startswith(_NAMED) for former in self.now):
            return content.folder
        former = {path: name for name, path in self.now.items()}
        with writing_to(scratch):
            for path in _named(content):
                target = scratch / former.get(path, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                _put(content.folder / path, target)
        return scratch


def _check_places(now: Mapping[str, str], content: BagContent) -> None:
    """Raise ValueError where two files would have one name, or one a name that is a folder's."""
    former = {path: name for name, path in now.items()}
    names = [former.get(path, path) for path in content.files]
    taken = set(names)
    below = (parent for name in taken for parent in PurePosixPath(name).parents)
    if len(taken) < len(names) or any(os.fspath(parent) in taken for parent in below):
        raise ValueError("it gives a file the name that another file or a folder has")


def _named(content: BagContent) -> Iterator[str]:
    return (path for path in sorted(content.files) if path.startswith(_NAMED))


def _put(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        # It may be a link to another file of the bag, into which a copy would be written.
        raise
    except OSError:
        shutil.copyfile(source, target)
