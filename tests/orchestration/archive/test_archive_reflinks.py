"""On a file system that can share blocks, a bag takes no second copy of anything large."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.archive.bag.folder import sync_file_system
from tests.orchestration.archive.made_result import contents, make_result, says_bagit

DISK_BYTES = 160 << 20
LARGE_BYTES = 40 << 20


@pytest.fixture
def btrfs(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own with such a file system."""
    program = shutil.which("mkfs.btrfs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None or os.getuid() != 0:
        pytest.skip("needs root and mkfs.btrfs")
    image, disk = tmp_path / "disk.img", tmp_path / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run([program, "--quiet", image], check=True)
    mount = subprocess.run(["mount", "-o", "loop", image, disk], capture_output=True, check=False)
    if mount.returncode != 0:
        pytest.skip(f"it cannot be mounted here: {mount.stderr!r}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def used_bytes(folder: Path) -> int:
    sync_file_system(folder)
    return shutil.disk_usage(folder).used


def test_originals_share_their_blocks_and_stay_their_owners(btrfs: Path) -> None:
    large = os.urandom(LARGE_BYTES)
    made = make_result(btrfs, {"m.index": b"i", "m.data-0": large})
    before_bytes = used_bytes(btrfs)
    run = made.archive("x.bag", "--without-program", "--with-code", made.checkpoint)
    assert run.returncode == 0, run.stderr
    # Twice in the bag, and not even once more on the disk.
    assert used_bytes(btrfs) - before_bytes < LARGE_BYTES // 4
    bag = btrfs / "x.bag"
    assert says_bagit(bag) == (0, "")
    kept = bag / "data" / "original" / "m.data-0"
    assert kept.stat().st_nlink == 1
    assert kept.stat().st_ino != (made.checkpoint / "m.data-0").stat().st_ino
    # Whoever goes on working with the original does not change the bag.
    with (made.checkpoint / "m.data-0").open("r+b") as file:
        file.write(b"worked on")
    with (made.result / "model.safetensors").open("r+b") as file:
        file.write(b"worked on")
    assert says_bagit(bag) == (0, "")
    assert contents(bag / "data" / "code")["m.data-0"] == large
