"""The user's own options for sbatch: which are taken, and which contradict the script."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from orchestration.errors import SlurmRefused

_SHORT: Mapping[str, str] = MappingProxyType(
    {
        "-a": "array",
        "-e": "error",
        "-h": "help",
        "-J": "job-name",
        "-M": "clusters",
        "-o": "output",
        "-t": "time",
        "-V": "version",
        "-W": "wait",
    }
)
_REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "array": "The shards are the array; --shards says how many.",
        "clusters": "Jobs are followed on this cluster alone: submit on a login node of the other.",
        "error": "Logs lie in OUT/batch/slurm/, where --status and --wait point to.",
        "help": "It submits nothing.",
        "no-requeue": "A task that lost its node goes back into the queue; what is done is kept.",
        "open-mode": "A task that was requeued goes on in the same log.",
        "output": "Logs lie in OUT/batch/slurm/, where --status and --wait point to.",
        "parsable": "This program reads sbatch's answer itself.",
        "test-only": "It submits nothing: use --dry-run.",
        "usage": "It submits nothing.",
        "version": "It submits nothing.",
        "wait": "Use --wait of this program.",
        "wrap": "The script is this program's own.",
    }
)
# Slurm may send it up to a minute earlier (its own manual); giving back takes less than 10 s.
SIGNAL_LEAD_S = 30
# Others are sent to job steps, not to the script; other signals end the program without a requeue.
_SIGNAL = re.compile(r"R?B:(SIG)?USR1(@\d+)?|B:10(@\d+)?")
_TIME = re.compile(r"((?P<days>\d+)-)?(?P<clock>\d+(:\d+){0,2})")


def option_lines(words: Sequence[str]) -> list[list[str]]:
    """The options, each with its value where that stands in a word of its own.

    Args:
        words: of the user's `--sbatch`, taken apart as a shell does.

    Raises:
        SlurmRefused: an option contradicts the script, or a word is none.
    """
    lines: list[list[str]] = []
    for word in words:
        if word.startswith("-") and word not in ("-", "--"):
            lines.append([word])
        elif lines and word != ":" and _may_take(lines[-1]):
            lines[-1].append(word)
        else:
            raise SlurmRefused(
                f"--sbatch holds {word!r}.",
                "It takes options of sbatch alone, such as '--partition=cpu --time=0:30:00'.",
                "Leave that word out; its value belongs to an option, or in quotes.",
            )
    for line in lines:
        _check(line)
    return lines


def _may_take(line: Sequence[str]) -> bool:
    """Whether an option may have its value in the next word."""
    is_long = line[0].startswith("--")
    return len(line) == 1 and ("=" not in line[0] if is_long else len(line[0]) == 2)


def is_given(name: str, words: Sequence[str]) -> bool:
    """Whether an option is among the user's, long or short."""
    return any(_name(word) == name for word in words if word.startswith("-"))


def _name(word: str) -> str:
    """Long name of an option, without dashes."""
    if word.startswith("--"):
        return word[2:].partition("=")[0]
    return _SHORT.get(word[:2], "")


def _check(line: Sequence[str]) -> None:
    name = _name(line[0])
    # sbatch takes beginnings of names, too.
    meant = [known for known in ("signal", *_REFUSED) if _may_mean(line[0], name, known)]
    if "signal" in meant:
        _check_signal(line)
    elif meant:
        raise SlurmRefused(
            f"--sbatch holds {' '.join(line)!r}.", _REFUSED[meant[0]], "Leave that option out."
        )
    elif name == "time":
        _check_time(line)


def _may_mean(word: str, name: str, known: str) -> bool:
    return name == known or (word.startswith("--") and name != "" and known.startswith(name))


def _value(line: Sequence[str]) -> str:
    """Value of an option, which follows `=`, a blank, or a short name at once."""
    if len(line) > 1:
        return line[1]
    return line[0].partition("=")[2] if line[0].startswith("--") else line[0][2:]


def _check_signal(line: Sequence[str]) -> None:
    if not _SIGNAL.fullmatch(_value(line)):
        raise SlurmRefused(
            f"--sbatch holds {' '.join(line)!r}.",
            "Before its time limit a task awaits USR1, sent to the script alone.",
            "Write --signal=B:USR1@SECONDS, or leave it out.",
        )


def _check_time(line: Sequence[str]) -> None:
    limit_s = time_limit_s(_value(line))
    if limit_s is not None and limit_s <= SIGNAL_LEAD_S:
        raise SlurmRefused(
            f"--sbatch holds {' '.join(line)!r}.",
            f"A task is told {SIGNAL_LEAD_S} s before its limit to stop: at once, then.",
            "Give it some minutes; --shards says into how many parts the work is cut.",
        )


def time_limit_s(text: str) -> int | None:
    """Seconds of a limit as sbatch takes it: [days-]hours:minutes:seconds, or minutes alone.

    None: no limit, or nothing that this knows; sbatch says what it thinks of that.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    numbers = [int(part) for part in match["clock"].split(":")]
    # "m", "m:s", "h:m:s"; after days "h", "h:m", "h:m:s".
    if match["days"] is None and len(numbers) < 3:
        numbers.insert(0, 0)
    hours, minutes, seconds = (*numbers, 0, 0)[:3]
    return ((int(match["days"] or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
