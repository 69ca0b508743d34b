"""Where the processes of a batch work, each in a folder of its own beside the results."""

from __future__ import annotations

import os
import shlex
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from orchestration.batch.files import read_object
from orchestration.batch.lane_folder import LaneFolder
from orchestration.batch.ledger import Ledger
from orchestration.batch.owner import BatchOwner, heartbeat_path, is_owner_id
from orchestration.batch.settings import BatchFolder
from orchestration.errors import OutputNotWritable
from orchestration.result_folder import writing_to


class WorkFolders:
    """This process's work folder, removed when it is left; those of dead processes go before.

    Args:
        folder: of the batch.
        ledger: tells who is dead.
        owner: this process, whose heartbeat is going.
    """

    def __init__(self, folder: BatchFolder, ledger: Ledger, owner: BatchOwner) -> None:
        self._folder = folder
        self._ledger = ledger
        self._own = folder.work / owner.id

    def __enter__(self) -> WorkFolders:
        with writing_to(self._folder.out):
            self._refuse_link()
            # Own first: another that leaves the common folder empty would take it away.
            self._make_own()
            self._remove_abandoned()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._own, ignore_errors=True)
        # The last one to leave takes the folder of folders away.
        with suppress(OSError):
            self._folder.work.rmdir()

    def of_lane(self, number: int) -> LaneFolder:
        """Where a lane works."""
        return LaneFolder(self._own / f"lane-{number}")

    def _refuse_link(self) -> None:
        """What lies behind a link is not this program's to remove, nor can it be renamed from."""
        work = self._folder.work
        if work.is_symlink():
            raise OutputNotWritable(
                f"{work} is a symbolic link.",
                "A folder of this program's own was expected, beside the results.",
                f"Remove the link, not what it leads to: `rm {shlex.quote(os.fspath(work))}`.",
            )

    def _make_own(self) -> None:
        """Make it; once more where the last of others has just taken the common folder away."""
        while not self._own.is_dir():
            with suppress(FileNotFoundError):
                self._own.mkdir(parents=True)

    def _remove_abandoned(self) -> None:
        for left in self._folder.work.iterdir():
            if not is_owner_id(left.name):
                continue
            heartbeat = heartbeat_path(self._folder.owners, left.name)
            if self._is_abandoned(heartbeat):
                shutil.rmtree(left, ignore_errors=True)
                heartbeat.unlink(missing_ok=True)

    def _is_abandoned(self, heartbeat: Path) -> bool:
        """Whether the process of a heartbeat's file is gone; without a file it has ended."""
        try:
            owner = BatchOwner.from_json(read_object(heartbeat))
        except FileNotFoundError:
            return True
        except ValueError:
            return False
        return self._ledger.is_lost(owner)
