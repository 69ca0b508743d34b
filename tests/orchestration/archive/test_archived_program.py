"""Which files of this program a bag holds; and it runs from there, and leaves the bag as it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.archive.program_files import program_files
from tests.orchestration.archive.made_result import REPOSITORY, contents, make_result


@pytest.mark.parametrize(
    ("folder", "program", "bag"),
    [
        pytest.param("x.bag", "data/program/orchestrate.py", ".", id="in-the-bag"),
        pytest.param("x.bag/data/program", "./orchestrate.py", "../..", id="in-its-own-folder"),
        pytest.param(".", "link.py", "x.bag", id="by-a-link"),
    ],
)
def test_it_leaves_the_bag_as_it_is(tmp_path: Path, folder: str, program: str, bag: str) -> None:
    made = make_result(tmp_path)
    assert made.archive("x.bag").returncode == 0
    (tmp_path / "link.py").symlink_to("x.bag/data/program/orchestrate.py")
    before = contents(tmp_path / "x.bag")
    run = subprocess.run(
        # Without variables of this Python, which may forbid byte code.
        [sys.executable, "-E", program, "verify", bag, "--fixity-only"],
        cwd=tmp_path / folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert contents(tmp_path / "x.bag") == before


def test_without_git_it_is_what_git_tracks(tmp_path: Path) -> None:
    tracked = program_files(REPOSITORY)
    assert "orchestrate.py" in tracked
    copy = tmp_path / "copy"
    for name in tracked:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / name, copy / name)
    for name in (".venv/pyvenv.cfg", "orchestration/__pycache__/x.pyc", "wheelhouse/a.whl"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(b"")
    assert program_files(copy) == tracked


def test_a_file_that_was_removed_is_not_looked_for(tmp_path: Path) -> None:
    (tmp_path / "orchestrate.py").write_bytes(b"")
    (tmp_path / "gone.py").write_bytes(b"")
    for command in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    (tmp_path / "gone.py").unlink()
    (tmp_path / "mine.txt").write_bytes(b"")
    assert program_files(tmp_path) == ["orchestrate.py"]


def test_in_the_midst_of_a_merge_each_file_is_told_once(tmp_path: Path) -> None:
    def git(*command: str) -> int:
        who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        return subprocess.run(
            ["git", "-C", tmp_path, *who, *command], capture_output=True, check=False
        ).returncode

    def commit(text: str) -> None:
        (tmp_path / "orchestrate.py").write_text(text)
        assert git("add", ".") == git("commit", "-qm", text) == 0

    assert git("init", "-q", "-b", "main") == 0
    commit("first")
    assert git("checkout", "-qb", "other") == 0
    commit("theirs")
    assert git("checkout", "-q", "main") == 0
    commit("ours")
    assert git("merge", "-q", "other") == 1
    assert program_files(tmp_path) == ["orchestrate.py"]
