"""Texts and numbers for people. Names in a checkpoint may hold what a terminal would obey."""

from __future__ import annotations

import os
import re

import click

# Control characters (a terminal obeys them), marks that turn the direction of writing, and halves
# of surrogate pairs, which no terminal can be sent. Tab and newline are harmless.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# What Markdown would take for its own.
_MARKDOWN = re.compile(r"([`|<>*_\[\]\\])")
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
# Shorter durations have a decimal.
_LEAST_WHOLE_S = 10
_MINUTE_S = 60
_HOUR_MIN = 60
_DAY_H = 24


def printable(text: str) -> str:
    r"""`text` with what a terminal would obey written out, such as \x1b."""
    return _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)


def in_one_line(text: str) -> str:
    r"""`printable` text with its line breaks and tabs written out, too: it cannot look like two."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def markdown_code(text: str) -> str:
    """`text` in one line, set as code, also in a table."""
    plain = " ".join(printable(text).split()).replace("`", "'").replace("|", "\\|")
    return f"`{plain}`"


def markdown_text(text: str) -> str:
    """`text` in one line in which Markdown finds no marks."""
    return _MARKDOWN.sub(r"\\\1", " ".join(printable(text).split()))


def size_text(size_bytes: int | None) -> str:
    """A size with three digits and its unit; strings have none."""
    if size_bytes is None:
        return ""
    for factor, unit in _UNITS:
        if size_bytes >= factor:
            return f"{size_bytes / factor:.3g} {unit}"
    return f"{size_bytes} B"


def duration_text(seconds: float) -> str:
    """A duration in its two largest units: "45 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"."""
    if seconds < _MINUTE_S - 0.5:
        return f"{seconds:.0f} s" if seconds >= _LEAST_WHOLE_S else f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), _MINUTE_S)
    if minutes < _HOUR_MIN:
        return f"{minutes} min {rest_s} s"
    hours, minutes = divmod(minutes, _HOUR_MIN)
    if hours < _DAY_H:
        return f"{hours} h {minutes} min"
    return f"{hours // _DAY_H:,} d {hours % _DAY_H} h"


def say(line: str, color: str | None, *, bold: bool = False, err: bool = False) -> None:
    """Print a line in a colour on a terminal, unless NO_COLOR is set (no-color.org)."""
    is_colored = False if os.environ.get("NO_COLOR") else None
    click.secho(line, fg=color, bold=bold, err=err, color=is_colored)
