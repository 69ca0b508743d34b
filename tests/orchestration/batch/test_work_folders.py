"""Where a batch writes: nothing of anybody else's is removed or overwritten."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from orchestration.batch.files import write_text_over
from orchestration.batch.item_log import ItemLog
from orchestration.batch.ledger import Ledger
from orchestration.batch.owner import BatchOwner, Heartbeat
from orchestration.batch.settings import BatchFolder
from orchestration.batch.work_folders import WorkFolders
from orchestration.errors import OutputNotWritable

DEAD = "0123456789abcdef"


@pytest.fixture
def enter(tmp_path: Path) -> Iterator[Callable[[], WorkFolders]]:
    folder, owner = BatchFolder(tmp_path / "out"), BatchOwner.current({})
    with Heartbeat(folder.owners, owner):
        ledger = Ledger(folder, owner)
        yield lambda: WorkFolders(folder, ledger, owner)


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        pytest.param([f"{DEAD}/lane-0/reading"], [], id="a-dead-process-s"),
        pytest.param(["photos/2019"], ["photos/2019"], id="a-stranger-s"),
        pytest.param([f"{DEAD}0/x", f"{DEAD}/y"], [f"{DEAD}0/x"], id="longer-than-an-id"),
    ],
)
@pytest.mark.parametrize("is_link", [False, True], ids=["folder", "link"])
def test_only_work_folders_are_removed(
    tmp_path: Path,
    enter: Callable[[], WorkFolders],
    names: list[str],
    kept: list[str],
    is_link: bool,
) -> None:
    work = tmp_path / "out" / ".work"
    place = tmp_path / "elsewhere" if is_link else work
    for name in names:
        (place / name).mkdir(parents=True)
    if is_link:
        work.symlink_to(place)
    refusal = pytest.raises(OutputNotWritable, match="is a symbolic link")
    with refusal if is_link else nullcontext(), enter():
        assert not is_link
    for name in names:
        assert (place / name).is_dir() is (is_link or name in kept)


@pytest.mark.parametrize("make", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_a_log_is_not_written_through_a_link(
    tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    precious = tmp_path / "profile"
    precious.write_text("precious")
    make(precious, tmp_path / "item.1.log")
    log = ItemLog(tmp_path / "item.1.log")
    log.text("load", "said \x1b[2J")
    log.close()
    assert precious.read_text() == "precious"
    assert log.path.read_text() == "load| said \\x1b[2J\n"


def test_a_log_has_an_end(tmp_path: Path) -> None:
    log = ItemLog(tmp_path / "item.1.log")
    for _ in range(100):
        log.text("extract", "\x1b" * 65_536)
    for _ in range(600_000):
        log.text("extract", "")
    log.close()
    assert log.path.stat().st_size < 4_200_000


def test_a_script_may_name_a_folder_that_is_no_utf_8(tmp_path: Path) -> None:
    write_text_over(tmp_path / "job.sbatch", "cd /data/M\udcfcller\n")
    assert (tmp_path / "job.sbatch").read_bytes() == b"cd /data/M\xfcller\n"
