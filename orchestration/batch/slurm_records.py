"""What was submitted to Slurm for a batch: one small file a job, beside its script and its logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.batch.files import read_object, write_over
from orchestration.batch.plan import plan_path
from orchestration.batch.settings import BatchFolder
from orchestration.errors import BadItems
from orchestration.result_folder import writing_to


@dataclass(frozen=True)
class SubmittedJob:
    """An array that was submitted.

    Attributes:
        job: its id.
        items_key: hash of the list of items, see `stored_items.items_hash`.
        shards: into how many parts they are cut.
        tasks: the shards that it was submitted for.
    """

    job: str
    items_key: str
    shards: int
    tasks: tuple[int, ...]

    def log(self, task: int, folder: BatchFolder) -> Path:
        """Where Slurm writes what a task prints."""
        return folder.slurm / f"{self.job}_{task}.log"


def keep_job(job: SubmittedJob, folder: BatchFolder) -> None:
    """Write a job's file.

    Raises:
        DiskFull, OutputNotWritable: it cannot be written.
    """
    with writing_to(folder.slurm):
        write_over(_path(job.job, folder), {**vars(job), "tasks": list(job.tasks)})


def kept_jobs(folder: BatchFolder) -> list[SubmittedJob]:
    """Every job that was submitted, in the order of their ids.

    Raises:
        BadItems: a job's file has been damaged.
    """
    paths = sorted(folder.slurm.glob("*.json"), key=lambda path: (len(path.stem), path.stem))
    return [_read(path) for path in paths]


def names_of_tasks(job: SubmittedJob, tasks: set[int], folder: BatchFolder) -> set[str]:
    """Names of the items that some tasks of a job do.

    Raises:
        BadItems: the plan of its shards has been damaged.
    """
    path = plan_path(job.items_key, job.shards, folder)
    try:
        plan: list[list[str]] = read_object(path)["shards"]
        return {str(name) for task in tasks for name in plan[task - 1]}
    except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
        raise _damaged(path, error) from error


def _path(job: str, folder: BatchFolder) -> Path:
    return folder.slurm / f"{job}.json"


def _read(path: Path) -> SubmittedJob:
    try:
        return _job_of(read_object(path))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged(path, error) from error


def _job_of(value: Mapping[str, Any]) -> SubmittedJob:
    job = str(value["job"])
    if not job.isdecimal():
        raise ValueError(f"{job!r} is no job")
    tasks = tuple(int(task) for task in value["tasks"])
    return SubmittedJob(job, str(value["items_key"]), int(value["shards"]), tasks)


def _damaged(path: Path, error: Exception) -> BadItems:
    return BadItems(
        f"{path} cannot be read: {error!r}.",
        "It was expected to be as this program has written it.",
        "See with `squeue --me` what is in the queue, then remove that file.",
    )
