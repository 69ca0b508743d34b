"""`batch --slurm` on a real Slurm, with tiny stages in place of TensorFlow and torch."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator

import pytest

from orchestration.batch.slurm import check_size
from orchestration.batch.slurm_jobs import Slurm
from orchestration.errors import (
    EXIT_INTERRUPTED,
    EngineForbidden,
    EngineNotInstalled,
    EngineNotRunning,
    ImageMissing,
    ImageUnusable,
    SlurmRefused,
)
from tests.orchestration.conftest import Machine
from tests.slurm_cluster import require_slurm, wait_until

SMALL = "--sbatch=--mem=300 --time=5"
HANG = "hang"
IMAGES = (EngineForbidden, ImageMissing, ImageUnusable)


class Cluster:
    """A batch's folder on a machine that has Slurm."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.out = machine.folder / "con verted"
        self.slurm = Slurm(os.environ)

    def checkpoints(self, **behaviours: str) -> None:
        for name, behaviour in behaviours.items():
            self.machine.checkpoint(behaviour, f"runs/{name}/ckpt")

    def batch(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.machine.run(
            "batch", "runs/*/ckpt", "--model", "unet", "--out", self.out, *options
        )

    def process(self, *options: str) -> subprocess.Popen[str]:
        """The same, started."""
        command = [*self.machine.program, "batch", "runs/*/ckpt", "--model=unet", "--out", self.out]
        return subprocess.Popen(
            [*command, *options],
            cwd=self.machine.folder,
            env=dict(self.machine.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def submit(self, *options: str) -> str:
        answer = self.batch("--slurm", SMALL, *options)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    def states(self, job: str) -> dict[int, str]:
        return {task.number: task.state for task in self.slurm.tasks([job])}

    def jobs(self) -> list[str]:
        return [path.stem for path in (self.out / "batch" / "slurm").glob("*.json")]

    def results(self) -> set[str]:
        return {path.parent.name for path in self.out.glob("*/manifest.json")}

    def log(self, job: str, task: int = 1) -> str:
        path = self.out / "batch" / "slurm" / f"{job}_{task}.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def ledger(self) -> dict[str, str]:
        """Stem of each record -> its state."""
        paths = (self.out / "batch" / "ledger").glob("*.json")
        return {path.stem: json.loads(path.read_bytes())["state"] for path in paths}


@pytest.fixture
def cluster(machine: Machine) -> Iterator[Cluster]:
    require_slurm()
    found = Cluster(machine)
    yield found
    if found.jobs():
        found.slurm.cancel(found.jobs())


def test_a_dry_run_prints_the_script_and_leaves_nothing_behind(cluster: Cluster) -> None:
    cluster.checkpoints(a="fine", b="fine", c="fine")
    answer = cluster.batch("--slurm", "--shards=2", "--sbatch=-p main", "--dry-run", "--verify")
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    log = f"{cluster.out}/batch/slurm/%A_%a.log"
    assert {"#SBATCH --array=1-2", "#SBATCH -p main", f'#SBATCH --output="{log}"'} < set(lines)
    assert lines[-2:] == ["    --runtime local \\", "    --verify"]
    assert not cluster.out.exists()


def test_the_whole_way(cluster: Cluster) -> None:
    cluster.checkpoints(a="fine", b="fine", c="fail", d="fine", e="fine")
    answer = cluster.batch("--slurm", SMALL, "--shards=2", "--wait")
    job = answer.stdout.strip()
    assert answer.returncode == 3, answer.stderr
    assert f"Submitted job {job}: 2 shards" in answer.stderr
    assert f"squeue --me --jobs={job}" in answer.stderr
    assert answer.stderr.splitlines()[-2].startswith("4 done, 1 failed, 0 left")
    assert (cluster.out / "summary.csv").read_text().count("\n") == 6
    assert len(cluster.results()) == 4
    assert (cluster.out / "batch" / "slurm" / f"{job}.sbatch").is_file()
    assert sorted(cluster.states(job).values()) == ["COMPLETED", "FAILED"]
    status = cluster.machine.run("batch", "--out", cluster.out, "--status")
    assert "FAILED: items of the task failed (exit code 3)" in status.stdout
    assert "batch/slurm/JOB_SHARD.log" in status.stdout
    # Each item was done by one of the tasks, in one attempt.
    assert sorted(cluster.ledger().values()) == ["done"] * 4 + ["failed"]
    assert all(name.endswith(".1") for name in cluster.ledger())

    again = cluster.batch("--slurm", SMALL, "--shards=2")
    assert (again.returncode, again.stdout) == (0, "")
    assert "nothing is left to do" in again.stderr
    retried = cluster.batch("--slurm", SMALL, "--shards=2", "--retry-failed", "--wait")
    assert retried.returncode == 3, retried.stderr
    assert re.search(r"shards [12] of 2", retried.stderr)
    assert sorted(cluster.ledger().values()) == ["done"] * 4 + ["failed"] * 2


def test_what_is_in_the_queue_is_not_submitted_again(cluster: Cluster) -> None:
    cluster.checkpoints(a=HANG, b=HANG)
    # Nothing runs before the test has looked.
    waiting = ("--sbatch", "--begin=now+600")
    first = cluster.submit("--shards=2", *waiting)
    second = cluster.batch("--slurm", SMALL, "--shards=2", *waiting)
    assert (second.returncode, second.stdout) == (0, "")
    assert f"In the queue already: job {first}, shards 1-2" in second.stderr
    assert "all that is left is in the queue already" in second.stderr
    # Another list of items, cut in another way: what the first job does not hold goes alone.
    cluster.checkpoints(c=HANG)
    third = cluster.submit("--shards=3", *waiting)
    assert list(cluster.states(third).values()) == ["PENDING"]
    status = cluster.machine.run("batch", "--out", cluster.out, "--status").stdout
    # Of the latest list: none is done, whatever Slurm says of tasks.
    assert "  queued          3\n" in status
    assert f"Slurm's jobs (shards)\n  {first}: 1-2 PENDING (BeginTime)\n  {third}: " in status
    cancelled = cluster.machine.run("batch", "--out", cluster.out, "--cancel")
    assert cancelled.returncode == 0, cancelled.stderr
    assert cancelled.stdout.startswith(f"Cancelled: job {first}, job {third}.")
    assert set(cluster.states(first).values()) == {"CANCELLED"}
    assert set(cluster.states(third).values()) == {"CANCELLED"}
    nothing = cluster.machine.run("batch", "--out", cluster.out, "--cancel")
    assert "No job" in nothing.stdout
    fourth = cluster.submit("--shards=3", *waiting)
    assert len(cluster.states(fourth)) == 3


def test_a_cancelled_task_gives_its_item_back(cluster: Cluster) -> None:
    cluster.checkpoints(a=HANG)
    job = cluster.submit("--shards=1")
    wait_until(lambda: "running" in cluster.ledger().values(), "an item at work")
    assert cluster.machine.run("batch", "--out", cluster.out, "--cancel").returncode == 0
    wait_until(lambda: cluster.states(job) == {1: "CANCELLED"}, "the end of the task")
    wait_until(lambda: list(cluster.ledger().values()) == ["released"], "the item given back")
    assert cluster.results() == set()


@pytest.mark.slow
def test_at_its_time_limit_a_task_comes_back_as_long_as_that_helps(cluster: Cluster) -> None:
    cluster.checkpoints(a="fine", b=HANG)
    job = cluster.submit("--shards=1")

    def warn(attempt: str) -> None:
        """As Slurm does near the limit, once the item that hangs is at work."""

        def is_at_work() -> bool:
            return ("running", attempt) in [
                (state, name[-len(attempt) :]) for name, state in cluster.ledger().items()
            ]

        wait_until(is_at_work, f"attempt {attempt}")
        subprocess.run(["scancel", "--batch", "--signal=USR1", f"{job}_1"], check=True)

    wait_until(lambda: "done" in cluster.ledger().values(), "the first item")
    warn(".1")
    wait_until(lambda: "goes back into the queue" in cluster.log(job), "the requeue")
    warn(".2")
    wait_until(lambda: cluster.states(job) == {1: "FAILED"}, "the end of the task")
    assert "Not put back into the queue: no item came to its end" in cluster.log(job)
    assert len(cluster.results()) == 1
    assert sorted(cluster.ledger().values()) == ["done", "released", "released"]


def test_what_a_task_would_lack_is_told_before_anything_is_submitted(cluster: Cluster) -> None:
    cluster.checkpoints(a="fine")
    options = ["--slurm", "--shards=1", "--runtime=docker", "--image-load=no/such:image"]
    with cluster.process(*options) as process:
        process.communicate()
    assert process.returncode in [
        error.exit_code for error in (EngineNotInstalled, EngineNotRunning, *IMAGES)
    ]
    assert cluster.jobs() == []


def test_whoever_waits_may_go_and_the_jobs_go_on(cluster: Cluster) -> None:
    cluster.checkpoints(a=HANG)
    with cluster.process("--runtime=local", "--slurm", SMALL, "--shards=1", "--wait") as waiter:
        wait_until(lambda: "running" in cluster.ledger().values(), "an item at work")
        waiter.send_signal(signal.SIGINT)
        _, said = waiter.communicate()
    assert waiter.returncode == EXIT_INTERRUPTED
    assert "0 done, 0 failed, 1 left" in said
    cancel_it = f"python orchestrate.py batch --out '{cluster.out.name}'"
    assert f"The jobs go on. To cancel them: {cancel_it}" in said
    [job] = cluster.jobs()
    assert cluster.states(job) == {1: "RUNNING"}


def test_sbatch_says_no(cluster: Cluster) -> None:
    cluster.checkpoints(a="fine")
    answer = cluster.batch("--slurm", "--shards=1", "--sbatch=--partition=nowhere")
    assert answer.returncode == SlurmRefused.exit_code
    assert "partition" in answer.stderr
    [script] = (cluster.out / "batch" / "slurm").glob("refused-*.sbatch")
    assert os.fspath(script) in answer.stderr
    assert cluster.jobs() == []


@pytest.mark.parametrize(
    ("count", "limit"), [(1000, 1001), (1, 2), (5000, None)], ids=["most", "one", "unknown"]
)
def test_sizes_of_arrays(count: int, limit: int | None) -> None:
    check_size(count, limit)


@pytest.mark.parametrize(("count", "limit"), [(1001, 1001), (5000, 1001), (2, 1)])
def test_sizes_that_an_array_cannot_have(count: int, limit: int) -> None:
    with pytest.raises(SlurmRefused, match=f"at most {limit - 1} tasks"):
        check_size(count, limit)
