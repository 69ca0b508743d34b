"""These tests run where there is no TensorFlow; the process is told so before anything is bound."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from stage_extract.reader_choice import PURE, choose_reader

REPOSITORY = Path(__file__).parents[2]
choose_reader(PURE)


def pytest_configure() -> None:
    assert importlib.util.find_spec("tensorflow") is None
    assert importlib.util.find_spec("google") is None


def _run_worker(jobs: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "stage_extract", "--reader", "pure"],
        input="".join(json.dumps(job) + "\n" for job in jobs).encode(),
        capture_output=True,
        cwd=str(REPOSITORY),
        env={key: value for key, value in os.environ.items() if key != "STAGE_EXTRACT_READER"},
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def run_worker() -> Callable[[List[Dict[str, Any]]], List[Dict[str, Any]]]:
    """`run_worker(jobs)`: the events of a real worker process without TensorFlow."""
    return _run_worker


@pytest.fixture
def extract(tmp_path: Path) -> Callable[..., Dict[str, Any]]:
    """`extract(checkpoint, out)`: the last event of one extraction."""

    def run(checkpoint: Path, out: Path, **options: Any) -> Dict[str, Any]:
        job = {"job": "1", "command": "extract", "checkpoint": str(checkpoint), "out": str(out)}
        return _run_worker([{**job, "options": options}])[-1]

    return run
