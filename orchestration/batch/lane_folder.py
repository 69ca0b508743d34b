"""Where a lane works: one folder a stage writes to, and one of what the next stage reads."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from orchestration.result_folder import rename_into_place, writing_to


@dataclass(frozen=True)
class LaneFolder:
    """The folders of one lane, on the file system of the results.

    Attributes:
        root: this lane's alone.
    """

    root: Path

    @property
    def reading(self) -> Path:
        """Stage 1 writes here, and sees nothing of what becomes of it afterwards."""
        return self.root / "reading"

    @property
    def exports(self) -> Path:
        """Exports that were checked; stage 2 reads them."""
        return self.root / "exports"

    @property
    def results(self) -> Path:
        """Stage 2 writes here."""
        return self.root / "results"

    @property
    def replaced(self) -> Path:
        """Earlier results, for the moment in which new ones take their place."""
        return self.root / "replaced"

    def make(self) -> None:
        """Make the folders.

        Raises:
            DiskFull, OutputNotWritable: they cannot be made.
        """
        with writing_to(self.root.parent):
            for folder in (self.reading, self.exports, self.results, self.replaced):
                folder.mkdir(parents=True, exist_ok=True)


class ItemFolder:
    """Where one item's result is made; see `publishing.WorkFolder`.

    Args:
        lane: the lane's folders.
        name: of the item.
        out: the result folder to publish.

    Attributes:
        aside: where an earlier result is kept that is replaced; None = it is deleted.
    """

    def __init__(self, lane: LaneFolder, name: str, out: Path) -> None:
        self.out = out
        self.reading = lane.reading / name
        self.export = lane.exports / name
        self.result = lane.results / name
        self.aside: Path | None = None
        self._replaced = lane.replaced / name

    def make(self) -> None:
        """Make the empty folders that the stages write to; what an earlier try left is removed.

        Raises:
            DiskFull, OutputNotWritable: they cannot be made.
        """
        self.remove()
        with writing_to(self.out.parent):
            for folder in (self.reading, self.result):
                folder.mkdir()

    def keep_export(self) -> None:
        """Take a finished export out of stage 1's sight."""
        with writing_to(self.out.parent):
            self.reading.rename(self.export)

    def publish(self, folder: Path, replace: bool) -> None:
        """Rename `folder` to the result.

        Raises:
            ResultExists: something else has appeared there.
            DiskFull, OutputNotWritable: it cannot be renamed.
        """
        if replace and self.aside is not None:
            with writing_to(self.out.parent):
                self.aside.parent.mkdir(parents=True, exist_ok=True)
        rename_into_place(folder, self.out, self.aside or self._replaced if replace else None)

    def remove(self) -> None:
        """Remove what was not published."""
        for folder in (self.reading, self.export, self.result, self._replaced):
            shutil.rmtree(folder, ignore_errors=True)
