"""Slurm's own programs, each as one call with a time limit.

Accounting (sacct) is not needed: a cluster may have none.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.batch.slurm_states import Standing, standing_of
from orchestration.errors import SlurmRefused, SlurmUnusable

# A busy controller may take half a minute; its programs give up by themselves later.
CALL_TIMEOUT_S = 60.0
_FIELD = "|"
# "id", or "id;cluster"; a site's own program of that name may greet first.
_SUBMITTED = re.compile(r"^(?P<job>\d+)(;\S*)?\s*$", re.MULTILINE)
_TASK_ID = re.compile(r"(?P<job>\d+)_(?P<number>\d+)")
_MAX_ARRAY_SIZE = re.compile(r"^MaxArraySize\s*=\s*(\d+)", re.MULTILINE)
_NO_SUCH_JOB = "Invalid job id specified"
_NO_CONTROLLER = (
    "Unable to contact slurm controller",
    "Unable to establish configuration source",
    "Unable to resolve",
    "Unable to process configuration file",
    "Protocol authentication error",
)
# They overrule the script, or hide jobs.
_SPOILING = re.compile(
    "(SQUEUE|SCANCEL|SACCT)_.*"
    "|SBATCH_(ARRAY_INX|CLUSTERS|ERROR|NO_REQUEUE|OPEN_MODE|OUTPUT|SIGNAL|WAIT)"
)


@dataclass(frozen=True)
class Task:
    """What Slurm says of one task of an array.

    Attributes:
        job: id of the array.
        number: of the task, which is its shard's.
        state: Slurm's word.
        reason: why it waits, or how it ended; "" where Slurm has nothing to say.
    """

    job: str
    number: int
    state: str
    reason: str = ""

    @property
    def standing(self) -> Standing:
        """What its state means."""
        return standing_of(self.state, self.reason)

    @property
    def is_in_queue(self) -> bool:
        """True unless it is known to be over."""
        return self.standing is not Standing.ENDED


@dataclass(frozen=True)
class Slurm:
    """The Slurm that the caller's environment leads to.

    Attributes:
        environment: the caller's.
        timeout_s: longest time for one call.
    """

    environment: Mapping[str, str]
    timeout_s: float = CALL_TIMEOUT_S

    def submit(self, script: Path) -> str:
        """Submit a script; returns the job's id.

        Raises:
            SlurmUnusable: there is no sbatch, no controller answers, or the answer names no job.
            SlurmRefused: sbatch said no.
        """
        answer = self._call(["sbatch", "--parsable", os.fspath(script)])
        if answer.returncode != 0:
            raise SlurmRefused(
                f"sbatch refused the job: {_last_words(answer)}",
                "It takes what the cluster's partitions, accounts and limits allow.",
                f"Change --sbatch or --shards; the script is kept as {script}.",
            )
        match = _SUBMITTED.search(answer.stdout)
        if match is None:
            raise SlurmUnusable(
                f"sbatch answered {answer.stdout.strip()!r}.",
                "The id of the job was expected.",
                "See with `squeue --me` whether there is one, and cancel it: `scancel ID`.",
            )
        return match["job"]

    def tasks(self, jobs: Collection[str]) -> list[Task]:
        """Tasks that the controller still knows of; those that ended long ago are not among them.

        Raises:
            SlurmUnusable: there is no squeue, or no controller answers.
        """
        if not jobs:
            return []
        command = ["squeue", f"--jobs={','.join(jobs)}", "--array", "--states=all", "--noheader"]
        answer = self._call([*command, f"--format={_FIELD.join(('%F', '%K', '%T', '%r'))}"])
        if answer.returncode != 0 and _NO_SUCH_JOB not in answer.stderr:
            raise _no_answer(answer)
        return list(_tasks_of_queue(answer.stdout.splitlines()))

    def accounted(self, jobs: Collection[str]) -> list[Task] | None:
        """Tasks as the accounting has them, some seconds late; None where there is none."""
        if not jobs:
            return []
        command = ["sacct", f"--jobs={','.join(jobs)}", "--allocations", "--noheader"]
        try:
            answer = self._call([*command, "--parsable2", "--format=JobID,State,ExitCode"])
        except SlurmUnusable:
            return None
        if answer.returncode != 0:
            return None
        return list(_tasks_of_accounting(answer.stdout.splitlines()))

    def cancel(self, jobs: Sequence[str]) -> None:
        """Cancel whole jobs, running and waiting; one that is over is no error.

        Raises:
            SlurmUnusable: there is no scancel, or no controller answers.
            SlurmRefused: the caller may not cancel one of them.
        """
        answer = self._call(["scancel", *jobs])
        if answer.returncode != 0 and _NO_SUCH_JOB not in answer.stderr:
            raise SlurmRefused(
                f"scancel refused: {_last_words(answer)}",
                "Only who has submitted a job may cancel it.",
                f"Ask that person to run: scancel {' '.join(jobs)}",
            )

    def requeue(self, task: str) -> None:
        """Put a running task back into the queue, which also ends it.

        Raises:
            SlurmUnusable: there is no scontrol, or no controller answers.
            SlurmRefused: this cluster does not allow it.
        """
        answer = self._call(["scontrol", "requeue", task])
        if answer.returncode != 0:
            raise SlurmRefused(
                f"The task {task} was not put back into the queue: {_last_words(answer)}",
                "The cluster must allow jobs to be requeued.",
                "Run `python orchestrate.py batch --slurm` again: it submits what is left.",
            )

    def max_array_size(self) -> int | None:
        """The cluster's MaxArraySize: task numbers stay below it. None: it is not told.

        Raises:
            SlurmUnusable: there is no scontrol, or no controller answers.
        """
        match = _MAX_ARRAY_SIZE.search(self._call(["scontrol", "show", "config"]).stdout)
        return int(match[1]) if match else None

    def _call(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        environment = {
            name: value for name, value in self.environment.items() if not _SPOILING.fullmatch(name)
        }
        try:
            answer = subprocess.run(
                command,
                env={**environment, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="backslashreplace",
                timeout=self.timeout_s,
                check=False,
            )
        except FileNotFoundError as error:
            raise SlurmUnusable(
                f"There is no program {command[0]!r} here.",
                "Jobs are submitted on a login node of a cluster that has Slurm.",
                "Load the cluster's module for Slurm, or log in there. Other schedulers: --shard.",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise SlurmUnusable(
                f"{command[0]} did not answer within {self.timeout_s:.0f} s.",
                "Slurm's controller answers within seconds.",
                "Try again later; see with `squeue --me` what has reached it.",
            ) from error
        if answer.returncode != 0 and any(text in answer.stderr for text in _NO_CONTROLLER):
            raise _no_answer(answer)
        return answer


def _tasks_of_queue(lines: Iterable[str]) -> Iterator[Task]:
    for line in lines:
        job, number, state, reason = line.strip().split(_FIELD, 3)
        if number.isdecimal():
            yield Task(job, int(number), state, "" if reason == "None" else reason)


def _tasks_of_accounting(lines: Iterable[str]) -> Iterator[Task]:
    for line in lines:
        name, state, exit_code = line.strip().split(_FIELD, 2)
        match = _TASK_ID.fullmatch(name)
        if match:
            ending = f"exit code {exit_code}" if exit_code not in ("", "0:0") else ""
            yield Task(match["job"], int(match["number"]), state, ending)


def _no_answer(answer: subprocess.CompletedProcess[str]) -> SlurmUnusable:
    return SlurmUnusable(
        f"{answer.args[0]} failed: {_last_words(answer)}",
        "Slurm's controller must answer.",
        "Try again later, or ask whoever runs the cluster.",
    )


def _last_words(answer: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in answer.stderr.splitlines() if line.strip()]
    return " ".join(lines[-3:]) or f"exit code {answer.returncode}"
