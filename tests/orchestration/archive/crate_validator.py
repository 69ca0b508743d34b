"""The RO-Crate validator, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.locked_environments import make_locked_environment

TESTS = Path(__file__).resolve().parents[2]


def crate_issues(crates: Sequence[Path], folder: Path) -> list[list[list[str]]]:
    """What is wrong with each crate by the Process Run Crate profile: [severity, rule, entity].

    Args:
        crates: folders of the crates; of a bag, its `data/`.
        folder: for the validator's own files.
    """
    lock = TESTS / "requirements-crate.txt"
    python = make_locked_environment("crate", lock, sys.executable, os.environ, lambda line: None)
    program = Path(__file__).with_name("validate_crates.py")
    command = [python, program, folder / "http-cache", *crates]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
    return [json.loads(line) for line in answer.stdout.splitlines()]
