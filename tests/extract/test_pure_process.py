"""A process with `--reader pure` leaves an installed TensorFlow alone, and finds the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import numpy
import pytest
import tensorflow

REPOSITORY = Path(__file__).parents[2]
CHECKPOINTS = REPOSITORY / "tests" / "contract" / "checkpoints"
MANY = 12_000
# Runs the worker as `python -m` does, then tells what was imported.
PROGRAM = """
import runpy, sys
sys.argv[1:] = ["--reader", "pure"]
runpy.run_module("stage_extract", run_name="__main__", alter_sys=True)
print(*sorted(sys.modules), file=sys.stderr)
"""


def run_worker(jobs: List[Dict[str, Any]], *command: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *command],
        input="".join(json.dumps(job) + "\n" for job in jobs).encode(),
        capture_output=True,
        cwd=str(REPOSITORY),
        env={key: value for key, value in os.environ.items() if key != "STAGE_EXTRACT_READER"},
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


def job(identifier: str, checkpoint: Any, out: Path) -> Dict[str, Any]:
    out.mkdir(parents=True)
    return {
        "job": identifier,
        "command": "extract",
        "checkpoint": str(checkpoint),
        "out": str(out),
        "options": {"reference": False},
    }


def finished(events: List[Dict[str, Any]]) -> Dict[str, Any]:
    """Give, for each job, its result or the class of its error."""
    return {
        event["job"]: event["result"]["variables"]
        if event["event"] == "done"
        else event["error"]["class"]
        for event in events
        if event["event"] in ("done", "failed")
    }


def graph_of(out: Path) -> Dict[str, Any]:
    graph: Dict[str, Any] = json.loads((out / "graph.json").read_text("utf-8"))
    assert graph.pop("source")["reader"] in ("pure", "tensorflow")
    return graph


def test_tensorflow_is_not_imported(tmp_path: Path) -> None:
    jobs = [job(one.name, one, tmp_path / one.name) for one in sorted(CHECKPOINTS.iterdir())]
    events, imported = run_worker(jobs, "-c", PROGRAM)
    assert [event["event"] for event in events].count("done") == len(jobs) == 3
    modules = set(imported.split())
    assert {"numpy", "stage_extract"} <= modules
    assert modules.isdisjoint(("google.protobuf", "tensorflow", "tensorflow_core"))


def test_another_reader_is_refused_at_the_start() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stage_extract", "--reader", "tensorflow"],
        capture_output=True,
        cwd=str(REPOSITORY),
        check=False,
    )
    assert done.returncode == 2
    assert b"invalid choice: 'tensorflow'" in done.stderr


def test_strangers_checkpoints_leave_alike(tmp_path: Path, request: Any) -> None:
    corpus = request.config.getoption("--corpus")
    prefixes = sorted(path.with_suffix("") for path in corpus.rglob("*.meta"))
    if not prefixes:
        pytest.skip(f"the collection of strangers' checkpoints is not at {corpus}")
    outcomes = {}
    for reader in ("tf", "pure"):
        jobs = [
            job(str(i), prefix, tmp_path / reader / str(i)) for i, prefix in enumerate(prefixes)
        ]
        events, _ = run_worker(jobs, "-m", "stage_extract", "--reader", reader)
        outcomes[reader] = finished(events)
    assert len(outcomes["pure"]) == len(prefixes)
    assert outcomes["pure"] == outcomes["tf"]
    for i, prefix in enumerate(prefixes):
        if isinstance(outcomes["tf"][str(i)], str):
            continue
        expected, found = (tmp_path / reader / str(i) for reader in ("tf", "pure"))
        data = (found / "variables.safetensors").read_bytes()
        assert data == (expected / "variables.safetensors").read_bytes(), prefix
        assert graph_of(found) == graph_of(expected), prefix


def test_all_variables_of_a_large_checkpoint_are_read(tmp_path: Path) -> None:
    prefix = str(tmp_path / "model")
    names = [f"block_{number}/{number % 7}/kernel" for number in range(MANY)]
    compat = tensorflow.compat.v1
    with compat.Graph().as_default(), compat.Session() as session:
        values = [
            tensorflow.constant(numpy.arange(size, dtype="float32") / 7) for size in (3, 1, 0, 70)
        ]
        tensors = [values[number % len(values)] for number in range(MANY)]
        session.run(compat.raw_ops.SaveV2(
            prefix=prefix, tensor_names=names, shape_and_slices=[""] * MANY, tensors=tensors
        ))  # fmt: skip
    for reader in ("tf", "pure"):
        events, _ = run_worker(
            [job("1", prefix, tmp_path / reader)], "-m", "stage_extract", "--reader", reader
        )
        assert finished(events) == {"1": MANY}
    expected, found = (tmp_path / reader for reader in ("tf", "pure"))
    data = (found / "variables.safetensors").read_bytes()
    assert data == (expected / "variables.safetensors").read_bytes()
    assert [entry["name"] for entry in graph_of(found)["variables"]] == sorted(names)
