"""How a run of a batch ends where something is in its way, and what it says of it."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration.batch.ledger import Ledger
from orchestration.batch.owner import BatchOwner, Heartbeat
from orchestration.batch.record import Failure
from orchestration.batch.settings import BatchFolder
from orchestration.batch.work_folders import WorkFolders

SOME_FAILED = 3
NOT_WRITABLE = 19
# What a tiny stage says before it hangs.
CHILD = re.compile(r"child (?P<child>\d+) of (?P<worker>\d+)\n")
DONE_AND_RUNNING = (["done"], ["running"])


class Batch:
    """A batch of tiny stages in the folder of a machine."""

    def __init__(self, machine: Any) -> None:
        self.machine = machine
        self.out: Path = machine.folder / "out"
        self._rows: list[str] = []

    def add(self, name: str, reads: str = "fine", loads: str = "tiny") -> None:
        """Add an item; how each stage is to behave."""
        self.machine.checkpoint(reads, f"checkpoints/{name}")
        row = {"checkpoint": f"checkpoints/{name}", "name": name, "model": loads}
        self._rows.append(json.dumps(row) + "\n")
        (self.machine.folder / "items.jsonl").write_text("".join(self._rows))

    def words(self, *options: str) -> tuple[str, ...]:
        """The command."""
        return ("batch", "items.jsonl", "--out", "out", "--jobs", "1", *options)

    def run(self, *options: str) -> Any:
        """Run it to its end."""
        return self.machine.run(*self.words(*options))

    def records(self, name: str) -> list[dict[str, Any]]:
        """All attempts at an item."""
        paths = sorted((self.out / "batch" / "ledger").glob(f"{name}.*.json"))
        return [json.loads(path.read_text()) for path in paths]

    def states(self, name: str) -> list[str]:
        """States of all attempts at an item."""
        return [record["state"] for record in self.records(name)]

    def forget(self, name: str) -> None:
        """Remove all that the ledger tells of an item."""
        for path in (self.out / "batch" / "ledger").glob(f"{name}.*.json"):
            path.unlink()

    def status(self) -> dict[str, Any]:
        """What --status tells."""
        return json.loads(self.machine.run("batch", "--out", "out", "--status", "--json").stdout)


@pytest.fixture
def batch(machine: Any) -> Batch:
    return Batch(machine)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_quiet_tells_what_failed_and_nothing_else(batch: Batch) -> None:
    batch.add("good")
    batch.add("broken", reads="fail")
    batch.add("differs", loads="failed")
    ended = batch.run("--quiet")
    assert (ended.returncode, ended.stdout) == (SOME_FAILED, "")
    told = sorted(line.partition("] ")[2] for line in ended.stderr.splitlines())
    assert [line.split(": ")[:2] for line in told] == [
        ["broken", "failed, TruncatedData"],
        ["differs", "failed, ParityFailed"],
    ]


def test_a_batch_that_cannot_go_on_has_a_summary(batch: Batch) -> None:
    # The largest one goes first.
    batch.add("first", reads="slow 0.01")
    batch.add("second", reads="slow 2", loads="exit 3")
    with batch.machine.start(*batch.words()) as program:
        wait_until(lambda: (batch.states("first"), batch.states("second")) == DONE_AND_RUNNING)
        os.rename(batch.out / "batch" / "logs", batch.machine.folder / "moved")
        text = program.communicate(timeout=30)[1]
    assert program.returncode == NOT_WRITABLE, text
    rows = list(csv.DictReader((batch.out / "summary.csv").read_text().splitlines()))
    assert [(row["name"], row["state"]) for row in rows] == [("first", "done"), ("second", "lost")]
    assert (batch.out / "summary.html").is_file()


def test_both_workers_of_a_lane_are_told_to_go_by_somebody_else(batch: Batch) -> None:
    """No such order comes to the batch itself, so these are ends of workers like any other."""
    batch.add("first", reads="slow 0.01", loads="hang")
    batch.add("second", reads="hang")
    logs = [batch.out / "batch" / "logs" / f"{name}.1.log" for name in ("first", "second")]
    with batch.machine.start(*batch.words()) as program:
        wait_until(lambda: all(log.exists() and CHILD.search(log.read_text()) for log in logs))
        found = [CHILD.search(log.read_text()) for log in logs]
        for match in found:
            assert match is not None
            os.kill(int(match["worker"]), signal.SIGTERM)
            # Or it would hold the worker's output open.
            os.kill(int(match["child"]), signal.SIGKILL)
        text = program.communicate(timeout=30)[1]
    assert program.returncode == SOME_FAILED, text
    for name in ("first", "second"):
        [record] = batch.records(name)
        assert (record["state"], record["failure"]["class_name"]) == ("failed", "StageCrashed")


def test_a_failed_proof_is_tried_again_when_asked_for(batch: Batch) -> None:
    batch.add("differs", loads="failed")
    assert batch.run().returncode == SOME_FAILED
    assert batch.run().returncode == SOME_FAILED
    assert batch.states("differs") == ["failed"]
    again = batch.run("--retry-failed")
    assert again.returncode == SOME_FAILED
    assert "differs is done again: its proof failed" in again.stderr
    assert batch.states("differs") == ["failed", "failed"]
    manifest = json.loads((batch.out / "differs" / "manifest.json").read_text())
    assert manifest["batch"]["attempt"] == 2


def test_a_failed_proof_that_no_record_tells_of_is_a_failure(batch: Batch) -> None:
    batch.add("differs", loads="failed")
    assert batch.run().returncode == SOME_FAILED
    batch.forget("differs")
    assert batch.run().returncode == SOME_FAILED
    [record] = batch.records("differs")
    assert (record["state"], record["failure"]["class_name"]) == ("failed", "ParityFailed")
    status = batch.status()
    assert (status["counts"]["failed"], status["exit_code"]) == (1, SOME_FAILED)


def test_a_result_that_is_right_again_is_known_to_be(batch: Batch) -> None:
    """It was made, failed with another checkpoint, and has its own one back."""
    batch.add("item")
    assert batch.run().returncode == 0
    batch.machine.checkpoint("fail", "checkpoints/item")
    assert batch.run().returncode == SOME_FAILED
    batch.machine.checkpoint("fine", "checkpoints/item")
    assert batch.run("--retry-failed").returncode == 0
    assert batch.states("item") == ["done", "failed", "skipped"]
    assert batch.status()["exit_code"] == 0


def test_an_item_without_checkpoint_that_another_has_is_waited_for(batch: Batch) -> None:
    """Of two copies of a job, both find it gone, and one of them records that."""
    batch.add("gone")
    assert batch.run().returncode == 0
    [items] = (batch.out / "batch" / "items").iterdir()
    batch.forget("gone")
    os.rename(batch.machine.folder / "checkpoints", batch.machine.folder / "moved")
    folder = BatchFolder(batch.out)
    owner = BatchOwner.current({})
    with Heartbeat(folder.owners, owner):
        attempt = Ledger(folder, owner).claim("gone", 4, None)
        assert attempt is not None
        command = ("batch", items, "--out", "out", "--jobs", "1")
        with batch.machine.start(*command) as program:
            line = ""
            while "Waiting for what other processes do: 1, the first is gone" not in line:
                line = program.stderr.readline()
                assert line, "it has not waited"
            failure = Failure("CheckpointMissing", 10, "It is gone.", "It was there.", "Bring it.")
            attempt.finish(attempt.record.ended_as("failed", failure=failure))
            said = program.communicate(timeout=30)[0]
    assert program.returncode == SOME_FAILED
    assert said.startswith("0 done, 1 failed, 0 left")
    assert batch.states("gone") == ["failed"]


def test_processes_come_and_go_in_the_common_work_folder(tmp_path: Path) -> None:
    """The last one to leave takes it away, at whatever moment the next one arrives."""
    folder = BatchFolder(tmp_path / "out")
    problems: list[BaseException] = []

    def come_and_go() -> None:
        owner = BatchOwner.current({})
        try:
            with Heartbeat(folder.owners, owner):
                ledger = Ledger(folder, owner)
                for _ in range(150):
                    with WorkFolders(folder, ledger, owner) as folders:
                        folders.of_lane(0).make()
        except BaseException as error:
            problems.append(error)
            raise

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert not folder.work.exists()
