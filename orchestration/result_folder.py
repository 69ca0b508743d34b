"""Results that appear whole or not at all: a temporary folder beside the result, then a rename."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from orchestration.errors import (
    DiskFull,
    OrchestrationError,
    OutputNotWritable,
    ResultExists,
)

_LOCK_NAME = "lock"
_NAME_BYTES = 100
_UNLOCKED_AGE_S = 60
_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Asked:
    """How something was asked for, for errors that tell what to do.

    Attributes:
        option: that names where it goes.
        room: how much room it takes.
    """

    option: str
    room: str


RESULT = Asked("--out", "A result needs about twice the size of the weights.")


class ResultFolder:
    """The folder in which a run makes its result.

    As a context manager: leaving it removes everything that was not published, also after
    Ctrl-C. A run that was killed outright leaves its folder behind; the lock inside tells the
    next run with the same output that nobody works there any more, and it is removed.

    Args:
        out: the result folder to publish.
        asked: the option that named it, and how much room it takes, for errors.

    Attributes:
        export: what stage 1 writes.
        result: what becomes the result folder.
        lock_descriptor: holds the lock; a child process that inherits it keeps the folder alive.
    """

    def __init__(self, out: Path, asked: Asked = RESULT) -> None:
        self.out = out
        self._asked = asked
        self._prefix = partial_prefix(out)
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
            with writing_to(self.out.parent, self._asked):
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
        """Rename `folder` (one of this object's, or a file in one) to the result.

        Args:
            replace: take the place of an earlier result, which is then deleted.

        Raises:
            ResultExists: something else has appeared there.
        """
        replaced = self.root / "replaced" if replace else None
        rename_into_place(folder, self.out, replaced, self._asked)

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


def partial_prefix(out: Path) -> str:
    """What the names of folders begin with, beside `out`, in which it is being made."""
    return f".{_shortened(out.name)}.partial-"


def rename_into_place(
    folder: Path, out: Path, replaced: Path | None, asked: Asked = RESULT
) -> None:
    """Make `folder` the result `out`, in one step.

    Args:
        folder: on the same file system; may be a file, where the result is one.
        out: the result folder.
        replaced: where an earlier result goes, to be deleted; None = there must be none.
        asked: how the result was asked for.

    Raises:
        ResultExists: something else has appeared there.
        DiskFull, OutputNotWritable: it cannot be renamed.
    """
    with uninterrupted(), writing_to(out.parent, asked):
        if replaced is not None and out.exists():
            out.rename(replaced)
        try:
            _rename_to_nothing(folder, out)
        except OSError as error:
            if replaced is not None and replaced.exists():
                replaced.rename(out)
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                detail = "It appeared while this run worked."
                raise result_exists(out, detail, asked) from error
            raise
        _sync_folder(out.parent)


def result_exists(out: Path, detail: str, asked: Asked = RESULT) -> ResultExists:
    """The error for an output that is taken."""
    return ResultExists(
        f"The output {out} exists already. {detail}",
        "What is there is never overwritten unasked.",
        f"Choose another place with {asked.option}, or replace what is there with --force.",
    )


@contextmanager
def writing_to(folder: Path, asked: Asked = RESULT) -> Iterator[None]:
    """Turn the operating system's refusals to write below `folder` into errors for people.

    Raises:
        DiskFull: no room, or the quota is used up.
        OutputNotWritable: anything else, such as missing permissions.
    """
    try:
        yield
    except OSError as error:
        raise write_error(folder, error, asked) from error


def write_error(folder: Path, error: OSError, asked: Asked = RESULT) -> OrchestrationError:
    """The error class for a refused write."""
    if error.errno in _FULL_ERRORS:
        return DiskFull(
            f"No room is left to write below {folder} ({error.strerror}).",
            asked.room,
            f"Free some space, or choose another disk with {asked.option}. Nothing was kept.",
        )
    return OutputNotWritable(
        f"The output cannot be written below {folder}: {error.strerror}.",
        "A folder was expected in which you may create files.",
        f"Choose another folder with {asked.option}.",
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


def _rename_to_nothing(made: Path, out: Path) -> None:
    """Rename; a file that is there already is an error, as a folder is that holds something."""
    if made.is_dir() or not os.path.lexists(out):
        made.rename(out)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(out))


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
