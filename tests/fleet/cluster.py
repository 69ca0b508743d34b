"""What may happen to jobs on a cluster, done to a real Slurm on purpose."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.slurm_cluster import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
SLURM = REPOSITORY / ".ci" / "slurm"


@dataclass(frozen=True)
class Task:
    """One task of an array in the queue.

    Attributes:
        job: "12_3": of the array and its task.
        shard: number of the task.
        state: Slurm's word.
        node: where it runs; "" while it waits.
    """

    job: str
    shard: int
    state: str
    node: str


def tell(*command: str | Path) -> str:
    """Run a command of root's; gives what it prints.

    Raises:
        AssertionError: it fails.
    """
    done = subprocess.run(
        list(map(os.fspath, command)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class Cluster:
    """The queue, as far as it holds the jobs of one name.

    Args:
        job_name: of all jobs that are looked at.
    """

    def __init__(self, job_name: str) -> None:
        self.job_name = job_name

    def tasks(self) -> list[Task]:
        """All tasks in the queue."""
        columns = "--format=%F_%K|%K|%T|%N"
        text = tell("squeue", "--noheader", "--array", f"--name={self.job_name}", columns)
        rows = (line.split("|") for line in text.split())
        return [Task(job, int(shard), state, node) for job, shard, state, node in rows]

    def running(self) -> list[Task]:
        """The tasks that run."""
        return [task for task in self.tasks() if task.state == "RUNNING"]

    def copies(self, shard: int) -> int:
        """How many tasks do a shard at this moment."""
        return sum(task.shard == shard for task in self.running())

    def is_empty(self) -> bool:
        """Nothing runs or waits."""
        return not self.tasks()

    def run_twice(self, script: Path, task: Task, node: str, run_as: list[str]) -> None:
        """Submit a shard that runs once more, on a node where another task has to make room."""
        options = ["--partition=urgent", f"--nodelist={node}", f"--array={task.shard}"]
        tell(*run_as, "sbatch", f"--job-name={self.job_name}", *options, script)

    def end_soon(self, task: Task) -> None:
        """Cut a task's time limit to a minute since its start."""
        tell("scontrol", "update", f"JobId={task.job}", "TimeLimit=1")

    def kill(self, node: str) -> None:
        """End a node and all that runs there, as a crash does."""
        tell(SLURM, "kill-node", node)

    def is_down(self, node: str) -> bool:
        """Whether Slurm has noticed that a node is gone."""
        return "down" in tell("sinfo", "--noheader", f"--nodes={node}", "--format=%T")

    def start(self, node: str) -> None:
        """Bring a node back."""
        tell(SLURM, "start-node", node)

    def cancel(self) -> None:
        """End all tasks."""
        tell("scancel", f"--name={self.job_name}")


@dataclass(frozen=True)
class Hit:
    """Whom a storm has hit: numbers of shards.

    Attributes:
        crashed: all of them ran on the node that was killed.
        crowded: one of them had to make room.
    """

    crashed: frozenset[int]
    crowded: frozenset[int]


def make_a_storm(cluster: Cluster, script: Path, run_as: list[str]) -> Hit:
    """On three nodes with two tasks each: a crash, a preemption, a time limit, a task twice."""
    nodes: dict[str, list[Task]] = {}
    for task in cluster.running():
        nodes.setdefault(task.node, []).append(task)
    crashing, crowded, calm = sorted(nodes, key=lambda node: len(nodes[node]))
    twice, limited = nodes[calm]
    # It does not find room there before another task has gone.
    cluster.run_twice(script, twice, crowded, run_as)
    wait_until(lambda: cluster.copies(twice.shard) == 2, f"two copies of shard {twice.shard}")
    cluster.end_soon(limited)
    cluster.kill(crashing)
    wait_until(lambda: cluster.is_down(crashing), f"{crashing} is down", 120)
    cluster.start(crashing)
    shards = {node: frozenset(task.shard for task in tasks) for node, tasks in nodes.items()}
    return Hit(shards[crashing], shards[crowded])
