"""`batch --status`: what it prints, and how fast."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.batch.record import Failure
from orchestration.run_paths import repository_folder
from tests.orchestration.batch.made_batch import (
    CORRUPT,
    ELSEWHERE,
    PARITY,
    MadeBatch,
    at,
    figures,
)

HOSTILE = Failure("Odd\x1b[31m", 33, "\x1b]0;owned\x07 It\nfailed.", "\u202eNo", "Mend it.")


@pytest.fixture
def batch(tmp_path: Path) -> MadeBatch:
    return MadeBatch(tmp_path / "converted")


def status(batch: MadeBatch, *options: str) -> str:
    """What the command prints, run in the folder above the batch's."""
    if not batch.folder.items.exists():
        batch.store_list()
    before = batch.files()
    program = repository_folder() / "orchestrate.py"
    done = subprocess.run(
        [sys.executable, program, "batch", "--out", "converted", "--status", *options],
        cwd=batch.folder.out.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    # Who only looks changes nothing; the clock is read by a file that has no name.
    assert [name for name, _ in batch.files()] == [name for name, _ in before]
    return done.stdout


def test_the_tables(batch: MadeBatch) -> None:
    batch.add("fine", "done", started=at(0), ended=at(20))
    batch.add("unproven", "done", result=figures(None, "unproven"), started=at(20), ended=at(40))
    batch.add("odd", "failed", failure=PARITY, result=figures(0.5, "failed"), ended=at(30))
    for letter in "abcd":
        batch.add(f"short-{letter}", "failed", ended=at(10))
    batch.add("at-work", "running", started=at(100.7))
    batch.beat()
    gone = replace(ELSEWHERE, id="b" * 16, host="n2", slurm=None)
    batch.add("gone", "running", owner=gone)
    batch.add("back", "released")
    batch.add("cut", "done").write_text("{")
    batch.add("never")
    batch.add("other", "skipped")
    batch.add("earlier", "done")
    batch.listed.pop()
    assert status(batch) == (
        "13 items in converted\n"
        "  done            2  1 proven, 1 unproven\n"
        "  failed          5\n"
        "  skipped         1\n"
        "  running         1\n"
        "  lost            1\n"
        "  queued          3\n"
        "  size      2 MB of checkpoints done\n"
        "  pace      10.5 items, 10.5 MB a minute\n"
        "  time left about 29 s\n"
        "\n"
        "Running (times in UTC)\n"
        "  at-work  since 2020-03-04 12:01:40  on n1, Slurm job 15_2\n"
        "\n"
        "Lost\n"
        "  gone  lost with n2, process 77; it will be done again\n"
        "\n"
        "Failed\n"
        "      4  CorruptIndex: short-a, short-b, short-c and 1 more\n"
        "      1  ParityFailed: odd\n"
        "         --failed tells each one's message and log\n"
        "\n"
        "To be done again\n"
        "  back  given back by n1, Slurm job 15_2\n"
        "  cut  the record of attempt 1 is damaged: Expecting property name enclosed in double"
        " quotes: line 1 column 2 (char 1)\n"
        "\n"
        "The ledger holds 1 item more, of earlier lists.\n"
    )


def test_nothing_has_been_begun(batch: MadeBatch) -> None:
    batch.add("a")
    assert status(batch) == (
        "1 item in converted\n"
        "  done            0\n"
        "  failed          0\n"
        "  queued          1\n"
        "  size      0 B of checkpoints done\n"
    )
    assert status(batch, "--failed") == "No item has failed.\n"


def test_long_lists_are_cut(batch: MadeBatch) -> None:
    for number in range(30):
        batch.add(f"item-{number}", "running")
    lines = status(batch).splitlines()
    assert sum("  item-" in line for line in lines) == 20
    assert lines[-1] == "  … and 10 more; --json tells all"


def test_each_failure(batch: MadeBatch) -> None:
    batch.add("a", "failed", attempt=2)
    batch.add("fine", "done")
    batch.add("b", "failed", failure=HOSTILE, log=None)
    assert status(batch, "--failed") == (
        "a: CorruptIndex (exit code 33)\n"
        "  It is short.\n"
        "  A whole index.\n"
        "  Copy it again.\n"
        "  checkpoint: /data/a/model.ckpt-7 (models.csv line 2)\n"
        "  log: converted/batch/logs/a.2.log\n"
        "\n"
        "b: Odd\\x1b[31m (exit code 33)\n"
        "  \\x1b]0;owned\\x07 It\n"
        "  failed.\n"
        "  \\u202eNo\n"
        "  Mend it.\n"
        "  checkpoint: /data/b/model.ckpt-7 (models.csv line 4)\n"
    )


def test_a_failed_proof_names_its_report(batch: MadeBatch) -> None:
    batch.add("a", "failed", result=figures(verdict="failed"))
    lines = status(batch, "--failed").splitlines()
    assert lines[-1] == "  report: converted/a/report.html"


def test_json(batch: MadeBatch) -> None:
    batch.add("a", "done", started=at(0), ended=at(20))
    batch.add("b", "failed", log="batch/logs/b.1.log")
    batch.add("c")
    found = json.loads(status(batch, "--json"))
    items = {item["name"]: item for item in found.pop("items")}
    assert found == {
        "format": "tf1-to-torch-batch-status",
        "version": 1,
        "out": str(batch.folder.out),
        "counts": {
            "total": 3,
            "done": 1,
            "failed": 1,
            "skipped": 0,
            "running": 0,
            "lost": 0,
            "queued": 1,
        },
        "verdicts": {"proven": 1},
        "unlisted": 0,
        "pace": {"items_per_minute": 6.0, "bytes_per_minute": 6_000_000.0},
        "seconds_left": 10.0,
        "exit_code": 75,
        "failures": {"CorruptIndex": 1},
    }
    assert items["a"] == {
        "name": "a",
        "checkpoint": "/data/a/model.ckpt-7",
        "where": "models.csv line 2",
        "state": "done",
        "note": None,
        "attempt": 1,
        "host": "n1",
        "process": "77",
        "slurm": {"job": "17", "array_job": "15", "array_task": "2", "restart": 0},
        "started": at(0),
        "ended": at(20),
        "size_bytes": 1_000_000,
        "failure": None,
        "log": None,
        "result": figures(),
    }
    assert items["b"]["failure"] == vars(CORRUPT)
    assert items["c"].keys() == {"name", "checkpoint", "where", "state", "note"}
    only = json.loads(status(batch, "--json", "--failed"))
    assert [item["name"] for item in only.pop("items")] == ["b"]
    assert only == found


def test_a_thousand_items(batch: MadeBatch) -> None:
    seen = {f"input/model.ckpt-7.data-0000{n}-of-00009": [n, 10**18 + n, n] for n in range(9)}
    for number in range(1000):
        name = f"model-{number:04}"
        # Half of them were done twice.
        if number % 2:
            batch.add(name, "failed", attempt=1)
        batch.add(name, "done", attempt=2, seen=seen)
    batch.store_list()
    text = status(batch)
    assert "done        1,000  1,000 proven" in text
