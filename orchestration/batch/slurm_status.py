"""What Slurm adds to `batch --status`: where the tasks stand. Of items it knows nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from orchestration.batch.settings import BatchFolder
from orchestration.batch.slurm_jobs import Slurm, Task
from orchestration.batch.slurm_records import kept_jobs
from orchestration.batch.slurm_script import task_ranges
from orchestration.errors import BadItems, SlurmUnusable
from orchestration.summary import shown_path

# A look at the ledger is quick, and must stay so where the controller is away.
_TIMEOUT_S = 5.0


def slurm_lines(folder: BatchFolder, environment: Mapping[str, str]) -> Iterator[str]:
    """One line a job that the controller still knows of; nothing where none was submitted."""
    try:
        jobs = [job.job for job in kept_jobs(folder)]
        tasks = Slurm(environment, _TIMEOUT_S).tasks(jobs)
    except (BadItems, SlurmUnusable) as error:
        yield ""
        yield f"Of jobs nothing is known: {error.happened}"
        return
    if tasks:
        yield ""
        yield "Slurm's jobs (shards)"
    for job in jobs:
        own = [task for task in tasks if task.job == job]
        if own:
            yield f"  {job}: {', '.join(_groups(own))}"
    if any(task.state == "FAILED" for task in tasks):
        yield (
            "  FAILED: items of the task failed (exit code 3) or are left (75), it could not run,"
            " or was killed"
        )
        yield f"  Each task's log: {shown_path(folder.slurm)}/JOB_SHARD.log"


def _groups(tasks: Iterable[Task]) -> Iterator[str]:
    """Tasks by state, in Slurm's words; why they wait, if they do."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for task in tasks:
        reason = f" ({task.reason})" if task.reason and task.is_in_queue else ""
        numbers.setdefault((task.state, reason), []).append(task.number)
    for (state, reason), found in numbers.items():
        yield f"{task_ranges(sorted(found))} {state}{reason}"
