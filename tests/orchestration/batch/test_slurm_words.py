"""What tasks of a job are told, and what people are told of them: exact values."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from orchestration.batch.command import batch
from orchestration.batch.options import batch_settings
from orchestration.batch.settings import BatchFolder, BatchSettings
from orchestration.batch.slurm import asks_for_memory, cancel
from orchestration.batch.slurm_arguments import task_arguments
from orchestration.batch.slurm_jobs import Task
from orchestration.batch.slurm_records import SubmittedJob, keep_job, kept_jobs
from orchestration.batch.slurm_status import slurm_lines
from orchestration.batch.slurm_wait import lines_of_ended, words_of
from orchestration.errors import BadItems
from orchestration.settings import RuntimeOptions
from tests.orchestration.batch.conftest import HELP
from tests.orchestration.batch.made_batch import CORRUPT, MadeBatch, figures

# Of the submitting command alone.
NOT_PASSED_ON = {"out", "shard", "requeue"}


def given_back(settings: BatchSettings) -> BatchSettings:
    """The settings that a task reads from its options."""
    words = task_arguments(settings, settings.runtime.name)
    context = batch.make_context("batch", ["items", "--out", "converted", *words], **HELP)
    return replace(batch_settings(context.params), out=settings.out)


def test_tasks_get_no_options_but_the_runtime_where_none_were_given() -> None:
    assert task_arguments(BatchSettings(Path("/o")), "podman") == ("--runtime", "podman")


def test_every_option_reaches_the_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    python, wheels = tmp_path / "my python", tmp_path / "wheels"
    python.touch()
    wheels.mkdir()
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("einops==0.8.0\n")
    changes: dict[str, Any] = {
        "force": True,
        "jobs": 3,
        "memory_bytes": 5 << 29,
        "item_timeout_s": 90.5,
        "recycle_after": 7,
        "retry_failed": True,
        "verify": True,
    }
    runtime_changes: dict[str, Any] = {
        "name": "docker",
        "device": "cuda:1",
        "memory_limit_bytes": 3 << 30,
        "legacy_python": python,
        "load_python": python,
        "wheelhouse": wheels,
        "torch_variant": "cuda",
        "requirements": requirements,
        "extract_image": "lab/extract:2",
        "load_image": "lab/load:2",
        "unsquash": True,
    }
    runtime = RuntimeOptions(**runtime_changes)
    settings = BatchSettings(tmp_path, runtime=runtime, **changes)
    assert given_back(settings) == settings
    # Of a setting that is added the tasks must not be left in ignorance.
    names = {field.name for field in fields(BatchSettings)} - NOT_PASSED_ON - {"runtime"}
    assert names == changes.keys()
    assert {field.name for field in fields(RuntimeOptions)} == runtime_changes.keys()


def test_an_image_file_is_told_by_its_path_from_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.sif").touch()
    options = RuntimeOptions(extract_image="x.sif", load_image="y.sif")
    words = task_arguments(BatchSettings(tmp_path, runtime=options), "apptainer")
    assert words[2:] == ("--image-extract", f"{tmp_path}/x.sif", "--image-load", "y.sif")


@pytest.fixture
def made(tmp_path: Path) -> MadeBatch:
    batch_made = MadeBatch(tmp_path / "out")
    batch_made.add("a", "done", result=figures())
    batch_made.add("b", "failed", failure=CORRUPT)
    batch_made.add("c", "released")
    batch_made.add("d")
    return batch_made


COUNTS = "1 done, 1 failed, 2 left"


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        pytest.param([], COUNTS, id="nothing-in-the-queue"),
        pytest.param([Task("5", 1, "COMPLETED"), Task("5", 2, "FAILED")], COUNTS, id="over"),
        pytest.param(
            [Task("5", 1, "RUNNING"), Task("5", 2, "PENDING", "Priority")],
            f"{COUNTS}; shards: 1 at work, 1 waiting",
            id="at-work",
        ),
        pytest.param(
            [Task("5", 1, "PENDING", "PartitionTimeLimit"), Task("5", 2, "PENDING", "Priority")],
            f"{COUNTS}; shards: 2 waiting (PartitionTimeLimit, Priority)",
            id="why-nothing-moves",
        ),
        pytest.param(
            [Task("5", 1, "REQUEUE_HOLD"), Task("5", 2, "NEW_STATE")],
            f"{COUNTS}; shards: 1 held, 1 in an unknown state",
            id="neither-is-over",
        ),
    ],
)
def test_how_far_it_is(made: MadeBatch, tasks: list[Task], words: str) -> None:
    assert words_of(made.overview(), tasks) == words


def test_how_tasks_ended_that_left_items(tmp_path: Path) -> None:
    folder = BatchFolder(tmp_path)
    jobs = [SubmittedJob("5", "cafe", 3, (1, 2, 3))]
    known = [Task("5", 1, "COMPLETED"), Task("5", 2, "FAILED", "NonZeroExitCode")]
    accounted = [
        Task("5", 2, "FAILED", "exit code 75:0"),
        Task("5", 3, "TIMEOUT", "exit code 0:15"),
    ]
    log = f"{tmp_path}/batch/slurm/5_"
    last = "Items are left. The same command again submits them."
    assert lines_of_ended(known, accounted, jobs, folder) == [
        f"Shard 2 (job 5_2): FAILED, exit code 75:0. Log: {log}2.log",
        f"Shard 3 (job 5_3): TIMEOUT, exit code 0:15. Log: {log}3.log",
        last,
    ]
    assert lines_of_ended(known, None, jobs, folder) == [
        f"Shard 2 (job 5_2): FAILED, NonZeroExitCode. Log: {log}2.log",
        last,
    ]


@pytest.mark.parametrize(
    ("sbatch", "environment", "asks"),
    [
        pytest.param(["--time=1"], {}, False, id="nothing"),
        pytest.param(["--time=1", "--mem=3G"], {}, True, id="for-the-task"),
        pytest.param(["--mem-per-cpu", "2G"], {}, True, id="for-each-core"),
        pytest.param([], {"SBATCH_MEM_PER_NODE": "3G"}, True, id="by-a-variable"),
    ],
)
def test_whether_memory_is_asked_for(
    sbatch: list[str], environment: dict[str, str], asks: bool
) -> None:
    assert asks_for_memory(sbatch, environment) is asks


def test_nothing_is_cancelled_where_no_batch_has_run(tmp_path: Path) -> None:
    with pytest.raises(BadItems, match="No items are known in"):
        cancel(BatchFolder(tmp_path / "typo"))


def test_jobs_are_kept_in_the_order_of_their_ids(tmp_path: Path) -> None:
    folder = BatchFolder(tmp_path)
    assert kept_jobs(folder) == []
    folder.slurm.mkdir(parents=True)
    jobs = [SubmittedJob(job, "cafe", 4, (1, 3)) for job in ("9", "10", "100")]
    for job in reversed(jobs):
        keep_job(job, folder)
    assert kept_jobs(folder) == jobs


@pytest.mark.parametrize("text", ["", "{}", '{"job": "5; rm", "items_key": "", "shards": 1}', "[]"])
def test_a_damaged_file_of_a_job_is_told(tmp_path: Path, text: str) -> None:
    folder = BatchFolder(tmp_path)
    folder.slurm.mkdir(parents=True)
    (folder.slurm / "5.json").write_text(text)
    with pytest.raises(BadItems, match=r"5\.json cannot be read"):
        kept_jobs(folder)


def test_status_where_no_slurm_answers(tmp_path: Path) -> None:
    folder = BatchFolder(tmp_path)
    # Nothing was submitted: Slurm is not even asked.
    assert list(slurm_lines(folder, {"PATH": "/nowhere"})) == []
    folder.slurm.mkdir(parents=True)
    keep_job(SubmittedJob("5", "cafe", 2, (1, 2)), folder)
    assert list(slurm_lines(folder, {"PATH": "/nowhere"})) == [
        "",
        "Of jobs nothing is known: There is no program 'squeue' here.",
    ]
