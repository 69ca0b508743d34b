"""The program that lies in a bag runs from there, and leaves the bag as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.orchestration.archive.made_result import contents, make_result


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
