"""`batch --slurm` and `batch --cancel`: what is left goes to Slurm as an array, or comes back."""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from orchestration.batch.files import write_text_over
from orchestration.batch.items import Item
from orchestration.batch.memory import LANE_BYTES
from orchestration.batch.overview import LEFT, read_overview
from orchestration.batch.plan import Plan, stored_plan
from orchestration.batch.settings import BatchFolder, BatchSettings, SlurmSettings
from orchestration.batch.slurm_arguments import task_arguments
from orchestration.batch.slurm_jobs import Slurm
from orchestration.batch.slurm_left import names_left
from orchestration.batch.slurm_records import SubmittedJob, keep_job, kept_jobs, names_of_tasks
from orchestration.batch.slurm_script import SlurmJob, script_of, task_ranges
from orchestration.batch.stored_items import items_hash, latest_items, listed, stored_path
from orchestration.errors import EXIT_OK, SlurmRefused
from orchestration.result_folder import writing_to
from orchestration.run_context import RunContext
from orchestration.run_paths import repository_folder
from orchestration.summary import shown_path

_SUFFIX = ".sbatch"


@dataclass(frozen=True)
class Submission:
    """What one `--slurm` has to do.

    Attributes:
        settings: of the batch.
        slurm: what is to be submitted.
        items: all of it.
        plan: names of the items of each shard.
    """

    settings: BatchSettings
    slurm: SlurmSettings
    items: Sequence[Item]
    plan: Plan

    @property
    def folder(self) -> BatchFolder:
        """Of the batch."""
        return BatchFolder(self.settings.out)

    def tasks(self, names: Iterable[str]) -> tuple[int, ...]:
        """The shards that hold any of some items."""
        wanted = set(names)
        return tuple(
            number for number, own in enumerate(self.plan, start=1) if not wanted.isdisjoint(own)
        )

    def script(self, runtime: str, tasks: tuple[int, ...]) -> str:
        """The script for some of the shards."""
        job = SlurmJob(
            python=Path(os.path.abspath(sys.executable)),
            program=repository_folder() / "orchestrate.py",
            items_file=stored_path(self.items, self.folder),
            out=self.settings.out,
            log_folder=self.folder.slurm,
            shards=len(self.plan),
            tasks=tasks,
            arguments=task_arguments(self.settings, runtime),
            sbatch=self.slurm.sbatch,
        )
        return script_of(job)


def submit(
    settings: BatchSettings, slurm: SlurmSettings, items: Sequence[Item], context: RunContext
) -> int:
    """Submit the shards that have something left to do and are not in the queue already.

    Everything that a task needs is looked for here first: jobs pull and build nothing.

    Returns:
        The exit code: with `--wait` that of the batch.

    Raises:
        SlurmUnusable, SlurmRefused: Slurm does not take it.
        OrchestrationError: the runtime cannot run the items.
    """
    folder = BatchFolder(settings.out)
    if slurm.dry_run:
        plan = stored_plan(items, slurm.shards, folder, is_dry_run=True)
        submission = Submission(settings, slurm, items, plan)
        names = [item.name for item in read_overview(folder, listed(items)).of(*LEFT)]
        tasks = submission.tasks(names) or tuple(range(1, slurm.shards + 1))
        click.echo(submission.script(context.runtime.name, tasks), nl=False)
        return EXIT_OK
    programs = Slurm(context.environment)
    check_size(slurm.shards, programs.max_array_size())
    left = names_left(settings, items, context)
    submission = Submission(settings, slurm, items, stored_plan(items, slurm.shards, folder))
    covered = _covered(folder, programs, context)
    tasks = submission.tasks(left - covered)
    if tasks:
        _submit(submission, tasks, programs, context)
    elif left:
        context.display.notify("Nothing is submitted: all that is left is in the queue already.")
    else:
        context.display.notify("Nothing is submitted: nothing is left to do.")
    if slurm.wait:
        from orchestration.batch.slurm_wait import follow

        return follow(folder, items, programs, context)
    return EXIT_OK


def cancel(folder: BatchFolder, environment: Mapping[str, str] = os.environ) -> int:
    """Cancel every job of a batch that is in the queue.

    Raises:
        SlurmUnusable, SlurmRefused: it did not work.
        BadItems: no batch has run there, or what was submitted cannot be read.
    """
    kept = [job.job for job in kept_jobs(folder)]
    if not kept:
        # A folder that was written wrongly must not look as if its jobs were over.
        latest_items(folder)
    programs = Slurm(environment)
    in_queue = {task.job for task in programs.tasks(kept) if task.is_in_queue}
    jobs = [job for job in kept if job in in_queue]
    if jobs:
        programs.cancel(jobs)
        click.echo(f"Cancelled: {', '.join(f'job {job}' for job in jobs)}. What is done is kept.")
    else:
        click.echo(f"No job of {shown_path(folder.out)} is in the queue.")
    return EXIT_OK


def asks_for_memory(sbatch: Iterable[str], environment: Mapping[str, str]) -> bool:
    """Whether the user says how much memory a task gets.

    Args:
        sbatch: options for sbatch, one word each.
        environment: the caller's, in which sbatch looks for options, too.
    """
    return any(word.startswith("--mem") for word in sbatch) or any(
        name.startswith("SBATCH_MEM") for name in environment
    )


def check_size(count: int, max_array_size: int | None) -> None:
    """Refuse more shards than an array can have: its numbers stay below MaxArraySize."""
    if max_array_size is not None and count >= max_array_size:
        raise SlurmRefused(
            f"--shards {count} was given.",
            f"This cluster's arrays have at most {max_array_size - 1} tasks (MaxArraySize).",
            f"Give --shards {max_array_size - 1} or fewer; a shard does many items.",
        )


def _covered(folder: BatchFolder, programs: Slurm, context: RunContext) -> set[str]:
    """Names of the items that tasks of earlier jobs will do; these jobs are told."""
    kept = kept_jobs(folder)
    in_queue = [task for task in programs.tasks([job.job for job in kept]) if task.is_in_queue]
    names: set[str] = set()
    for job in kept:
        tasks = {task.number for task in in_queue if task.job == job.job}
        if tasks:
            which = task_ranges(sorted(tasks))
            context.display.notify(f"In the queue already: job {job.job}, shards {which}")
            names |= names_of_tasks(job, tasks, folder)
    return names


def _submit(
    submission: Submission, tasks: tuple[int, ...], programs: Slurm, context: RunContext
) -> None:
    folder, notify = submission.folder, context.display.notify
    if not asks_for_memory(submission.slurm.sbatch, context.environment):
        # What a cluster grants by itself is often less: Slurm then kills the whole task.
        needed = f"{LANE_BYTES / 1e9:.1f} GB an item at work are needed"
        notify(f"Tasks get the cluster's default memory (--sbatch names no --mem); about {needed}")
    text = submission.script(context.runtime.name, tasks)
    # A name of its own: another command may submit at the same time.
    new = folder.slurm / f"refused-{secrets.token_hex(4)}{_SUFFIX}"
    with writing_to(folder.out):
        folder.slurm.mkdir(parents=True, exist_ok=True)
        write_text_over(new, text)
    job = programs.submit(new)
    keep_job(SubmittedJob(job, items_hash(submission.items), len(submission.plan), tasks), folder)
    script = folder.slurm / f"{job}{_SUFFIX}"
    with writing_to(folder.out):
        new.replace(script)
    count = len(submission.plan)
    every = f"{count} shard{'' if count == 1 else 's'}"
    which = every if len(tasks) == count else f"shards {task_ranges(tasks)} of {count}"
    # The one thing that a program wants to read.
    click.echo(job)
    out = shlex.quote(shown_path(folder.out))
    notify(f"Submitted job {job}: {which}. Script: {shown_path(script)}")
    notify(f"Watch it:  squeue --me --jobs={job}")
    notify(f"Results:   python orchestrate.py batch --out {out} --status")
    notify(f"Cancel it: python orchestrate.py batch --out {out} --cancel")
