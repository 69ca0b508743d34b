"""A machine whose local environments hold tiny stages, so that the host side runs for real."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestration.environments import recipe_for
from orchestration.runtimes.base import Stage

REPOSITORY = Path(__file__).resolve().parents[2]
TINY_STAGE = Path(__file__).with_name("tiny_stage.py")
ORCHESTRATE = [sys.executable, os.fspath(REPOSITORY / "orchestrate.py")]


@dataclass(frozen=True)
class Machine:
    """A cache folder of its own, with tiny stages in place of TensorFlow and torch.

    Attributes:
        folder: where the test's files lie; also the current folder of the program.
        environment: variables of the program.
    """

    folder: Path
    environment: Mapping[str, str]

    @property
    def program(self) -> list[str]:
        """The command that runs orchestrate.py."""
        return ORCHESTRATE

    def checkpoint(self, behaviour: str = "fine", folder: str = "ckpt") -> Path:
        """A checkpoint for the tiny stage, whose text says how stage 1 is to behave."""
        path = self.folder / folder
        path.mkdir(parents=True, exist_ok=True)
        (path / "model.ckpt.index").write_text(behaviour, encoding="utf-8")
        return path

    def run(self, *arguments: str | Path, umask: int = -1) -> subprocess.CompletedProcess[str]:
        """Run orchestrate.py with `--runtime local` to its end."""
        return subprocess.run(
            [*ORCHESTRATE, *map(os.fspath, arguments), "--runtime", "local"],
            cwd=self.folder,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
            umask=umask,
        )

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start orchestrate.py with `--runtime local`, verbose."""
        return subprocess.Popen(
            [*ORCHESTRATE, *map(os.fspath, arguments), "--runtime", "local", "--verbose"],
            cwd=self.folder,
            env=dict(self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def names(self) -> list[str]:
        """Names in the current folder, hidden ones too."""
        return sorted(os.listdir(self.folder))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which the local runtime is ready."""
    return make_machine(tmp_path)


@pytest.fixture(scope="module")
def shared_machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine that the tests of one file share."""
    return make_machine(tmp_path_factory.mktemp("machine"))


def make_machine(tmp_path: Path) -> Machine:
    """Make the environments of a machine, and a folder to work in."""
    cache = tmp_path / "cache"
    environment = {**os.environ, "XDG_CACHE_HOME": os.fspath(cache)}
    stages: tuple[Stage, ...] = ("extract", "load")
    for stage in stages:
        folder = cache / "tf1-to-torch" / "environments" / recipe_for(stage, "cpu").folder_name()
        python = folder / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{TINY_STAGE}" "$@"\n')
        python.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    return Machine(work, environment)
