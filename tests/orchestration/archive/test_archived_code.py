"""The old training code in a bag: what of its folder is kept, and what is told of the rest."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from orchestration.archive.program_files import git_commit
from tests.orchestration.archive.made_result import (
    Made,
    contents,
    make_result,
    says_bagit,
    unpack,
)

SMALL = "--without-program"


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_result(tmp_path)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "old repo"
    for name in ("train.py", "nets/unet.py", "only.pyc", "data/shared/x.csv"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def archived(made: Made, code: Path) -> tuple[set[str], str]:
    """Names of what was kept, and what was said."""
    run = made.archive("x.bag", SMALL, "--with-code", code)
    assert run.returncode == 0, run.stderr
    bag = made.folder / "x.bag"
    assert says_bagit(bag) == (0, "")
    readme = (bag / "README.md").read_text(encoding="utf-8")
    return set(contents(bag / "data" / "code")), run.stderr + readme


def test_caches_environments_and_history_are_passed_over(made: Made, code: Path) -> None:
    before = set(contents(code))
    for name in (
        *(".git/objects/ab/cd", "nets/.git", "__pycache__/train.cpython-37.pyc", "train.pyc"),
        *("env/pyvenv.cfg", "env/lib/x.py", "build/CACHEDIR.TAG", "build/x", ".hg/store"),
    ):
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_bytes(b"")
    names, said = archived(made, code)
    assert names == before
    assert "Left out" not in said


def test_links_that_lead_out_and_what_is_no_file_are_left_out_and_said(
    made: Made, code: Path
) -> None:
    (code / "out").symlink_to("/etc/passwd")
    (code / "up").symlink_to("..")
    (code / "nowhere").symlink_to("gone")
    (code / "inside").symlink_to("data/shared")
    (code / "same.py").symlink_to("train.py")
    os.mkfifo(code / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(code / "socket"))
    names, said = archived(made, code)
    assert names == {"train.py", "nets/unet.py", "only.pyc", "data/shared/x.csv", "same.py"}
    for name, why in {
        "out": "a link that leads out, to /etc/passwd",
        "up": "a link that leads out, to ..",
        "nowhere": "a link that leads nowhere",
        "inside": "a link to the folder data/shared",
        "pipe": "a pipe, socket or device",
        "socket": "a pipe, socket or device",
    }.items():
        assert f"Left out: code/{name}, {why}" in said
        assert f"- `code/{name}`: {why}" in said


def test_links_in_a_circle_have_an_end(made: Made, code: Path) -> None:
    (code / "one").symlink_to("two")
    (code / "two").symlink_to("one")
    (code / "self").symlink_to(".")
    names, said = archived(made, code)
    assert "train.py" in names
    assert "Left out: code/one" in said
    assert "Left out: code/self" in said


def test_a_bag_in_the_folder_of_the_code_does_not_hold_itself(made: Made, code: Path) -> None:
    for name in ("x.bag", "x.bag.tar.zst"):
        for more in ([], ["--force"]):
            run = made.archive(code / name, SMALL, "--with-code", code, *more)
            assert run.returncode == 0, run.stderr
    # The second bag holds the first, of another name.
    unpacked = unpack(code / "x.bag.tar.zst", made.folder / "unpacked")
    for bag in (code / "x.bag", unpacked):
        names = set(contents(bag / "data" / "code"))
        assert "train.py" in names
        assert not [name for name in names if "x.bag.tar" in name or "partial" in name]


def test_the_commit_is_told(made: Made, code: Path) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.org"]
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", "-C", code, *command], check=True)
    commit = git_commit(code)
    answer = subprocess.run(
        ["git", "-C", code, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert commit == answer.stdout.strip()
    for command in (["pack-refs", "--all"], ["checkout", "-q", "--detach"]):
        subprocess.run(["git", "-C", code, *command], check=True)
        assert git_commit(code) == commit
    _, said = archived(made, code)
    assert f"`{commit}`" in said
