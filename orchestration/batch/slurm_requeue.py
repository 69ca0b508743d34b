"""At its time limit a task of Slurm's puts itself back into the queue, as long as that helps."""

from __future__ import annotations

import signal
from collections.abc import Mapping

import click

from orchestration.batch.owner import SlurmTask
from orchestration.batch.run import BatchOutcome
from orchestration.batch.slurm_jobs import Slurm


def requeue_if_useful(outcome: BatchOutcome, environment: Mapping[str, str]) -> bool:
    """Put this task back into the queue if it was told of its time limit with items left.

    Each start must have brought an item to its end: so a task comes back at most as often as it
    has items. Nothing else ends a task's life but Slurm: a cancelled one gets SIGTERM, and one that
    is preempted or has lost its node is put back by Slurm itself.

    Returns:
        Whether it was put back; Slurm then ends this process within seconds.

    Raises:
        SlurmUnusable, SlurmRefused: it did not work.
    """
    task = SlurmTask.current(environment)
    if task is None or not outcome.left or outcome.stopped_by != signal.SIGUSR1:
        return False
    if not outcome.own:
        click.echo(
            "Not put back into the queue: no item came to its end within the time limit."
            " Give tasks more --time.",
            err=True,
        )
        return False
    left = "1 item is" if outcome.left == 1 else f"{outcome.left} items are"
    click.echo(f"{left} left: task {task.name} goes back into the queue.", err=True)
    Slurm(environment).requeue(task.name)
    return True
