"""Options of the `batch` command that the single command does not have."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import click

from orchestration import option_types
from orchestration.batch import settings as s
from orchestration.command_options import runtime_settings, with_options

work_options = with_options(
    click.option(
        "--jobs",
        type=click.IntRange(min=1),
        metavar="N",
        help="Items at work at once; default: one for two cores, if memory allows.",
    ),
    click.option(
        "--memory-gb",
        type=click.FloatRange(min=0, min_open=True),
        metavar="GB",
        help="What all items at work may use together; default: what is free.",
    ),
    click.option(
        "--item-timeout",
        type=option_types.duration_s,
        metavar="TIME",
        help="End an item that takes longer, such as 30m or 600 (seconds).",
    ),
    click.option(
        "--recycle-after",
        type=click.IntRange(min=1),
        default=s.DEFAULT_RECYCLE_AFTER,
        show_default=True,
        metavar="N",
        help="Items that a worker does before a new one takes its place; 1 for those of strangers.",
    ),
    click.option(
        "--shard",
        type=option_types.shard,
        metavar="I/N",
        help="Do part I of N only; an array of any scheduler's calls this.",
    ),
    click.option("--retry-failed", is_flag=True, help="Do what has failed again."),
    click.option("--verify", is_flag=True, help="Hash the results that are there once more."),
    click.option("--dry-run", is_flag=True, help="Print all items, or Slurm's script; no more."),
)
state_options = with_options(
    click.option("--status", is_flag=True, help="Show what has become of each item."),
    click.option("--json", "as_json", is_flag=True, help="The status as JSON."),
    click.option("--failed", is_flag=True, help="The status of what has failed only."),
)
slurm_options = with_options(
    click.option("--slurm", is_flag=True, help="Submit the items as an array of shards to Slurm."),
    click.option("--shards", type=click.IntRange(min=1), metavar="N", help="Tasks of the array."),
    click.option(
        "--sbatch",
        multiple=True,
        metavar="OPTIONS",
        help="Options for sbatch, such as '--partition=cpu --time=0:30:00'; repeatable.",
    ),
    click.option("--wait", is_flag=True, help="Follow the submitted shards to their end."),
    click.option("--cancel", is_flag=True, help="Cancel what was submitted."),
    click.option(
        "--requeue",
        is_flag=True,
        help="In a task of Slurm's: put it back into the queue at its time limit.",
    ),
)

# What each option needs or excludes; the first word of a row is the option that is looked at.
_NEEDS = (
    ("as_json", "status"),
    ("failed", "status"),
    ("shards", "slurm"),
    ("sbatch", "slurm"),
    ("wait", "slurm"),
    ("slurm", "shards"),
    ("requeue", "shard"),
)
_EXCLUDES = (
    ("slurm", "shard"),
    ("wait", "dry_run"),
    *(
        (state, other)
        for state in ("status", "cancel")
        for other in ("slurm", "shard", "retry_failed", "verify", "force", "dry_run")
    ),
    ("status", "cancel"),
)


def check_options(given: Mapping[str, Any]) -> None:
    """Refuse options that contradict each other.

    Raises:
        click.UsageError: two of them do.
    """
    for option, needed in _NEEDS:
        if given[option] and not given[needed]:
            raise click.UsageError(f"{_flag(option)} goes with {_flag(needed)} only; give both.")
    for option, other in _EXCLUDES:
        if given[option] and given[other]:
            raise click.UsageError(
                f"{_flag(option)} does not go with {_flag(other)}; leave one of them out."
            )


def batch_settings(given: Mapping[str, Any]) -> s.BatchSettings:
    """Settings of a batch from parsed options."""
    memory_gb, shard = given["memory_gb"], given["shard"]
    return s.BatchSettings(
        out=s.absolute(given["out"]),
        runtime=runtime_settings(given),
        force=given["force"],
        jobs=given["jobs"],
        memory_bytes=None if memory_gb is None else int(memory_gb * s.BYTES_OF_A_GB),
        item_timeout_s=given["item_timeout"],
        recycle_after=given["recycle_after"],
        shard=None if shard is None else s.Shard(*shard),
        retry_failed=given["retry_failed"],
        verify=given["verify"],
        requeue=given["requeue"],
    )


def slurm_settings(given: Mapping[str, Any], items: int) -> s.SlurmSettings:
    """What is to be submitted; no shard of it is empty.

    Raises:
        click.BadParameter: the options for sbatch cannot be split into words.
    """
    return s.SlurmSettings(
        shards=min(given["shards"], items),
        sbatch=tuple(word for text in given["sbatch"] for word in _words(text)),
        dry_run=given["dry_run"],
        wait=given["wait"],
    )


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise click.BadParameter(f"--sbatch {text!r} has a quote without end: {error}.") from error


def _flag(name: str) -> str:
    return "--json" if name == "as_json" else f"--{name.replace('_', '-')}"
