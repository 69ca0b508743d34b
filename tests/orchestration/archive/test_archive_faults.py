"""A full disk, a kill at any moment, a read-only source: nothing is lost, no half bag is one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestration.archive.folder_walk import walk_folder
from tests.orchestration.archive.made_result import (
    contents,
    make_result,
    says_bagit,
    unpack,
)
from tests.peak_memory import peak_memory_bytes

SMALL = "--without-program"
DISK_FULL, NOT_WRITABLE, RESULT_EXISTS = 23, 19, 11
ENDS_S = 60
NOBODY = 65534


@pytest.fixture(scope="module")
def large() -> bytes:
    """What takes a moment, compressed or not."""
    return os.urandom(48 << 20)


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[None]:
    """A file system on a folder; only root can do that."""
    if os.getuid() != 0:
        pytest.skip("only root mounts file systems")
    mount = subprocess.run(["mount", *arguments, folder], capture_output=True, check=False)
    if mount.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mount.stderr!r}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def leftovers(folder: Path) -> list[Path]:
    """Folders in which a bag is, or was, being made; they hold a lock before anything else."""
    return [path.parent for path in folder.glob(".*.partial-*/result")]


def looks_like_a_bag(path: Path) -> bool:
    if path.name.endswith(".zst"):
        return subprocess.run(["zstd", "-tq", path], check=False).returncode == 0
    return says_bagit(path)[0] == 0


def original_in(bag: Path, scratch: Path) -> bytes:
    """The checkpoint's large file in a bag that is valid."""
    folder = unpack(bag, scratch) if bag.name.endswith(".zst") else bag
    assert says_bagit(folder) == (0, "")
    return (folder / "data" / "original" / "m.data-0").read_bytes()


def written_bytes(folder: Path) -> int:
    """What has been written below a folder so far; what is renamed meanwhile does not count."""
    total_bytes = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total_bytes += os.stat(os.path.join(root, name)).st_size
            except FileNotFoundError:
                continue
    return total_bytes


@pytest.mark.parametrize("bag", ["x.bag", "x.bag.tar.zst"])
def test_a_kill_leaves_no_bag_and_the_next_run_sweeps(
    tmp_path: Path, large: bytes, bag: str
) -> None:
    made = make_result(tmp_path, {"m.index": b"i", "m.data-0": large})
    before = contents(tmp_path)
    for fraction in (0.0, 0.3, 0.7, 0.9):
        process = subprocess.Popen(made.command(bag, SMALL), cwd=tmp_path)
        end_s = time.monotonic() + ENDS_S
        while not leftovers(tmp_path) or (
            sum(map(written_bytes, leftovers(tmp_path))) < fraction * len(large)
        ):
            assert process.poll() is None
            assert time.monotonic() < end_s
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (tmp_path / bag).exists()
        (left,) = leftovers(tmp_path)
        made_so_far = left / (bag if bag.endswith(".zst") else "result")
        # The kill may come late, when only the name is missing: then all is there.
        if made_so_far.exists() and looks_like_a_bag(made_so_far):
            assert fraction > 0
            assert original_in(made_so_far, tmp_path / f"unpacked-{fraction}") == large
    run = made.archive(bag, SMALL)
    assert run.returncode == 0, run.stderr
    assert leftovers(tmp_path) == []
    assert original_in(tmp_path / bag, tmp_path / "unpacked") == large
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing(tmp_path: Path, large: bytes, number: signal.Signals) -> None:
    made = make_result(tmp_path, {"m.index": b"i", "m.data-0": large})
    process = subprocess.Popen(made.command("x.bag", SMALL), cwd=tmp_path)
    while not leftovers(tmp_path):
        assert process.poll() is None
    process.send_signal(number)
    assert process.wait() in (130, 128 + number)
    assert sorted(os.listdir(tmp_path)) == ["ckpt 2018", "unet-torch"]


@pytest.mark.parametrize("bag", ["x.bag", "x.bag.tar.zst"])
@pytest.mark.parametrize("room_kb", [8, 256, 900])
def test_a_full_disk_is_said_and_nothing_is_kept(tmp_path: Path, bag: str, room_kb: int) -> None:
    made = make_result(tmp_path, {"m.index": b"i", "m.data-0": os.urandom(1_000_000)})
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "-t", "tmpfs", "-o", f"size={room_kb}k", "none"):
        run = made.archive(disk / "deep" / bag, SMALL)
        assert run.returncode == DISK_FULL, run.stderr
        assert "--bag" in run.stderr
        assert list(disk.iterdir()) == []


@pytest.mark.parametrize("bag", ["x.bag", "x.bag.tar.zst"])
def test_sources_may_be_read_only(tmp_path: Path, bag: str) -> None:
    (tmp_path / "source").mkdir()
    made = make_result(tmp_path / "source")
    read_only = ("--bind", "-o", "ro", os.fspath(made.folder))
    with mounted(made.folder, *read_only):
        with pytest.raises(OSError, match="Read-only"):
            (made.result / "x").touch()
        run = made.archive(tmp_path / bag, SMALL, "--with-code", made.folder)
        assert run.returncode == 0, run.stderr
    folder = tmp_path / bag
    if bag.endswith(".zst"):
        folder = unpack(folder, tmp_path / "unpacked")
    assert says_bagit(folder) == (0, "")
    assert contents(folder / "data" / "original") == contents(made.checkpoint)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    made = make_result(tmp_path)
    (tmp_path / "file").touch()
    run = made.archive("file/x.bag", SMALL)
    assert run.returncode == NOT_WRITABLE
    assert "--bag" in run.stderr


@pytest.mark.parametrize("bag", ["x.bag", "x.bag.tar.zst"])
def test_a_bag_is_replaced_only_by_force_and_nothing_else_is(tmp_path: Path, bag: str) -> None:
    made = make_result(tmp_path)
    assert made.archive(bag, SMALL).returncode == 0
    before = contents(tmp_path)
    run = made.archive(bag, SMALL)
    assert run.returncode == RESULT_EXISTS
    assert "--force" in run.stderr
    assert contents(tmp_path) == before
    (made.result / "mapping.csv").chmod(0o600)
    assert made.archive(bag, SMALL, "--force").returncode == 0
    assert contents(tmp_path) == before
    other = tmp_path / f"other{bag[1:]}"
    if bag.endswith(".zst"):
        other.write_bytes(b"mine")
    else:
        other.mkdir()
        (other / "mine").touch()
    assert made.archive(other, SMALL, "--force").returncode == RESULT_EXISTS
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("bag", "exit_code"),
    [
        pytest.param("unet-torch", RESULT_EXISTS, id="the result itself"),
        pytest.param("ckpt 2018", RESULT_EXISTS, id="the checkpoint"),
        pytest.param("unet-torch/..", RESULT_EXISTS, id="a folder that holds both"),
        pytest.param("unet-torch/x.bag", NOT_WRITABLE, id="in the result"),
    ],
)
def test_a_bag_is_never_made_of_itself(tmp_path: Path, bag: str, exit_code: int) -> None:
    made = make_result(tmp_path)
    before = contents(tmp_path)
    assert made.archive(bag, SMALL, "--force").returncode == exit_code
    assert contents(tmp_path) == before


@pytest.mark.parametrize("bag", ["x.bag", "x.bag.tar.zst"])
def test_memory_stays_small_whatever_the_size(tmp_path: Path, bag: str) -> None:
    size_bytes = 1 << 28
    (tmp_path / "ckpt 2018").mkdir()
    with (tmp_path / "ckpt 2018" / "m.data-0").open("wb") as file:
        file.truncate(size_bytes)
    made = make_result(tmp_path, {"m.index": b"i"})
    command = made.command(bag, SMALL, "--quiet")
    assert peak_memory_bytes(command, tmp_path) < 150_000 * 1024


def test_what_may_not_be_read_is_named() -> None:
    # Below pytest's own folder, which is its user's alone, nobody else sees anything.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for inner in ("open", "shut"):
            (folder / inner).mkdir()
        for file in ("closed", "open/closed.py", "open/fine.py"):
            (folder / file).touch()
        for closed in ("closed", "open/closed.py", "shut"):
            (folder / closed).chmod(0)
        assert as_nobody(folder) == {
            "files": ["open/fine.py"],
            "unreadable": {
                "closed": "Permission denied",
                "open/closed.py": "Permission denied",
                "shut": "Permission denied",
            },
        }
        (folder / "shut").chmod(0o700)


def as_nobody(folder: Path) -> dict[str, object]:
    """What is found in a folder by a user without rights."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # Nothing is imported from here on: this user may not see this project.
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        found = walk_folder(folder)
        told = {"files": found.files, "unreadable": found.unreadable}
        os.write(writing, json.dumps(told).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answer:
        text = answer.read()
    assert os.waitpid(child, 0)[1] == 0
    told: dict[str, object] = json.loads(text)
    return told
