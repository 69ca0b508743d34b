"""Slurm's programs, called for real; and what each state of a job means."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestration.batch.slurm_jobs import Slurm, Task
from orchestration.batch.slurm_states import STATES, Standing, standing_of
from orchestration.errors import SlurmRefused, SlurmUnusable
from tests.slurm_cluster import require_slurm, wait_until

PROGRAMS = ("sbatch", "squeue", "sacct", "scancel", "scontrol")
WAITING, RUNNING, HELD = Standing.WAITING, Standing.RUNNING, Standing.HELD
ENDED, UNKNOWN = Standing.ENDED, Standing.UNKNOWN


@pytest.fixture
def slurm() -> Slurm:
    require_slurm()
    return Slurm(os.environ)


Submit = Callable[..., str]


@pytest.fixture
def submit(slurm: Slurm, tmp_path: Path) -> Iterator[Submit]:
    """Submits an array of tasks that run a line of shell; what is left of it is cancelled."""
    jobs: list[str] = []

    def run(line: str, tasks: str = "1", more: str = "", by: Slurm = slurm) -> str:
        script = tmp_path / "job.sbatch"
        options = f"--array={tasks} --output={tmp_path}/%A_%a.log --mem=50 --time=2 {more}"
        lines = [f"#SBATCH {option}" for option in options.split()]
        script.write_text("\n".join(["#!/bin/bash", *lines, line, ""]), encoding="utf-8")
        jobs.append(by.submit(script))
        return jobs[-1]

    yield run
    if jobs:
        slurm.cancel(jobs)


@pytest.mark.parametrize("greeting", ["Welcome to cluster 7", "", "3 new messages"])
def test_a_site_s_own_sbatch_may_greet(greeting: str, submit: Submit, tmp_path: Path) -> None:
    own = tmp_path / "bin" / "sbatch"
    own.parent.mkdir()
    own.write_text(f'#!/bin/sh\necho "{greeting}"\nexec {shutil.which("sbatch")} "$@"\n')
    own.chmod(0o755)
    job = submit("true", by=Slurm({**os.environ, "PATH": f"{own.parent}:{os.environ['PATH']}"}))
    assert job.isdecimal()
    assert [task.job for task in Slurm(os.environ).tasks([job])] == [job]


def test_an_sbatch_that_names_no_job_is_not_believed(tmp_path: Path) -> None:
    own = tmp_path / "sbatch"
    own.write_text("#!/bin/sh\necho Thanks\n")
    own.chmod(0o755)
    with pytest.raises(SlurmUnusable, match="sbatch answered 'Thanks'"):
        Slurm({"PATH": f"{tmp_path}:{os.defpath}"}).submit(tmp_path / "job.sbatch")


def states(slurm: Slurm, job: str) -> dict[int, str]:
    return {task.number: task.state for task in slurm.tasks([job])}


def await_end(slurm: Slurm, job: str) -> None:
    wait_until(
        lambda: not any(task.is_in_queue for task in slurm.tasks([job])), f"end of job {job}"
    )


@pytest.mark.parametrize(
    ("state", "reason", "standing"),
    [
        ("PENDING", "Resources", WAITING),
        ("PENDING", "JobHeldUser", HELD),
        ("PENDING", "launch failed requeued held", HELD),
        ("CONFIGURING", "", WAITING),
        ("REQUEUED", "", WAITING),
        ("REQUEUE_FED", "", WAITING),
        ("REQUEUE_HOLD", "", HELD),
        ("SPECIAL_EXIT", "", HELD),
        ("RESV_DEL_HOLD", "", HELD),
        ("RUNNING", "", RUNNING),
        # Slurm still ends its processes.
        ("COMPLETING", "", RUNNING),
        ("SUSPENDED", "", RUNNING),
        ("STOPPED", "", RUNNING),
        ("SIGNALING", "", RUNNING),
        ("STAGE_OUT", "", RUNNING),
        ("RESIZING", "", RUNNING),
        ("COMPLETED", "", ENDED),
        ("FAILED", "NonZeroExitCode", ENDED),
        ("CANCELLED by 1001", "", ENDED),
        ("CANCELLED+", "", ENDED),
        ("TIMEOUT", "", ENDED),
        ("OUT_OF_MEMORY", "", ENDED),
        ("NODE_FAIL", "", ENDED),
        ("PREEMPTED", "", ENDED),
        ("BOOT_FAIL", "", ENDED),
        ("DEADLINE", "", ENDED),
        ("REVOKED", "", UNKNOWN),
        ("SOMETHING_NEW", "", UNKNOWN),
        ("", "", UNKNOWN),
        ("completed", "", UNKNOWN),
    ],
)
def test_what_a_state_means(state: str, reason: str, standing: Standing) -> None:
    assert standing_of(state, reason) is standing
    assert Task("1", 1, state, reason).is_in_queue is (standing is not ENDED)


def test_the_manual_of_this_slurm_has_no_state_that_the_table_lacks() -> None:
    require_slurm()
    # An unknown state is refused with the list of known ones.
    command = ["squeue", "--states=nothing"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    known = answer.stderr.partition("Valid job states include:")[2].strip().split(",")
    assert len(known) > 15
    assert {name.strip().upper() for name in known} <= set(STATES)


def test_tasks_of_an_array_end_each_in_its_own_way(slurm: Slurm, submit: Submit) -> None:
    job = submit('exit "$((SLURM_ARRAY_TASK_ID - 1))"', tasks="1-2,5")
    await_end(slurm, job)
    assert states(slurm, job) == {1: "COMPLETED", 2: "FAILED", 5: "FAILED"}


def test_accounting_adds_the_exit_code(slurm: Slurm, submit: Submit, tmp_path: Path) -> None:
    if slurm.accounted(["1"]) is None:
        pytest.skip("this Slurm has no accounting")
    end = tmp_path / "end"
    # The controller files new jobs every few seconds: of one that ends meanwhile, the accounting
    # may keep what it was before.
    job = submit(f"until [ -e {end} ]; do sleep 0.2; done; exit 7")

    def accounted_is(*tasks: Task) -> bool:
        return slurm.accounted([job]) == [*tasks]

    wait_until(lambda: accounted_is(Task(job, 1, "RUNNING")), "accounting of a running job")
    end.touch()
    await_end(slurm, job)
    wait_until(lambda: accounted_is(Task(job, 1, "FAILED", "exit code 7:0")), "its exit code")


def test_a_job_is_cancelled_while_it_runs_and_while_it_waits(slurm: Slurm, submit: Submit) -> None:
    running, waiting = submit("sleep 60"), submit("sleep 60", more="--begin=now+600")
    wait_until(lambda: states(slurm, running) == {1: "RUNNING"}, "a running task")
    assert slurm.tasks([waiting]) == [Task(waiting, 1, "PENDING", "BeginTime")]
    slurm.cancel([running, waiting])
    await_end(slurm, running)
    assert states(slurm, running) == {1: "CANCELLED"}
    assert states(slurm, waiting) == {1: "CANCELLED"}
    # Over already, or never there: nothing to do.
    slurm.cancel([running, "99999999"])


def test_jobs_that_the_controller_has_forgotten_have_no_tasks(slurm: Slurm) -> None:
    assert slurm.tasks(["99999999"]) == []
    assert slurm.tasks(["99999998", "99999999"]) == []
    assert slurm.tasks([]) == []


def test_variables_of_the_caller_do_not_overrule_the_script(submit: Submit, slurm: Slurm) -> None:
    spoilt = Slurm(
        {
            **os.environ,
            "SBATCH_ARRAY_INX": "7-9",
            "SQUEUE_USERS": "nobody",
            "SQUEUE_STATES": "SUSPENDED",
            "SCANCEL_INTERACTIVE": "1",
        }
    )
    job = submit("sleep 60", by=spoilt)
    assert [task.number for task in spoilt.tasks([job])] == [1]
    spoilt.cancel([job])
    await_end(slurm, job)


@pytest.mark.parametrize(
    ("more", "word"),
    [("--partition=nowhere", "partition"), ("--mem=900T", "node configuration")],
)
def test_what_sbatch_refuses_is_told_in_its_words(submit: Submit, more: str, word: str) -> None:
    with pytest.raises(SlurmRefused) as caught:
        submit("true", more=more)
    assert word in caught.value.happened
    assert "job.sbatch" in caught.value.remedy


def test_how_large_an_array_may_be(slurm: Slurm) -> None:
    config = subprocess.check_output(["scontrol", "show", "config"], text=True)
    [line] = [line for line in config.splitlines() if line.startswith("MaxArraySize")]
    assert slurm.max_array_size() == int(line.split("=")[1])


def programs_without(missing: str, folder: Path) -> Slurm:
    """A Slurm whose programs all lie in one folder, but for one."""
    for name in PROGRAMS:
        real = shutil.which(name)
        assert real is not None
        if name != missing:
            (folder / name).symlink_to(real)
    return Slurm({**os.environ, "PATH": os.fspath(folder)})


def test_without_sacct_everything_else_works(slurm: Slurm, submit: Submit, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    poor = programs_without("sacct", folder)
    job = submit("exit 3", by=poor)
    await_end(poor, job)
    assert states(poor, job) == {1: "FAILED"}
    assert poor.accounted([job]) is None


def test_no_slurm_at_all(tmp_path: Path) -> None:
    nothing = Slurm({"PATH": os.fspath(tmp_path)})
    for call in (
        lambda: nothing.submit(tmp_path / "job"),
        lambda: nothing.tasks(["1"]),
        lambda: nothing.cancel(["1"]),
        lambda: nothing.max_array_size(),
    ):
        with pytest.raises(SlurmUnusable, match="There is no program 's"):
            call()
    assert nothing.accounted(["1"]) is None


def test_no_controller_answers(slurm: Slurm, tmp_path: Path) -> None:
    config = Path(os.environ.get("SLURM_CONF", "/etc/slurm/slurm.conf")).read_text("utf-8")
    elsewhere = tmp_path / "slurm.conf"
    ours = "SlurmctldPort=6\nSlurmctldTimeout=1\nMessageTimeout=2\n"
    elsewhere.write_text(f"{config}\n{ours}", encoding="utf-8")
    silent = Slurm({**os.environ, "SLURM_CONF": os.fspath(elsewhere)})
    with pytest.raises(SlurmUnusable, match="Unable to contact slurm controller"):
        silent.tasks(["1"])
