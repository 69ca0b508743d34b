"""Whether an item is done: its result is what these inputs, options and images give, and is whole.

What a file holds is told by its hash. A file that was hashed once and has the same size, time and
inode since is not read again, unless everything is to be verified: of hundreds of results a restart
looks at the names only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.batch.figures import tells_figures
from orchestration.manifest import changed_files, converted_files, read_manifest
from orchestration.previous_result import differing_parts

Fingerprint = list[int]
INPUT = "input/"
RESULT = "result/"


@dataclass(frozen=True)
class Check:
    """What became of a look at a result.

    Attributes:
        problem: why the item is to be done, for people; None = it is done.
        seen: state of the files that were found right, for the next look.
        manifest: of the result; None if there is none that can be read.
        is_touched: the result's own files are not as they were written.
    """

    problem: str | None
    seen: Mapping[str, Fingerprint]
    manifest: Mapping[str, Any] | None
    is_touched: bool = False


def check_result(
    out: Path,
    request: Mapping[str, Any],
    input_folders: Sequence[Path],
    seen: Mapping[str, Any],
    *,
    verify: bool = False,
) -> Check:
    """Look whether a result folder is exactly what `request` would make now.

    Args:
        out: the result folder.
        request: see `result_request.convert_request`.
        input_folders: where the checkpoint's files lie, first the checkpoint's own.
        seen: `Check.seen` of an earlier look.
        verify: read every file again.
    """
    manifest = read_manifest(out)
    if manifest is None:
        return Check("there is no result", {}, None)
    differing = differing_parts(manifest["request"], request)
    if differing:
        return Check(f"it was made with other {' and '.join(differing)}", {}, manifest)
    known = {} if verify else seen
    groups = (
        (INPUT, input_folders, converted_files(manifest), "its input has changed since"),
        (RESULT, (out,), manifest["files"], "files of the result have changed since"),
    )
    found: dict[str, Fingerprint] = {}
    if not tells_figures(manifest):
        return Check("its manifest has changed since", {}, manifest, is_touched=True)
    for prefix, folders, described, words in groups:
        changed = _changed(prefix, folders, described, known, found)
        if changed:
            problem = f"{words}: {', '.join(changed)}"
            return Check(problem, {}, manifest, is_touched=prefix == RESULT)
    return Check(None, found, manifest)


def _changed(
    prefix: str,
    folders: Sequence[Path],
    described: Sequence[Mapping[str, Any]],
    known: Mapping[str, Any],
    found: dict[str, Fingerprint],
) -> list[str]:
    """Names of files that are not as described; `found` takes the state of the others."""
    changed = []
    for entry in described:
        name = str(entry["name"])
        before = fingerprint(folders, name)
        if before is None:
            changed.append(name)
            continue
        is_known = known.get(prefix + name) == before and before[0] == entry["size_bytes"]
        if not is_known and changed_files(folders[0], [entry], *folders[1:]):
            changed.append(name)
            continue
        # From before the file was read: a change meanwhile shows at the next look.
        found[prefix + name] = before
    return changed


def fingerprint(folders: Sequence[Path], name: str) -> Fingerprint | None:
    """Size in bytes, time of the last change in ns, and inode; None where there is no file."""
    for folder in folders:
        try:
            status = os.stat(folder / name)
        except (OSError, ValueError):
            continue
        return [status.st_size, status.st_mtime_ns, status.st_ino]
    return None
