"""Why there is no manifest to read, and what was perhaps meant instead."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Final

from orchestration.archive.bag.tag_files import DECLARATION_FILE
from orchestration.archive.options import STREAM_SUFFIX
from orchestration.errors import ManifestUnusable
from orchestration.manifest import MANIFEST_FILE, VERSION

_EXPECTED: Final = f"The folder of a result was expected, or the {MANIFEST_FILE} in it."


def unusable(path: Path, what: str) -> ManifestUnusable:
    """A manifest that is there, and cannot be used."""
    return ManifestUnusable(
        f"The manifest {path} cannot be used: {what}.",
        f"A manifest of version {VERSION} was expected, as this program has written it.",
        "Take it from an untouched copy of the result, or convert the checkpoint again.",
    )


def no_result(given: Path) -> ManifestUnusable | None:
    """What was named in place of a result; None where a manifest lies there.

    Args:
        given: what should be the folder of a result, or the manifest in it.
    """
    if not os.path.lexists(given):
        return ManifestUnusable(f"There is no {given}.", _EXPECTED, "Look at the path.")
    is_folder = os.path.isdir(given)
    is_archive = os.path.isfile(given / DECLARATION_FILE) or (
        given.name.endswith(STREAM_SUFFIX) and not is_folder
    )
    if is_archive:
        command = f"orchestrate.py verify {shlex.quote(str(given))} --rerun"
        return ManifestUnusable(
            f"{given} is an archive, not a result.",
            _EXPECTED,
            f"`{command}` repeats the run of an archive.",
        )
    if not is_folder or os.path.lexists(given / MANIFEST_FILE):
        return None
    return ManifestUnusable(
        f"{given} is no result: it has no {MANIFEST_FILE}.", _EXPECTED, _what_to_name(given)
    )


def _what_to_name(folder: Path) -> str:
    """A result inside, as in the folder of a batch, or how to get one."""
    try:
        inner = sorted(one for one in folder.iterdir() if (one / MANIFEST_FILE).is_file())
    except OSError:
        inner = []
    if inner:
        return f"Name one of the {len(inner):,} in it, such as {inner[0]}."
    return "Look at the path; `orchestrate.py CKPT --model NAME` makes a result of a checkpoint."
