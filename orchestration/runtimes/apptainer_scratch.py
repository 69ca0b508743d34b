"""Folders for what Apptainer and a stage write while they run, and for nothing after."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from orchestration.runtimes.ownership import Owner, is_leftover, start_time

PREFIX = "tf1-to-torch-apptainer-"
_OWNER_FILE = "owner.json"
_WORK, _TEMPORARY = "work", "temporary"
_OWNER_RIGHTS = stat.S_IRWXU


class Scratch:
    """One stage's folder, for its /tmp and for an image that is unpacked.

    It lies where the caller lets Apptainer put large files, and says whose it is, so that the next
    run can remove what a killed one left.

    Args:
        environment: the caller's.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=scratch_parent(environment)))
        try:
            text = json.dumps(Owner.current().labels())
            (self.folder / _OWNER_FILE).write_text(text, encoding="utf-8")
            for folder in (self.work, self.temporary):
                folder.mkdir()
        except BaseException:
            self.remove()
            raise

    @property
    def work(self) -> Path:
        """What the stage sees as /tmp and /var/tmp lies here."""
        return self.folder / _WORK

    @property
    def temporary(self) -> Path:
        """Where Apptainer unpacks; it cannot tidy up when it is killed."""
        return self.folder / _TEMPORARY

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        _remove(self.folder)


def scratch_parent(environment: Mapping[str, str]) -> Path:
    """Where large temporary files go: APPTAINER_TMPDIR, TMPDIR, or the system's own folder."""
    for name in ("APPTAINER_TMPDIR", "TMPDIR"):
        if environment.get(name):
            return Path(environment[name])
    return Path(tempfile.gettempdir())


def remove_leftovers(environment: Mapping[str, str]) -> None:
    """Remove the folders whose process on this machine is certainly gone."""
    observer = Owner.current()
    for folder in scratch_parent(environment).glob(f"{PREFIX}*"):
        try:
            labels = json.loads((folder / _OWNER_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            # Another user's, or one that is being made.
            continue
        # As if it ran: the owner on another machine, which shares this folder, may well do so.
        if is_leftover(labels, True, observer, start_time):
            _remove(folder)


def _remove(folder: Path) -> None:
    """An unpacked image has folders that not even their owner may write to."""
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                os.chmod(path, _OWNER_RIGHTS)
    # What is gone already need not be removed.
    shutil.rmtree(folder, ignore_errors=True)
