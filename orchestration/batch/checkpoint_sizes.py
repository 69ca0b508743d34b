"""Whether checkpoints are there, and how large: each folder is listed once for all of them."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

from orchestration.run_paths import CheckpointPath, checkpoint_missing, find_checkpoint

# Names of files that are compared with those of missing checkpoints, in all: a second or two.
_MOST_COMPARED = 60_000


class CheckpointSizes:
    """Looks for checkpoints; one object for one reading of an items file."""

    def __init__(self) -> None:
        self._names: dict[Path, list[str]] = {}
        self._compared = 0

    def size_bytes(self, checkpoint: Path) -> int:
        """Size of the files that may belong to a checkpoint: a measure of the work, no more.

        Args:
            checkpoint: a folder, a prefix or a file, from the root.

        Raises:
            CheckpointMissing: nothing of that name exists.
        """
        if not os.path.isdir(checkpoint):
            files = list(self._files(checkpoint))
            if files:
                return sum(map(_size_bytes, files))
            names = self._listing(checkpoint.parent)
            if names:
                self._compared += len(names)
                near = names if self._compared <= _MOST_COMPARED else []
                raise checkpoint_missing(checkpoint, checkpoint.parent, near)
        return sum(map(_size_bytes, find_checkpoint(checkpoint).files()))

    def is_there(self, checkpoint: Path) -> bool:
        """Whether anything of a checkpoint is there, without a word about what is near."""
        return os.path.exists(checkpoint) or any(self._files(checkpoint))

    def _files(self, checkpoint: Path) -> Iterator[Path]:
        """Files beside each other that a prefix, or one of them, stands for."""
        folder, stem = checkpoint.parent, CheckpointPath(checkpoint.parent, checkpoint.name).stem
        if not stem:
            return
        names = self._listing(folder)
        for start in (f"{stem}-", f"{stem}."):
            for index in range(bisect_left(names, start), len(names)):
                if not names[index].startswith(start):
                    break
                yield folder / names[index]
        if checkpoint.name == stem and _has(names, stem):
            yield checkpoint

    def _listing(self, folder: Path) -> list[str]:
        if folder not in self._names:
            try:
                self._names[folder] = sorted(os.listdir(folder))
            except OSError:
                self._names[folder] = []
        return self._names[folder]


def _has(names: list[str], name: str) -> bool:
    index = bisect_left(names, name)
    return index < len(names) and names[index] == name


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
