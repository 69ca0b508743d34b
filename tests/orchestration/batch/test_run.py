"""A batch on this machine: tiny stages in place of TensorFlow and torch, everything else real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.manifest_schema import checked_manifest

SOME_FAILED = 3
ITEMS_LEFT = 75


class Batch:
    """A batch in the folder of a machine.

    Args:
        machine: with tiny stages.
    """

    def __init__(self, machine: Any) -> None:
        self.machine = machine
        self.out = machine.folder / "out"
        self._rows: list[dict[str, Any]] = []

    def add(self, name: str, reads: str = "fine", loads: str = "tiny", **options: Any) -> None:
        """Add an item; how each stage is to behave."""
        checkpoint = self.machine.checkpoint(reads, f"checkpoints/{name}")
        row = {"checkpoint": os.fspath(checkpoint), "name": name, "model": loads, **options}
        self._rows.append(row)

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return self.machine.run("batch", self._file(), "--out", "out", *options)

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start it."""
        return self.machine.start("batch", self._file(), "--out", "out", *options)

    def records(self, name: str) -> list[dict[str, Any]]:
        """All attempts at an item."""
        paths = sorted((self.out / "batch" / "ledger").glob(f"{name}.*.json"))
        return [json.loads(path.read_text()) for path in paths]

    def states(self, name: str) -> list[str]:
        """States of all attempts at an item."""
        return [record["state"] for record in self.records(name)]

    def log(self, name: str) -> str:
        """The log of the latest attempt."""
        return (self.out / self.records(name)[-1]["log"]).read_text()

    def manifest(self, name: str) -> dict[str, Any]:
        """Manifest of an item's result."""
        return checked_manifest(self.out / name)

    def leftovers(self) -> list[str]:
        """Names in the output folder that are neither results nor the batch's own."""
        own = {row["name"] for row in self._rows} | {"batch", "summary.csv", "summary.html"}
        return sorted(set(os.listdir(self.out)) - own)

    def _file(self) -> str:
        text = "".join(json.dumps(row) + "\n" for row in self._rows)
        (self.machine.folder / "items.jsonl").write_text(text)
        return "items.jsonl"


@pytest.fixture
def batch(machine) -> Batch:
    return Batch(machine)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def content(folder: Path) -> Mapping[str, bytes]:
    """Files of a result, apart from its manifest."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_each_item_has_the_result_of_the_single_command(batch, jobs):
    for number in range(5):
        batch.add(f"item{number}", seed=number)
    done = batch.run("--jobs", jobs)
    assert done.returncode == 0, done.stderr
    for number in range(5):
        single = batch.machine.folder / f"single{number}"
        checkpoint = f"checkpoints/item{number}"
        options = ["--model", "tiny", "--seed", str(number), "--out", single]
        assert batch.machine.run(checkpoint, *options).returncode == 0
        assert content(batch.out / f"item{number}") == content(single)
        made, alone = (
            batch.manifest(f"item{number}"),
            checked_manifest(single),
        )
        for part in ("request", "inputs", "files"):
            assert made[part] == alone[part]
        places = {"out", "checkpoint"}
        for one in (made, alone):
            assert one["settings"]["checkpoint"] == str(batch.machine.folder / checkpoint)
        assert {key: value for key, value in made["settings"].items() if key not in places} == {
            key: value for key, value in alone["settings"].items() if key not in places
        }
        assert made["batch"]["item"] == f"item{number}"
        assert "batch" not in alone
    assert batch.leftovers() == []


# How an item fails, and what its record then says.
FAILURES: dict[str, tuple[dict[str, str], str, int]] = {
    "abort": ({"reads": "abort"}, "CorruptCheckpoint", 24),
    "killed-from-outside": ({"reads": "killed"}, "StageCrashed", 17),
    "illegal-instruction": ({"reads": "illegal"}, "StageCrashed", 17),
    "no-event": ({"reads": "nonsense"}, "StageCrashed", 17),
    "half-an-answer": ({"reads": "half an answer"}, "StageCrashed", 17),
    "stage-1-says-so": ({"reads": "fail"}, "TruncatedData", 32),
    "a-bug-of-stage-1": ({"reads": "bug"}, "InternalError", 1),
    "no-export": ({"reads": "short export"}, "ExportInvalid", 18),
    "a-link-in-the-export": ({"reads": "link"}, "ExportInvalid", 18),
    "stage-2-ends": ({"loads": "exit 3"}, "StageCrashed", 17),
    "stage-2-leaves": ({"loads": "leave"}, "StageCrashed", 17),
    "no-such-model": ({"loads": "unknown"}, "UnknownModel", 50),
    "stage-2-says-so": ({"loads": "misfit"}, "ModelDoesNotFit", 51),
    "a-pipe-in-the-result": ({"loads": "pipe"}, "StageCrashed", 17),
    "both-differ": ({"loads": "failed"}, "ParityFailed", 53),
    "no-memory": ({"loads": "no memory"}, "OutOfMemory", 16),
    "endless": ({"reads": "hang"}, "ItemTimedOut", 74),
    "endless-in-stage-2": ({"loads": "hang"}, "ItemTimedOut", 74),
    "silent": ({"reads": "close"}, "ItemTimedOut", 74),
}


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_failures_are_those_items_alone(batch, jobs):
    good = []
    for number, (name, (item, _, _)) in enumerate(FAILURES.items()):
        batch.add(name, **item)
        good.append(f"good{number}")
        batch.add(good[-1], reads="slow 0.05", loads="slow 0.05")
    done = batch.run("--jobs", jobs, "--item-timeout", "2")
    assert done.returncode == SOME_FAILED, done.stderr
    for name, (_, class_name, exit_code) in FAILURES.items():
        last = batch.records(name)[-1]
        failure = last["failure"]
        found = (last["state"], failure["class_name"], failure["exit_code"])
        assert found == ("failed", class_name, exit_code), name
        assert f"{name}: failed, {class_name}: " in done.stderr
        has_result = class_name == "ParityFailed"
        assert (batch.out / name).exists() == has_result
        assert has_result or class_name in batch.log(name)
    assert [batch.states(name) for name in good] == [["done"]] * len(good)
    assert batch.leftovers() == []


def occupy_with_file(place: Path) -> None:
    place.write_text("mine")


def occupy_with_folder(place: Path) -> None:
    place.mkdir()
    (place / "mine").touch()


def occupy_through_link(place: Path) -> None:
    elsewhere = place.parent.parent / "elsewhere"
    occupy_with_folder(elsewhere)
    place.symlink_to(elsewhere)


@pytest.mark.parametrize("occupy", [occupy_with_file, occupy_with_folder, occupy_through_link])
def test_what_is_not_this_program_s_is_not_replaced(batch, occupy):
    batch.add("taken")
    batch.add("free")
    batch.out.mkdir()
    occupy(batch.out / "taken")
    before = sorted(path for path in batch.machine.folder.rglob("mine*"))
    done = batch.run("--jobs", "1", "--force")
    assert done.returncode == SOME_FAILED
    assert "[1/2] taken: failed, ResultExists: " in done.stderr
    assert batch.states("free") == ["done"]
    assert sorted(path for path in batch.machine.folder.rglob("mine*")) == before
    assert (batch.out / "taken").exists()


def test_what_was_said_of_one_item_explains_no_other(batch):
    batch.add("a", reads="talk of memory")
    batch.add("b", reads="exit 3")
    assert batch.run("--jobs", "1").returncode == SOME_FAILED
    assert batch.states("a") == ["done"]
    [record] = batch.records("b")
    assert record["failure"]["class_name"] == "StageCrashed"
    assert "Its last words: first words / last words" in record["failure"]["happened"]


def test_what_lacks_memory_is_tried_once_more_alone(batch):
    batch.add("large", reads="no memory")
    for number in range(4):
        batch.add(f"item{number}", reads="slow 0.2")
    assert batch.run("--jobs", "2").returncode == SOME_FAILED
    first, second = batch.records("large")
    assert (first["state"], second["state"]) == ("released", "failed")
    assert first["failure"]["class_name"] == "OutOfMemory"
    ends = [batch.records(f"item{number}")[0]["ended"] for number in range(4)]
    assert second["started"] > max(ends)


def test_workers_that_hold_too_much_together(batch):
    """The largest one is ended; alone, its item may have everything, and here needs still more."""
    batch.add("large", reads=f"hold {400_000_000}")
    batch.add("small")
    done = batch.run("--jobs", "2", "--memory-gb", "0.3")
    assert done.returncode == SOME_FAILED
    assert "Warning: an item takes about 1.5 GB" in done.stderr
    assert batch.states("large") == ["released", "failed"] or batch.states("large") == ["failed"]
    failure = batch.records("large")[-1]["failure"]
    assert failure["class_name"] == "OutOfMemory"
    assert "held" in failure["happened"]
    assert batch.states("small") == ["done"]


def test_a_second_run_does_what_is_left(batch):
    batch.add("good")
    batch.add("bad", reads="fail")
    assert batch.run("--jobs", "1").returncode == SOME_FAILED
    written = (batch.out / "good" / "manifest.json").stat().st_mtime_ns
    batch.add("new")
    again = batch.run("--jobs", "1")
    assert again.returncode == SOME_FAILED
    assert "1 done, 1 failed" in again.stderr
    assert (batch.out / "good" / "manifest.json").stat().st_mtime_ns == written
    assert [batch.states(name) for name in ("good", "bad", "new")] == [
        ["done"],
        ["failed"],
        ["done"],
    ]
    batch.machine.checkpoint("fine", "checkpoints/bad")
    assert batch.run("--jobs", "1", "--retry-failed").returncode == 0
    assert batch.states("bad") == ["failed", "done"]
    assert batch.states("good") == ["done"]


def test_a_result_without_a_record_is_not_made_again(batch):
    batch.add("item")
    assert batch.run().returncode == 0
    (batch.out / "batch" / "ledger" / "item.1.json").unlink()
    written = (batch.out / "item" / "manifest.json").stat().st_mtime_ns
    assert batch.run().returncode == 0
    assert batch.states("item") == ["skipped"]
    assert (batch.out / "item" / "manifest.json").stat().st_mtime_ns == written


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_gives_back_what_is_not_done(batch, number):
    batch.add("quick")
    batch.add("hangs", reads="hang")
    batch.add("waits")
    with batch.start("--jobs", "1", "--memory-gb", "20") as program:
        wait_until(lambda: batch.states("hangs") == ["running"])
        program.send_signal(number)
        program.communicate(timeout=20)
    assert program.returncode == ITEMS_LEFT
    assert batch.states("hangs") == ["released"]
    assert batch.leftovers() == []
    pids = [int(word) for word in batch.log("hangs").split() if word.isdecimal()]
    assert len(pids) == 2
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
    batch.machine.checkpoint("fine", "checkpoints/hangs")
    assert batch.run().returncode == 0
    assert batch.states("hangs") == ["released", "done"]


def test_what_ends_soon_after_a_signal_is_kept(batch):
    batch.add("soon", loads="slow 1")
    with batch.start("--jobs", "1") as program:
        wait_until(lambda: batch.states("soon") == ["running"])
        time.sleep(0.5)
        program.send_signal(signal.SIGTERM)
        program.communicate(timeout=20)
    assert program.returncode == 0
    assert batch.states("soon") == ["done"]


def test_a_second_ctrl_c_does_not_wait_for_what_would_end_soon(batch):
    batch.add("soon", loads="slow 2")
    with batch.start("--jobs", "1") as program:
        wait_until(lambda: batch.states("soon") == ["running"])
        time.sleep(0.3)
        program.send_signal(signal.SIGINT)
        time.sleep(0.1)
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=20)
    assert program.returncode == ITEMS_LEFT
    assert batch.states("soon") == ["released"]


def test_after_a_kill_the_next_run_takes_over(batch):
    batch.add("first", reads="slow 600")
    with batch.start("--jobs", "1") as program:
        wait_until(lambda: batch.states("first") == ["running"])
        program.kill()
        program.communicate(timeout=20)
    assert os.listdir(batch.out / ".work")
    batch.machine.checkpoint("fine", "checkpoints/first")
    assert batch.run("--jobs", "1").returncode == 0
    assert batch.states("first") == ["running", "done"]
    assert batch.leftovers() == []
    assert os.listdir(batch.out / "batch" / "owners") == []


def test_two_runs_at_once_share_the_work(batch):
    for number in range(8):
        batch.add(f"item{number}", reads="slow 0.3")
    with batch.start("--jobs", "1") as first, batch.start("--jobs", "1") as second:
        texts = [program.communicate(timeout=60)[1] for program in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), texts
    owners = [batch.records(f"item{number}") for number in range(8)]
    assert all([record["state"] for record in records] == ["done"] for records in owners)
    assert len({records[0]["owner"]["id"] for records in owners}) == 2


def test_each_item_may_have_workers_of_its_own(batch):
    for number in range(3):
        batch.add(f"item{number}", loads=f"model{number}")
    done = batch.run("--jobs", "1", "--recycle-after", "1", "--verbose")
    assert done.returncode == 0, done.stderr
    assert [batch.states(f"item{number}") for number in range(3)] == [["done"]] * 3


def test_items_of_all_readers(batch):
    readers = ["tf", "pure", "both", "pure", "tf"]
    for number, reader in enumerate(readers):
        batch.add(f"item{number}", reader=reader)
    assert batch.run("--jobs", "2").returncode == 0
    made = [batch.manifest(f"item{number}")["extract"]["reader"] for number in range(5)]
    assert made == readers


def test_an_output_that_is_gone_ends_the_batch(batch):
    for number in range(5):
        batch.add(f"item{number}", reads="slow 0.4")
    with batch.start("--jobs", "1") as program:
        wait_until(lambda: batch.states("item0") != [])
        os.rename(batch.out, batch.machine.folder / "moved")
        text = program.communicate(timeout=30)[1]
    assert program.returncode == 19, text
    assert "OutputNotWritable" in text


def test_proposals_of_an_item_lie_beside_its_log(batch):
    batch.add("item", loads="proposes")
    assert batch.run().returncode == SOME_FAILED
    assert (batch.out / "batch" / "logs" / "item.proposed-mapping.csv").is_file()
    assert "item.proposed-mapping.csv" in batch.log("item")
