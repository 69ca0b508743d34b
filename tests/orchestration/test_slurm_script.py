"""The sbatch script as exact text, and which options of the user's own it takes."""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
from pathlib import Path

import pytest

from orchestration.batch.slurm_options import option_lines, time_limit_s
from orchestration.batch.slurm_script import SlurmJob, script_of, task_ranges
from orchestration.errors import SlurmRefused

JOB = SlurmJob(
    python=Path("/home/ann/venv/bin/python"),
    program=Path("/home/ann/tf1-to-torch/orchestrate.py"),
    items_file=Path("/shared/converted/batch/items/1f2e.jsonl"),
    out=Path("/shared/converted"),
    log_folder=Path("/shared/converted/batch/slurm"),
    shards=20,
    tasks=tuple(range(1, 21)),
    arguments=("--runtime", "apptainer", "--image-load", "/shared/it's my load.sif", "--verify"),
    sbatch=("--partition=cpu", "--time=0:30:00", "-A", "lab 7"),
)

WHOLE = """\
#!/bin/bash
# Converts a batch of checkpoints in 20 shards, one array task each.
# Written by `orchestrate.py batch --slurm`. By hand: sbatch THIS_FILE
#
# All state lies in the output folder. A task does what is left of its shard, so it may be stopped,
# put back into the queue, or run twice at once: nothing is lost, and nothing is done twice.

#SBATCH --job-name=tf1-to-torch
#SBATCH --array=1-20
#SBATCH --output=/shared/converted/batch/slurm/%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@30
# Given with --sbatch:
#SBATCH --partition=cpu
#SBATCH --time=0:30:00
#SBATCH -A "lab 7"

# Scratch goes to the node's own disk, wherever this cluster has it.
for folder in "${SLURM_TMPDIR:-}" "${TMPDIR:-}" /tmp; do
    if [ -d "$folder" ] && [ -w "$folder" ]; then
        export TMPDIR=$folder
        break
    fi
done

# `exec` makes Python the process that Slurm signals. At USR1, shortly before the time limit, it
# gives back the item that it was at; with --requeue, if it has finished any since its start, it
# then puts this task back into the queue. Exit codes: 0 all is well, 3 some items failed, 75 some
# are left.
exec /home/ann/venv/bin/python /home/ann/tf1-to-torch/orchestrate.py batch \\
    /shared/converted/batch/items/1f2e.jsonl \\
    --out /shared/converted \\
    --shard "$SLURM_ARRAY_TASK_ID/20" \\
    --requeue \\
    --runtime apptainer \\
    --image-load '/shared/it'"'"'s my load.sif' \\
    --verify
"""


def test_the_whole_script() -> None:
    assert script_of(JOB) == WHOLE


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        pytest.param({"tasks": (2, 5, 6, 7)}, "#SBATCH --array=2,5-7", id="some-tasks"),
        pytest.param(
            {"tasks": (2, 5, 6)},
            "# Converts shards 2,5-6 of 20 of a batch of checkpoints.",
            id="some-tasks-are-told",
        ),
        pytest.param(
            {"tasks": (9,)}, "# Converts shard 9 of 20 of a batch of checkpoints.", id="one-task"
        ),
        pytest.param(
            {"log_folder": Path("/a b/c'd\"e/100%")},
            '#SBATCH --output="/a b/c\'d\\"e/100%%/%A_%a.log"',
            id="blanks-quotes-percent",
        ),
        pytest.param(
            {"out": Path("/a b/c'd\"e$(x)/100%")},
            "    --out '/a b/c'\"'\"'d\"e$(x)/100%' \\",
            id="shell-words",
        ),
        pytest.param(
            {"sbatch": ("--signal=B:USR1@45",)}, "#SBATCH --signal=B:USR1@45", id="own-lead"
        ),
        pytest.param({"sbatch": ("-J", "old nets")}, '#SBATCH -J "old nets"', id="own-name"),
        pytest.param(
            {"sbatch": ("--comment=a#b \\ c",)}, '#SBATCH --comment="a#b \\\\ c"', id="own-quotes"
        ),
    ],
)
def test_lines(changes: dict[str, object], line: str) -> None:
    text = script_of(dataclasses.replace(JOB, **changes))
    assert text.splitlines().count(line) == 1
    for option in ("--job-name", "-J", "--signal", "--array"):
        assert text.count(f"#SBATCH {option}") <= 1
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_the_shell_gets_every_word_as_it_was() -> None:
    nasty = Path("/a b/c'd\"e$(x)/100%/`y`/ä;&|")
    job = dataclasses.replace(JOB, python=Path("/bin/echo"), program=nasty, out=nasty)
    script = script_of(dataclasses.replace(job, arguments=("--model-arg", "x=$HOME '\"")))
    printed = subprocess.run(
        ["bash", "-c", script.replace("exec /bin/echo", r"exec printf '%s\n'")],
        env={"SLURM_ARRAY_TASK_ID": "7", "PATH": "/bin:/usr/bin"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    expected = [nasty, "batch", JOB.items_file, "--out", nasty, "--shard", "7/20", "--requeue"]
    assert printed == [*map(str, expected), "--model-arg", "x=$HOME '\""]


@pytest.mark.parametrize(
    ("given", "found"),
    [("/disk", "/disk"), ("/disk/missing", "/tmp"), ("", "/tmp")],
    ids=["the-cluster's", "of-another-machine", "none"],
)
def test_scratch_is_a_folder_of_this_node(tmp_path: Path, given: str, found: str) -> None:
    (tmp_path / "disk").mkdir()
    given = f"{tmp_path}{given}" if given else given
    found = f"{tmp_path}{found}" if found != "/tmp" else found
    script = script_of(JOB).partition("exec ")[0] + 'echo "$TMPDIR"'
    environment = {"PATH": "/bin:/usr/bin", "TMPDIR": given}
    printed = subprocess.run(
        ["bash", "-c", script], env=environment, check=True, capture_output=True, text=True
    )
    assert printed.stdout.strip() == found


@pytest.mark.parametrize(
    ("tasks", "text"),
    [((1,), "1"), ((1, 2, 3), "1-3"), ((1, 3, 4, 9), "1,3-4,9"), ((2, 4), "2,4")],
)
def test_task_ranges(tasks: tuple[int, ...], text: str) -> None:
    assert task_ranges(tasks) == text


@pytest.mark.parametrize(
    ("folder", "word"),
    [("/a\\b", "backslash"), ("/a\nb", "line break")],
)
def test_folders_that_sbatch_cannot_be_told(folder: str, word: str) -> None:
    with pytest.raises(SlurmRefused, match=word):
        script_of(dataclasses.replace(JOB, log_folder=Path(folder)))


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ("--partition=cpu --time=0:30:00", [["--partition=cpu"], ["--time=0:30:00"]]),
        ("-p cpu -t 30 --exclusive", [["-p", "cpu"], ["-t", "30"], ["--exclusive"]]),
        ("-pcpu --mem-per-cpu 4G", [["-pcpu"], ["--mem-per-cpu", "4G"]]),
        ("--comment 'two words' --nice=-3", [["--comment", "two words"], ["--nice=-3"]]),
        ("--signal B:SIGUSR1@40", [["--signal", "B:SIGUSR1@40"]]),
        ("--wait-all-nodes=1 --requeue", [["--wait-all-nodes=1"], ["--requeue"]]),
        ("", []),
    ],
)
def test_own_options(given: str, lines: list[list[str]]) -> None:
    assert option_lines(shlex.split(given)) == lines


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("--array=1-3", "--shards says how many"),
        ("-a1-3", "--shards says how many"),
        ("--arr 1-3", "--shards says how many"),
        ("-o x.log", "Logs lie in"),
        ("--error=x.log", "Logs lie in"),
        ("--no-requeue", "goes back into the queue"),
        ("--open-mode=truncate", "the same log"),
        ("--wrap='sleep 3'", "this program's own"),
        ("-W", "--wait of this program"),
        ("--test-only", "--dry-run"),
        ("-M other", "on this cluster alone"),
        ("--parsable", "reads sbatch's answer"),
        ("--signal=USR1@60", "to the script alone"),
        ("--signal=B:USR2@60", "to the script alone"),
        ("--sig=B:TERM", "to the script alone"),
        ("--time=0:20", "30 s before its limit"),
        ("-t 0:0:30", "30 s before its limit"),
        ("cpu", "options of sbatch alone"),
        ("--time=5 job.sh", "options of sbatch alone"),
        ("-p cpu job.sh", "options of sbatch alone"),
        ("-n1 job.sh", "options of sbatch alone"),
        ("-n 1 : -n 2 x", "options of sbatch alone"),
        ("-n : 2", "options of sbatch alone"),
        ("-n1 : -n2 x", "options of sbatch alone"),
    ],
)
def test_contradictions_are_refused(given: str, reason: str) -> None:
    with pytest.raises(SlurmRefused) as caught:
        script_of(dataclasses.replace(JOB, sbatch=tuple(shlex.split(given))))
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800),
        ("2:30", 150),
        ("1:02:03", 3723),
        ("2-0", 172800),
        ("1-2:30", 95400),
        ("1-0:0:1", 86401),
        ("infinite", None),
        ("1:2:3:4", None),
    ],
)
def test_time_limits(text: str, seconds: int | None) -> None:
    assert time_limit_s(text) == seconds
