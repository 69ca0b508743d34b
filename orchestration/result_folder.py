"""Results that appear whole or not at all: a temporary folder beside the result, then a rename."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from orchestration.errors import (
    DiskFull,
    OrchestrationError,
    OutputNotWritable,
    ResultExists,
    StageCrashed,
)

_LOCK_NAME = "lock"
_NAME_BYTES = 100
_UNLOCKED_AGE_S = 60
_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)


class ResultFolder:
    """The folder in which a run makes its result.

    As a context manager: leaving it removes everything that was not published, also after
    Ctrl-C. A run that was killed outright leaves its folder behind; the lock inside tells the
    next run with the same output that nobody works there any more, and it is removed.

    Args:
        out: the result folder to publish.

    Attributes:
        export: what stage 1 writes.
        result: what becomes the result folder.
        lock_descriptor: holds the lock; a child process that inherits it keeps the folder alive.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._prefix = f".{_shortened(out.name)}.partial-"
        self._made_parents: list[Path] = []
        self._root: Path | None = None
        self.lock_descriptor: int | None = None

    @property
    def root(self) -> Path:
        """The temporary folder itself."""
        assert self._root is not None, "use ResultFolder as a context manager"
        return self._root

    @property
    def export(self) -> Path:
        """Folder for stage 1's three files."""
        return self.root / "export"

    @property
    def result(self) -> Path:
        """Folder for what stage 2 writes; becomes the result folder."""
        return self.root / "result"

    @property
    def keep_open(self) -> tuple[int, ...]:
        """Descriptors for a child process to inherit: while it lives, the folder is in use."""
        return () if self.lock_descriptor is None else (self.lock_descriptor,)

    def __enter__(self) -> ResultFolder:
        try:
            with writing_to(self.out.parent):
                self._make_parents()
                self._reap()
                self._lock_new_root()
                for folder in (self.export, self.result):
                    folder.mkdir()
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clean_up()

    def _clean_up(self) -> None:
        with uninterrupted():
            if self._root is not None:
                shutil.rmtree(self._root, ignore_errors=True)
            if self.lock_descriptor is not None:
                os.close(self.lock_descriptor)
            if not self.out.exists():
                for parent in reversed(self._made_parents):
                    with suppress(OSError):
                        parent.rmdir()

    def publish(self, folder: Path, replace: bool) -> None:
        """Rename `folder` (one of this object's) to the result.

        Args:
            replace: take the place of an earlier result, which is then deleted.

        Raises:
            ResultExists: something else has appeared there.
        """
        rename_into_place(folder, self.out, self.root / "replaced" if replace else None)

    def _make_parents(self) -> None:
        missing = [parent for parent in self.out.parents if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir(exist_ok=True)
            self._made_parents.append(parent)

    def _lock_new_root(self) -> None:
        """Make the folder and lock it, before a run beside this one takes it for a leftover."""
        while True:
            root = Path(tempfile.mkdtemp(prefix=self._prefix, dir=self.out.parent))
            self._root = root
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            try:
                descriptor = os.open(root / _LOCK_NAME, flags, 0o600)
            except FileNotFoundError:
                continue
            if _try_lock(descriptor) and os.fstat(descriptor).st_nlink > 0:
                self.lock_descriptor = descriptor
                return
            os.close(descriptor)

    def _reap(self) -> None:
        """Remove the folders of killed runs that had the same output."""
        for leftover in self.out.parent.iterdir():
            if leftover.name.startswith(self._prefix) and not leftover.is_symlink():
                _remove_if_abandoned(leftover)


def rename_into_place(folder: Path, out: Path, replaced: Path | None) -> None:
    """Make `folder` the result `out`, in one step.

    Args:
        folder: on the same file system.
        out: the result folder.
        replaced: where an earlier result goes, to be deleted; None = there must be none.

    Raises:
        ResultExists: something else has appeared there.
        DiskFull, OutputNotWritable: it cannot be renamed.
    """
    with uninterrupted(), writing_to(out.parent):
        if replaced is not None and out.exists():
            out.rename(replaced)
        try:
            folder.rename(out)
        except OSError as error:
            if replaced is not None and replaced.exists():
                replaced.rename(out)
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise result_exists(out, "It appeared while this run worked.") from error
            raise
        _sync_folder(out.parent)


def result_exists(out: Path, detail: str) -> ResultExists:
    """The error for an output that is taken."""
    return ResultExists(
        f"The output {out} exists already. {detail}",
        "A result is never overwritten unasked.",
        "Choose another folder with --out, or replace the result with --force.",
    )


def take_over_from_stage(folder: Path) -> None:
    """Make what a stage wrote this process's own; the stage must have ended.

    The files get the modes that this process would give: containers have a umask of theirs. What
    is neither file nor folder is refused: through a link this process would write to a place of the
    stage's choice.

    Raises:
        StageCrashed: there is a link, a pipe or the like.
        OSError: a file belongs to somebody else.
    """
    umask = os.umask(0o077)
    os.umask(umask)
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise StageCrashed(
                f"A stage wrote {path.name!r}, which is neither file nor folder.",
                "Stages write plain files.",
                "Do not use this checkpoint: no stage does so by itself.",
            )
        path.chmod((0o777 if stat.S_ISDIR(mode) else 0o666) & ~umask)


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write below `folder` into errors for people.

    Raises:
        DiskFull: no room, or the quota is used up.
        OutputNotWritable: anything else, such as missing permissions.
    """
    try:
        yield
    except OSError as error:
        raise write_error(folder, error) from error


def write_error(folder: Path, error: OSError) -> OrchestrationError:
    """The error class for a refused write."""
    if error.errno in _FULL_ERRORS:
        return DiskFull(
            f"No room is left to write below {folder} ({error.strerror}).",
            "A result needs about twice the size of the weights.",
            "Free some space, or choose a folder on another disk with --out. Nothing was kept.",
        )
    return OutputNotWritable(
        f"The output cannot be written below {folder}: {error.strerror}.",
        "A folder was expected in which you may create files.",
        "Choose another folder with --out.",
    )


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM for the moment that publishing or cleaning up takes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def _remove_if_abandoned(folder: Path) -> None:
    try:
        descriptor = os.open(folder / _LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # Between a run's mkdir and its lock lie microseconds; long after, it was killed there.
        if time.time() - folder.stat().st_mtime > _UNLOCKED_AGE_S:
            shutil.rmtree(folder, ignore_errors=True)
        return
    except OSError:
        return  # another user's
    try:
        if _try_lock(descriptor):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _shortened(name: str) -> str:
    """`name` cut to a length that leaves room for the prefix in a file name of 255 bytes."""
    return os.fsencode(name)[:_NAME_BYTES].decode(errors="ignore")
