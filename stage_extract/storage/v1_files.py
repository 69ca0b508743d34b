"""The files of V1 checkpoints: one under the prefix itself, or shards NAME-00000-of-00002."""

from __future__ import annotations

import os
from typing import Dict, List, Optional, Tuple

from stage_extract.errors import AmbiguousCheckpoint, DataFileMissing
from stage_extract.files import list_folder
from stage_extract.finding.checkpoint_names import (
    INDEX_SUFFIX,
    PrefixName,
    prefixes_with_index,
    sort_by_step,
    split_prefix,
    split_v1_shard,
    strip_suffix,
    v1_shard_name,
)
from stage_extract.finding.step_choice import shown
from stage_extract.storage.table_kinds import is_v1_file

V1 = "V1"
V2 = "V2"


def v1_prefix(name: str) -> str:
    """Give the prefix that a V1 file of this name belongs to."""
    shard = split_v1_shard(name)
    return name if shard is None else shard.prefix


def _v1_names(folder: str, names: List[str]) -> List[str]:
    """Give those names of a folder that are V1 checkpoints by their bytes."""
    return [
        name
        for name in names
        if strip_suffix(name) is None
        and os.access(os.path.join(folder, name), os.R_OK)
        and is_v1_file(os.path.join(folder, name))
    ]


def prefixes_in(folder: str, names: List[str], wanted: Optional[str]) -> List[PrefixName]:
    """Give the prefixes of the checkpoints in a folder, sorted by step, then name.

    Args:
        folder: where they are.
        names: what it holds.
        wanted: "V1" or "V2" leaves out the other format.
    """
    found = [] if wanted == V1 else prefixes_with_index(names)
    known = {prefix.name for prefix in found}
    more = set() if wanted == V2 else {v1_prefix(name) for name in _v1_names(folder, names)}
    return sort_by_step([*found, *(split_prefix(name) for name in more - known)])


def formats_at(prefix: str) -> Tuple[str, ...]:
    """Give the formats of the checkpoints at a prefix, the newer first."""
    folder, name = os.path.split(prefix)
    names = list_folder(folder or ".") if os.path.isdir(folder or ".") else []
    files = [other for other in names if v1_prefix(other) == name]
    found = [V2] if os.path.lexists(prefix + INDEX_SUFFIX) else []
    return tuple(found + ([V1] if _v1_names(folder, files) else []))


def is_at(wanted: Optional[str], prefix: str) -> bool:
    """Tell whether a checkpoint, of one format if that is asked for, lies at a prefix."""
    formats = formats_at(prefix)
    return bool(formats) if wanted is None else wanted in formats


def v1_files(prefix: str) -> Tuple[str, ...]:
    """Give the paths of all files of a V1 checkpoint, or say which are missing.

    Raises:
        DataFileMissing: not all shards are there.
        AmbiguousCheckpoint: there are shards of several saves, or a single file beside shards.
        NotReadable: the operating system refuses.
    """
    folder, name = os.path.split(prefix)
    present: Dict[Optional[int], List[str]] = {}
    for other in list_folder(folder or "."):
        shard = split_v1_shard(other)
        if other == name:
            present[None] = [other]
        elif shard is not None and shard.prefix == name and shard.number is not None:
            present.setdefault(shard.total, []).append(other)
    if len(present) > 1:
        names = sorted(file for files in present.values() for file in files)
        raise AmbiguousCheckpoint(
            f"At {prefix!r} lie files of several V1 checkpoints: {shown(names)}.",
            "Expected one file, or the shards of one save.",
            "Move those of the others into another folder.",
        )
    ((count, found),) = present.items()
    expected = found if count is None else [v1_shard_name(name, n, count) for n in range(count)]
    missing = sorted(set(expected) - set(found))
    if missing:
        raise DataFileMissing(
            f"{len(missing)} of {len(expected)} files of the V1 checkpoint {prefix!r} are missing.",
            f"Expected {shown(missing)} beside the others.",
            "Copy the missing files from where the checkpoint comes from.",
        )
    return tuple(os.path.join(folder, file) for file in expected)
