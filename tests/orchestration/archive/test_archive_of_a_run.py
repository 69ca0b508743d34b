"""A result of the program itself is archived, as the program has recorded it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.orchestration.archive.made_result import contents, says_bagit
from tests.orchestration.conftest import ORCHESTRATE, Machine


def archive(machine: Machine, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ORCHESTRATE, "archive", *map(os.fspath, arguments)],
        cwd=machine.folder,
        env=dict(machine.environment),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_conversion_is_archived_with_what_it_read(machine: Machine) -> None:
    checkpoint = machine.checkpoint()
    assert machine.run(checkpoint, "--model", "fine", "--out", "result").returncode == 0
    run = archive(machine, "result", "--bag", "x.bag", "--with-program")
    assert run.returncode == 0, run.stderr
    # The source of the program is the one that made the result, so there is nothing to say.
    assert run.stderr == ""
    bag = machine.folder / "x.bag"
    assert says_bagit(bag) == (0, "")
    assert contents(bag / "data" / "original") == contents(checkpoint)
    assert contents(bag / "data" / "result") == contents(machine.folder / "result")


def test_an_export_alone_is_archived(machine: Machine) -> None:
    checkpoint = machine.checkpoint()
    assert machine.run("extract", checkpoint, "--out", "export").returncode == 0
    run = archive(machine, "export", "--bag", "x.bag", "--without-program")
    assert run.returncode == 0, run.stderr
    bag = machine.folder / "x.bag"
    assert says_bagit(bag) == (0, "")
    assert contents(bag / "data" / "result") == contents(machine.folder / "export")
    told = (bag / "README.md").read_text("utf-8")
    assert "not yet made into a PyTorch model" in told
    # Nothing of what only a model has; all that there is.
    assert "the same network for PyTorch" not in told
    named = set(re.findall(r"`(data/result/[^`]+)`", told))
    assert {"data/result/graph.json", "data/result/variables.safetensors"} <= named
    assert [name for name in sorted(named) if not (bag / name).is_file()] == []


def test_a_model_made_of_an_export_is_archived_without_the_export_folder(
    machine: Machine,
) -> None:
    checkpoint = machine.checkpoint()
    assert machine.run("extract", checkpoint, "--out", "export").returncode == 0
    loaded = machine.run("load", "export", "--model", "fine", "--out", "result")
    assert loaded.returncode == 0, loaded.stderr
    (machine.folder / "export").rename(machine.folder / "put away")
    run = archive(machine, "result", "--bag", "x.bag", "--without-program")
    # The result keeps the export that it was made of.
    assert run.returncode == 0, run.stderr
    bag = machine.folder / "x.bag"
    assert says_bagit(bag) == (0, "")
    kept = contents(machine.folder / "result" / "export")
    assert contents(bag / "data" / "given" / "export") == kept
    told = (bag / "README.md").read_text("utf-8")
    assert "The original files are not here" in told
    assert "as they were called" not in told
