"""Results appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from orchestration.errors import DiskFull, OutputNotWritable, ResultExists
from orchestration.result_folder import ResultFolder, write_error


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_published_folder_is_all_that_remains(tmp_path):
    with ResultFolder(tmp_path / "out") as folder:
        (folder.result / "file").write_text("x")
        assert names(tmp_path) != ["out"]
        folder.publish(folder.result, replace=False)
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out" / "file").read_text() == "x"


def test_an_exception_leaves_nothing(tmp_path):
    def interrupted() -> None:
        with ResultFolder(tmp_path / "a" / "out") as folder:
            (folder.result / "file").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == []


def test_a_result_that_appears_meanwhile_is_not_overwritten(tmp_path):
    with ResultFolder(tmp_path / "out") as folder:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "theirs").write_text("x")
        with pytest.raises(ResultExists, match="appeared"):
            folder.publish(folder.result, replace=False)
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["theirs"]


def test_replacing_keeps_the_earlier_result_if_the_rename_fails(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "earlier").write_text("x")
    with ResultFolder(tmp_path / "out") as folder, pytest.raises(OutputNotWritable):
        folder.publish(folder.root / "missing", replace=True)
    assert names(tmp_path / "out") == ["earlier"]


@pytest.mark.parametrize(
    ("age_s", "kept"),
    [
        # Another run may be between its mkdir and its lock right now.
        pytest.param(0, True, id="young"),
        pytest.param(3600, False, id="old"),
    ],
)
def test_a_leftover_without_a_lock(tmp_path, age_s, kept):
    leftover = tmp_path / ".out.partial-x"
    leftover.mkdir()
    then = leftover.stat().st_mtime - age_s
    os.utime(leftover, (then, then))
    with ResultFolder(tmp_path / "out"):
        assert leftover.exists() is kept


def test_folders_of_other_outputs_are_left_alone(tmp_path):
    other = tmp_path / ".other.partial-x"
    other.mkdir()
    (other / "lock").write_text("")
    link = tmp_path / ".out.partial-link"
    link.symlink_to(other)
    with ResultFolder(tmp_path / "out"):
        pass
    assert names(tmp_path) == [".other.partial-x", ".out.partial-link"]


def test_the_lock_goes_with_a_child_that_inherits_it(tmp_path):
    with ResultFolder(tmp_path / "out") as folder:
        assert folder.keep_open == (folder.lock_descriptor,)
        copy = os.dup(folder.lock_descriptor)
        os.makedirs(tmp_path / "moved")
        folder.root.rename(tmp_path / "moved" / ".out.partial-y")
    # The owner is gone, the copy holds the lock: as an orphaned stage would.
    with ResultFolder(tmp_path / "moved" / "out"):
        assert (tmp_path / "moved" / ".out.partial-y").exists()
    os.close(copy)
    with ResultFolder(tmp_path / "moved" / "out"):
        assert not (tmp_path / "moved" / ".out.partial-y").exists()


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EACCES, OutputNotWritable),
        (errno.EROFS, OutputNotWritable),
    ],
)
def test_refused_writes_have_their_class(tmp_path, number, kind):
    error = write_error(tmp_path, OSError(number, os.strerror(number)))
    assert type(error) is kind
    assert str(tmp_path) in error.happened
