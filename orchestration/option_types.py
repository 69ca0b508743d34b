"""Values that options take, each checked where it is typed.

Plain functions: click accepts any callable as a type, and reports `BadParameter` with the
option's name.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import click

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_BETWEEN_NAMES = re.compile(r"(?<!\\),")
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")
_SHARD = re.compile(r"(\d{1,9})/(\d{1,9})")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def path(text: str) -> Path:
    """Any path; what is wrong with it is told where it is used, with a class of its own.

    Shells leave the home in `--out=~/result` to the program, and a folder named "~" is a trap.
    """
    return Path(os.path.expanduser(text))


def memory_size(text: str) -> int:
    """A size such as 8g or 512m, as container engines write it, in bytes."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is no size; write 8g, 512m or a number of bytes.")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def duration_s(text: str) -> float:
    """A time such as 30m, 1h30m or 600 (seconds), in seconds."""
    match = _DURATION.fullmatch("".join(text.lower().split()))
    hours, minutes, seconds = (float(part or 0) for part in (match.groups() if match else "000"))
    total_s = 3600 * hours + 60 * minutes + seconds
    if not 0 < total_s < math.inf:
        raise click.BadParameter(f"{text!r} is no time; write 30m, 1h30m or 600, in seconds.")
    return total_s


def shard(text: str) -> tuple[int, int]:
    """I/N: the part I, from 1, of N."""
    match = _SHARD.fullmatch(text.strip())
    number, count = (int(part) for part in (match.groups() if match else "00"))
    if not 1 <= number <= count:
        raise click.BadParameter(f"{text!r} is no shard; write 3/20, counted from 1/20 to 20/20.")
    return number, count


def tolerance(text: str | float) -> float:
    """A number above 0 and below 1: with 1 a model that computes only zeros would be right."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < 1:
        raise click.BadParameter(f"{text!r} is no tolerance; write a number such as 1e-4, below 1.")
    return number


def device(text: str) -> str:
    """auto, cpu or cuda[:n]."""
    if _DEVICE.fullmatch(text) is None:
        raise click.BadParameter(f"{text!r} is no device; write auto, cpu, cuda or cuda:1.")
    return text


def input_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """NAME=1,64,64,3 as a tensor's name and its shape in TensorFlow's axes."""
    name, _, sizes = text.rpartition("=")
    parts = [part.strip() for part in sizes.split(",") if part.strip()]
    if not name or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"{text!r} is no shape; write NAME=1,64,64,3.")
    return name, tuple(int(part) for part in parts)


def model(text: str) -> str:
    """A model's name, which only stage 2 knows, or file.py:Factory, whose file must exist."""
    path, _, factory = text.rpartition(":")
    if text.endswith(".py") or (path.endswith(".py") and not factory):
        raise click.BadParameter(f"{text!r} names no factory; write file.py:Factory.")
    if path.endswith(".py") and not os.path.isfile(path):
        raise click.BadParameter(f"the file {path!r} does not exist.")
    if path.endswith(".py") and not os.access(path, os.R_OK):
        raise click.BadParameter(f"you may not read the file {path!r}.")
    return text


def no_empty_text(text: str) -> str:
    """A name that has at least one character besides blanks."""
    if not text.strip():
        raise click.BadParameter("an empty name names nothing.")
    return text


def interpreter(text: str) -> Path:
    """A Python, or the folder of an environment that has one, as an absolute path.

    Links are kept: through them an interpreter knows which environment it serves.
    """
    path = Path(os.path.abspath(text))
    inside = path / "bin" / "python"
    if path.is_dir() and inside.exists():
        return inside
    if not path.is_file():
        raise click.BadParameter(f"{text!r} is neither a Python nor an environment.")
    return path


def split_names(values: tuple[str, ...]) -> tuple[str, ...]:
    r"""Tensor names of an option that is repeated, or holds several with commas.

    A comma that belongs to a name is written with a backslash: ``a\,b``.
    """
    parts = (part.strip() for value in values for part in _BETWEEN_NAMES.split(value))
    return tuple(part.replace("\\,", ",") for part in parts if part)
