"""Chooses among the checkpoints of one folder."""

from __future__ import annotations

import os
from typing import Callable, List, Optional, Tuple

from stage_extract.errors import AmbiguousCheckpoint, StepNotFound
from stage_extract.finding.checkpoint_names import (
    PrefixName,
    local_candidates,
    split_prefix,
)

_MAX_NAMES_SHOWN = 10


def shown(names: List[str]) -> str:
    """Give a list of names for a message, cut off after ten."""
    if not names:
        return "nothing"
    more = len(names) - _MAX_NAMES_SHOWN
    return ", ".join(names[:_MAX_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def take_newest(folder: str, prefixes: List[PrefixName]) -> str:
    """Give the name with the highest step.

    Args:
        folder: where the checkpoints are.
        prefixes: what it holds, sorted by step.

    Raises:
        AmbiguousCheckpoint: not all are steps of one checkpoint.
    """
    if len({prefix.base for prefix in prefixes}) > 1 or prefixes[0].step is None:
        raise AmbiguousCheckpoint(
            f"{folder!r} holds several checkpoints: {shown([p.name for p in prefixes])}.",
            "Expected one, several steps of one, or a `checkpoint` file that names one of them.",
            f"Give the prefix of the one you mean, e.g. {os.path.join(folder, prefixes[-1].name)}.",
        )
    return prefixes[-1].name


def choose_step(folder: str, prefixes: List[PrefixName], step: int, state_names: List[str]) -> str:
    """Give the name of one step; of several names the one whose base the state file knows.

    Args:
        folder: where the checkpoints are.
        prefixes: what it holds.
        step: the training step.
        state_names: the names in the `checkpoint` file.

    Raises:
        StepNotFound: there is none; the error lists the steps that are there.
        AmbiguousCheckpoint: there are several.
    """
    fitting = [prefix for prefix in prefixes if prefix.step == step]
    if not fitting:
        steps = sorted({prefix.step for prefix in prefixes if prefix.step is not None})
        raise StepNotFound(
            f"{folder!r} holds no checkpoint of step {step}.",
            f"Steps there: {shown([str(known) for known in steps])}.",
            "Give one of these with --step, or leave it away to take the newest.",
        )
    if len(fitting) > 1:
        # The `checkpoint` file tells which of two names is the training's own.
        bases = {split_prefix(os.path.basename(name)).base for name in state_names}
        named = [prefix for prefix in fitting if prefix.base in bases]
        fitting = named if len(named) == 1 else fitting
    if len(fitting) > 1:
        raise AmbiguousCheckpoint(
            f"{folder!r} holds several checkpoints of step {step}: "
            f"{shown([prefix.name for prefix in fitting])}.",
            "Expected one.",
            f"Give the prefix, e.g. {os.path.join(folder, fitting[0].name)}.",
        )
    return fitting[0].name


def choose_by_state(
    folder: str,
    prefixes: List[PrefixName],
    named: Tuple[str, ...],
    is_there: Callable[[str], bool],
    warnings: List[str],
) -> Optional[str]:
    """Give the name that the `checkpoint` file means; None if it names nothing that is here.

    Args:
        folder: where the checkpoints are.
        prefixes: what it holds.
        named: the paths in the `checkpoint` file, the latest first.
        is_there: tells whether a checkpoint lies at a prefix.
        warnings: gets a sentence where the choice may surprise.
    """
    for position, path in enumerate(named):
        for candidate in local_candidates(path):
            if not is_there(os.path.join(folder, candidate)):
                continue
            if position:
                warnings.append(
                    f"The `checkpoint` file names {named[0]!r}, which is not here; "
                    f"{candidate!r}, an earlier one of its list, is read."
                )
            chosen = split_prefix(candidate)
            newest = max((p.step or 0 for p in prefixes if p.base == chosen.base), default=0)
            if chosen.step is not None and newest > chosen.step:
                warnings.append(
                    f"The `checkpoint` file names step {chosen.step}, and it is read; the folder "
                    f"also holds step {newest} (--step {newest})."
                )
            return candidate
    return None
