"""The dates that standards demand of an archive."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Final

import click

VARIABLE: Final = "SOURCE_DATE_EPOCH"
_LATEST_S: Final = 253402300799  # the last second of the year 9999
_NUMBER: Final = re.compile(r"\d{1,12}")


def archive_date(environment: Mapping[str, str]) -> datetime:
    """Now, in UTC; or the time that SOURCE_DATE_EPOCH fixes, so that equal things make equal bags.

    Raises:
        click.UsageError: that variable is no number of seconds since 1970.
    """
    fixed_s = fixed_time_s(environment)
    if fixed_s is not None:
        return datetime.fromtimestamp(fixed_s, timezone.utc)
    return datetime.now(timezone.utc).replace(microsecond=0)


def fixed_time_s(environment: Mapping[str, str]) -> int | None:
    """The time that SOURCE_DATE_EPOCH fixes, in seconds since 1970. Raises click.UsageError."""
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    if _NUMBER.fullmatch(text) is None or int(text) > _LATEST_S:
        raise click.UsageError(f"{VARIABLE} is {text!r}, and should be seconds since 1970.")
    return int(text)
