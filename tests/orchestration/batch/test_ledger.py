"""The ledger with real processes: claims that race, owners that die, sleep and wake up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestration.batch import ledger as ledger_module
from orchestration.batch.ledger import Damaged, Ledger, read_entries
from orchestration.batch.owner import (
    BatchOwner,
    Heartbeat,
    SlurmTask,
    heartbeat_path,
    is_known_dead,
    silence_s,
)
from orchestration.batch.record import Failure, Record
from orchestration.batch.settings import BatchFolder
from orchestration.run_paths import repository_folder

LONG_S = 60
OTHER = """
import os, sys, time
from pathlib import Path
from orchestration.batch.ledger import Ledger
from orchestration.batch.owner import BatchOwner, Heartbeat
from orchestration.batch.settings import BatchFolder

folder = BatchFolder(Path(sys.argv[1]))
owner = BatchOwner.current(os.environ)
with Heartbeat(folder.owners, owner, every_s=0.05):
    ledger = Ledger(folder, owner)
    print(owner.id, flush=True)
"""
CLAIM_ALL = (
    OTHER
    + """
    sys.stdin.readline()
    won = [name for name in sys.argv[2:] if ledger.claim(name, 1, None)]
    print(*won)
"""
)
CLAIM_AND_STAY = (
    OTHER
    + """
    attempt = ledger.claim(sys.argv[2], 1, ledger.entries().get(sys.argv[2]))
    print("claimed", flush=True)
    sys.stdin.readline()
    attempt.finish(attempt.record.ended_as("done"))
    print("finished", flush=True)
"""
)


@pytest.fixture
def folder(tmp_path: Path) -> BatchFolder:
    return BatchFolder(tmp_path)


@pytest.fixture
def owner() -> BatchOwner:
    return BatchOwner.current({})


@pytest.fixture
def ledger(folder: BatchFolder, owner: BatchOwner) -> Iterator[Ledger]:
    with Heartbeat(folder.owners, owner):
        yield Ledger(folder, owner)


Other = subprocess.Popen[str]


@pytest.fixture
def start(folder: BatchFolder) -> Iterator[Callable[..., Other]]:
    """Starts another process that works on the same batch, with its heartbeat going."""
    started: list[Other] = []

    def start_script(script: str, *names: str) -> Other:
        process = subprocess.Popen(
            [sys.executable, "-c", script, os.fspath(folder.out), *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=repository_folder(),
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().strip()
        return process

    yield start_script
    for process in started:
        process.kill()
        process.communicate()


def said(process: Other) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: Other) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_an_item_begins_as_running_and_ends_as_its_owner_says(ledger: Ledger) -> None:
    assert ledger.entries().get("a") is None
    attempt = ledger.claim("a", 7, None)
    assert attempt is not None
    assert ledger.entries().get("a") == attempt.record
    assert (attempt.record.state, attempt.record.attempt) == ("running", 1)
    failure = Failure("CorruptIndex", 33, "It is short.", "A whole one.", "Copy it again.")
    ended = attempt.record.ended_as("failed", failure=failure, log="batch/logs/a.1.log")
    attempt.finish(ended)
    assert ledger.entries().get("a") == ended
    again = ledger.claim("a", 7, ended)
    assert again is not None
    assert ledger.entries() == {"a": again.record}
    assert again.record.attempt == 2


def test_processes_that_race_get_each_item_once(start: Callable[..., Other]) -> None:
    names = [f"item.{number}" for number in range(200)]
    processes = [start(CLAIM_ALL, *names) for _ in range(3)]
    for process in processes:
        tell(process)
    won = [said(process).split() for process in processes]
    assert sorted(name for some in won for name in some) == sorted(names)


def test_a_running_item_is_its_owners_until_that_dies(
    ledger: Ledger, start: Callable[..., Other]
) -> None:
    other = start(CLAIM_AND_STAY, "a")
    assert said(other) == "claimed"
    entry = ledger.entries().get("a")
    assert entry is not None
    assert ledger.is_being_done(entry)
    assert ledger.claim("a", 1, None) is None
    other.kill()
    other.wait()
    assert not ledger.is_being_done(entry)
    attempt = ledger.claim("a", 1, entry)
    assert attempt is not None
    assert attempt.record.attempt == 2


def test_a_process_that_sleeps_loses_its_item_and_harms_nothing_when_it_wakes_up(
    ledger: Ledger, start: Callable[..., Other], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "LOST_AFTER_S", 0.5)
    other = start(CLAIM_AND_STAY, "a")
    assert said(other) == "claimed"
    os.kill(other.pid, signal.SIGSTOP)
    entry = ledger.entries().get("a")
    assert entry is not None
    deadline_s = time.monotonic() + LONG_S
    while ledger.is_being_done(entry) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    attempt = ledger.claim("a", 1, entry)
    assert attempt is not None
    failed = attempt.record.ended_as("failed")
    attempt.finish(failed)
    os.kill(other.pid, signal.SIGCONT)
    tell(other)
    assert said(other) == "finished"
    assert ledger.entries().get("a") == failed


def test_an_item_that_ends_before_it_is_claimed_again_is_left_alone(
    ledger: Ledger, start: Callable[..., Other]
) -> None:
    other = start(CLAIM_AND_STAY, "a")
    assert said(other) == "claimed"
    running = ledger.entries().get("a")
    assert running is not None
    tell(other)
    assert said(other) == "finished"
    other.wait()
    # Its heartbeat went after its end: only the record tells that it was no accident.
    assert not ledger.is_being_done(running)
    assert ledger.claim("a", 1, running) is None
    done = ledger.entries().get("a")
    assert isinstance(done, Record)
    assert done.state == "done"


def test_an_owner_without_a_heartbeat_has_ended(ledger: Ledger, owner: BatchOwner) -> None:
    elsewhere = replace(owner, id="f" * 16, process=replace(owner.process, boot="another"))
    assert ledger.is_lost(elsewhere)


def test_age_is_told_by_the_clock_of_the_file_system_alone(
    folder: BatchFolder, owner: BatchOwner, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(owner, id="0" * 16)
    with Heartbeat(folder.owners, other, every_s=LONG_S):
        os.utime(heartbeat_path(folder.owners, other.id), (time.time() - 70, time.time() - 70))
        monkeypatch.setattr(time, "time", lambda: 0.0)
        silent_s = silence_s(folder.owners, other.id, owner.id)
    assert silent_s is not None
    assert 69 <= silent_s < 70 + LONG_S


def test_a_heartbeat_goes_on_until_the_end(folder: BatchFolder, owner: BatchOwner) -> None:
    path = heartbeat_path(folder.owners, owner.id)
    with Heartbeat(folder.owners, owner, every_s=0.02):
        os.utime(path, (1, 1))
        deadline_s = time.monotonic() + LONG_S
        while path.stat().st_mtime == 1 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        assert path.stat().st_mtime > 1
    assert not path.exists()


def test_a_heartbeat_that_cannot_be_removed_spoils_no_batch(
    folder: BatchFolder, owner: BatchOwner
) -> None:
    path = heartbeat_path(folder.owners, owner.id)
    with Heartbeat(folder.owners, owner, every_s=LONG_S):
        path.unlink()
        # No file any more, so it cannot be removed as one.
        path.mkdir()
    assert path.is_dir()


TASK = SlurmTask(job="17", array_job="15", array_task="2", restart=1)


@pytest.mark.parametrize(
    ("theirs", "ours", "known"),
    [
        pytest.param(replace(TASK, restart=0), TASK, True, id="an-earlier-start"),
        pytest.param(TASK, TASK, False, id="the-same-start"),
        pytest.param(replace(TASK, restart=2), TASK, False, id="a-later-start"),
        pytest.param(replace(TASK, job="18", restart=0), TASK, False, id="another-task"),
        pytest.param(TASK, None, False, id="seen-from-outside"),
        pytest.param(None, TASK, False, id="not-of-slurm"),
    ],
)
def test_a_task_started_anew_knows_that_its_earlier_start_is_over(
    owner: BatchOwner, theirs: SlurmTask | None, ours: SlurmTask | None, known: bool
) -> None:
    elsewhere = replace(owner.process, boot="another")
    their_owner = replace(owner, id="0" * 16, process=elsewhere, slurm=theirs)
    assert is_known_dead(their_owner, replace(owner, slurm=ours)) is known


@pytest.mark.parametrize(
    ("environment", "task"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"SLURM_JOB_ID": "3"}, SlurmTask("3", "", "", 0), id="single"),
        pytest.param(
            {
                "SLURM_JOB_ID": "17",
                "SLURM_ARRAY_JOB_ID": "15",
                "SLURM_ARRAY_TASK_ID": "2",
                "SLURM_RESTART_COUNT": "1",
            },
            TASK,
            id="array",
        ),
    ],
)
def test_the_task_of_slurm(environment: dict[str, str], task: SlurmTask | None) -> None:
    assert SlurmTask.current(environment) == task


def test_a_record_survives_its_file(ledger: Ledger, folder: BatchFolder) -> None:
    owner = replace(BatchOwner.current({}), slurm=TASK)
    failure = Failure("OutOfMemory", 16, "It needed 3 GB.", "2 GB.", "Give it more.")
    record = Record(
        name="a.b c",
        attempt=1,
        state="failed",
        owner=owner,
        started="2020-01-02T03:04:05.678+00:00",
        ended="2020-01-02T03:04:06.789+00:00",
        size_bytes=11,
        failure=failure,
        log="batch/logs/a.b c.1.log",
        result={"verdict": "failed", "worst": 0.25},
        seen={"files": [["x", 1, 2, 3]]},
    )
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record
    attempt = ledger.claim("a.b c", 11, None)
    assert attempt is not None
    attempt.finish(record)
    assert read_entries(folder) == {"a.b c": record}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "Expecting value", id="empty"),
        pytest.param(b'{"format": "tf1-to', "Unterminated string", id="cut"),
        pytest.param(b"[1]", "no JSON object", id="no-object"),
        pytest.param(b"{}", "no record of version 1", id="no-record"),
        pytest.param(b"[" * 100_000, "nested too deeply", id="deep"),
        pytest.param(b'"\xff"', "invalid start byte", id="no-text"),
        pytest.param({"version": 2}, "no record of version 1", id="later-version"),
        pytest.param({"state": "finished"}, "unknown state 'finished'", id="unknown-state"),
        pytest.param({"attempt": "1"}, "'1' is no int", id="wrong-type"),
        pytest.param({"started": "soon"}, "Invalid isoformat string", id="no-time"),
        pytest.param({"ended": "2020-01-02T03:04:05"}, "tells no time zone", id="no-time-zone"),
        pytest.param({"owner": None}, "no owner: None", id="no-owner"),
        pytest.param({"owner": {"id": "../a"}}, "no owner: id '../a'", id="owner-elsewhere"),
        pytest.param({"owner": {"process": "-1"}}, "process '-1'", id="owner-without-number"),
        pytest.param({"failure": {"class_name": "x"}}, "'happened' is missing", id="half-failure"),
        pytest.param({"result": {"stage_s": {"load": 1e999}}}, "a number is", id="no-end"),
        pytest.param({"result": {"max_rel": float("nan")}}, "a number is", id="no-number"),
        pytest.param({"size_bytes": 10**400}, "a number is", id="beyond-all-sizes"),
        pytest.param({"name": "b"}, "it tells of b, attempt 1", id="another-item"),
        pytest.param({"attempt": 3}, "it tells of a, attempt 3", id="another-attempt"),
    ],
)
def test_a_file_that_is_no_record_is_told_and_hinders_nobody(
    ledger: Ledger, folder: BatchFolder, content: bytes | dict[str, Any], reason: str
) -> None:
    attempt = ledger.claim("a", 1, None)
    assert attempt is not None
    if isinstance(content, dict):
        content = json.dumps(changed(attempt.record.to_json(), content)).encode()
    attempt.path.write_bytes(content)
    entry = ledger.entries().get("a")
    assert isinstance(entry, Damaged)
    assert reason in entry.reason
    assert not ledger.is_being_done(entry)
    again = ledger.claim("a", 1, entry)
    assert again is not None
    assert ledger.entries() == {"a": again.record}


def changed(record: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A record with other values; "process" of an owner stands for that process's number."""
    owner = change.get("owner")
    if not owner:
        return {**record, **change}
    process = {**record["owner"]["process"], "pid": owner.get("process", "1")}
    return {**record, "owner": {**record["owner"], **owner, "process": process}}


def test_files_of_others_in_the_folder_are_left_alone(ledger: Ledger, folder: BatchFolder) -> None:
    for name in ("notes.txt", ".new-0123", "a.json", "a.0.json", "a.x.json"):
        (folder.ledger / name).write_text("{}")
    assert ledger.entries() == {}
