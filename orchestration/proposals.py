"""Keeps the mapping that stage 2 proposes when it refuses to guess, for people to complete."""

from __future__ import annotations

import os
import shutil
import stat
from itertools import chain, count
from pathlib import Path

from orchestration.result_folder import writing_to

MAPPING_FILE = "mapping.csv"
_MOST_BYTES = 1 << 30


def keep_proposals(made: Path, out: Path) -> Path | None:
    """Copy the proposals beside the result that was not made, never over an earlier file.

    Args:
        made: the folder that the stage wrote to. What lies there is not trusted: a link, a pipe or
            a file without end is left alone.
        out: the result folder that was asked for.

    Returns:
        Where they are, or `None` if the stage proposed nothing.

    Raises:
        DiskFull, OutputNotWritable: they cannot be written.
    """
    try:
        descriptor = os.open(made / MAPPING_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(descriptor, "rb") as source:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            return None
        with writing_to(out.parent):
            kept = _first_free(out)
            with kept.open("xb") as target:
                shutil.copyfileobj(source, target)
    return kept


def _first_free(out: Path) -> Path:
    """`NAME.proposed-mapping.csv`, or the first of `-2.csv`, `-3.csv` ... that is free."""
    base = out.with_name(f"{out.name}.proposed-mapping")
    numbered = (Path(f"{base}-{number}.csv") for number in count(2))
    return next(path for path in chain([Path(f"{base}.csv")], numbered) if not path.exists())
