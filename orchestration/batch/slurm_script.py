"""The sbatch script of a batch: a pure function from a frozen job to text that people can read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from orchestration.batch.slurm_options import SIGNAL_LEAD_S, is_given, option_lines
from orchestration.errors import SlurmRefused

LOG_PATTERN = "%A_%a.log"
_DEFAULT_NAME = "tf1-to-torch"
_PLAIN = re.compile(r"[\w@%+=:,./-]+", re.ASCII)


@dataclass(frozen=True)
class SlurmJob:
    """An array of shards, as it is handed to sbatch.

    Attributes:
        python: interpreter that runs this program on the nodes.
        program: path of `orchestrate.py`.
        items_file: canonical rows of all items.
        out: the batch's output folder, on a file system that all nodes see.
        log_folder: where Slurm writes what the tasks print.
        shards: into how many parts the items are cut.
        tasks: numbers of the shards to submit, from 1, ascending.
        arguments: further options of `orchestrate.py batch` for each task.
        sbatch: the user's own options for sbatch, one word each.
    """

    python: Path
    program: Path
    items_file: Path
    out: Path
    log_folder: Path
    shards: int
    tasks: tuple[int, ...]
    arguments: tuple[str, ...] = ()
    sbatch: tuple[str, ...] = ()


def script_of(job: SlurmJob) -> str:
    """The script of a job.

    Raises:
        SlurmRefused: a path holds what no `#SBATCH` line can, or an option of the user's
            contradicts the script.
    """
    sections = (_HEAD.format(what=_what(job)), *_directives(job), _SCRATCH, *_command(job))
    return "\n".join(sections) + "\n"


_HEAD = """\
#!/bin/bash
# {what}
# Written by `orchestrate.py batch --slurm`. By hand: sbatch THIS_FILE
#
# All state lies in the output folder. A task does what is left of its shard, so it may be stopped,
# put back into the queue, or run twice at once: nothing is lost, and nothing is done twice.
"""

_SCRATCH = """
# Scratch goes to the node's own disk, wherever this cluster has it.
for folder in "${SLURM_TMPDIR:-}" "${TMPDIR:-}" /tmp; do
    if [ -d "$folder" ] && [ -w "$folder" ]; then
        export TMPDIR=$folder
        break
    fi
done
"""

_SIGNALS = """\
# `exec` makes Python the process that Slurm signals. At USR1, shortly before the time limit, it
# gives back the item that it was at; with --requeue, if it has finished any since its start, it
# then puts this task back into the queue. Exit codes: 0 all is well, 3 some items failed, 75 some
# are left."""


def _what(job: SlurmJob) -> str:
    if len(job.tasks) == job.shards:
        return f"Converts a batch of checkpoints in {job.shards} shards, one array task each."
    which = "shard" if len(job.tasks) == 1 else "shards"
    return f"Converts {which} {task_ranges(job.tasks)} of {job.shards} of a batch of checkpoints."


def _directives(job: SlurmJob) -> Iterator[str]:
    if not is_given("job-name", job.sbatch):
        yield f"#SBATCH --job-name={_DEFAULT_NAME}"
    yield f"#SBATCH --array={task_ranges(job.tasks)}"
    yield f"#SBATCH --output={_quoted(_log_path(job.log_folder))}"
    yield "#SBATCH --open-mode=append"
    yield "#SBATCH --requeue"
    if not is_given("signal", job.sbatch):
        yield f"#SBATCH --signal=B:USR1@{SIGNAL_LEAD_S}"
    own = option_lines(job.sbatch)
    if own:
        yield "# Given with --sbatch:"
    for words in own:
        yield f"#SBATCH {' '.join(map(_quoted, words))}"


def _command(job: SlurmJob) -> Iterator[str]:
    yield _SIGNALS
    lines = [
        f"exec {_shell(job.python)} {_shell(job.program)} batch",
        _shell(job.items_file),
        f"--out {_shell(job.out)}",
        f'--shard "$SLURM_ARRAY_TASK_ID/{job.shards}"',
        "--requeue",
        *(" ".join(map(shlex.quote, words)) for words in _options(job.arguments)),
    ]
    yield " \\\n    ".join(lines)


def _options(arguments: Sequence[str]) -> list[list[str]]:
    """Each option together with its values."""
    options: list[list[str]] = []
    for word in arguments:
        if word.startswith("--") or not options:
            options.append([word])
        else:
            options[-1].append(word)
    return options


def task_ranges(tasks: Sequence[int]) -> str:
    """Ascending numbers as sbatch's --array takes them: "1-3,7"."""
    runs = [
        [number for _, number in run]
        for _, run in groupby(enumerate(tasks), key=lambda pair: pair[1] - pair[0])
    ]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _log_path(folder: Path) -> str:
    text = str(folder)
    # A backslash turns off every replacement in sbatch's file names, and nothing escapes it.
    if "\\" in text:
        raise SlurmRefused(
            f"The output folder {text!r} has a backslash in its name.",
            "sbatch reads that as a command, and would write no log there.",
            "Choose another --out.",
        )
    return f"{text.replace('%', '%%')}/{LOG_PATTERN}"


def _quoted(word: str) -> str:
    """A word for a `#SBATCH` line, which sbatch itself takes apart, not a shell.

    Raises:
        SlurmRefused: it holds a line break.
    """
    if "\n" in word or "\r" in word:
        raise SlurmRefused(
            f"{word!r} has a line break.",
            "A `#SBATCH` line cannot hold one.",
            "Choose another --out, or another value in --sbatch.",
        )
    if _PLAIN.fullmatch(word):
        return word
    name, equals, value = word.partition("=")
    if equals and _PLAIN.fullmatch(name):
        return f"{name}={_in_quotes(value)}"
    return _in_quotes(word)


def _in_quotes(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _shell(path: Path) -> str:
    return shlex.quote(str(path))
