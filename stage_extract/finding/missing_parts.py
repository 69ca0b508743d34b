"""What is said of a checkpoint of which a part is missing."""

from __future__ import annotations

import os
from typing import List, Optional, Sequence, Set

from stage_extract.errors import DataFileMissing, NoCheckpointFound, UnsupportedFormat
from stage_extract.files import list_folder
from stage_extract.finding.checkpoint_names import INDEX_SUFFIX, META_SUFFIX
from stage_extract.finding.step_choice import shown

# What the names of a folder's neighbours are worth: a hint.
_MAX_FOLDERS_SEARCHED = 1000


def warn_of_missing_graph(prefix: str) -> List[str]:
    """Give a warning where the graphs of other checkpoints lie beside one without a graph."""
    if os.path.lexists(prefix + META_SUFFIX):
        return []
    name = os.path.basename(prefix)
    others = [
        other
        for other in list_folder(os.path.dirname(prefix) or ".")
        if other.endswith(META_SUFFIX)
    ]
    if not others:
        return []
    return [
        f"{name + META_SUFFIX}, which would hold the graph, is missing. If {shown(others)} is of "
        f"the same model, copy it to {name + META_SUFFIX} and extract again."
    ]


def index_missing(prefix: str) -> DataFileMissing:
    """Make the error for a checkpoint whose index is not there."""
    return DataFileMissing(
        f"{prefix + INDEX_SUFFIX!r} is missing, although other files of that checkpoint are there.",
        "Expected NAME.index beside NAME.data-00000-of-00001: it says where each variable is.",
        "Copy it from where the checkpoint comes from.",
    )


def shards_missing(
    prefix: str,
    missing: Sequence[str],
    expected: Sequence[str],
    data_folder: Optional[str],
    are_all_absent: bool,
) -> DataFileMissing:
    """Make the error for data shards that are not there; it says where they lie, if nearby.

    Args:
        prefix: the checkpoint.
        missing: names of the shards.
        expected: names of all shards.
        data_folder: where else they were looked for.
        are_all_absent: there is no data file at all, not even one that does not belong here.
    """
    if are_all_absent:
        happened = f"The weights of {prefix!r} are absent: it has an index, but no data file."
    else:
        happened = f"{len(missing)} of {len(expected)} data files of {prefix!r} are missing."
    place = "" if data_folder is None else f" or in {data_folder!r}"
    nearby = _folder_nearby(os.path.dirname(os.path.abspath(prefix)), set(missing))
    return DataFileMissing(
        happened,
        f"Expected {shown(list(missing))} beside the index{place}.",
        "Copy the missing files from where the checkpoint comes from, or tell their folder with "
        "--data-folder FOLDER."
        if nearby is None
        else f"There are such files in {nearby!r}: --data-folder {nearby} takes them from there.",
    )


def _folder_nearby(folder: str, names: Set[str]) -> Optional[str]:
    """Give a folder directly below or beside another one that has one of these files."""
    above = os.path.dirname(folder)
    candidates = [os.path.join(folder, name) for name in _names_in(folder)]
    candidates += [above, *(os.path.join(above, name) for name in _names_in(above))]
    for candidate in candidates[:_MAX_FOLDERS_SEARCHED]:
        if candidate != folder and names & set(_names_in(candidate)):
            return candidate
    return None


def _names_in(folder: str) -> List[str]:
    """Give the names in a folder; none where it is no folder, or is closed to us."""
    readable = os.path.isdir(folder) and os.access(folder, os.R_OK | os.X_OK)
    return list_folder(folder) if readable else []


def unfinished(prefix: str, name: str) -> UnsupportedFormat:
    """Make the error for one part of a save that did not come to its end."""
    return UnsupportedFormat(
        f"{prefix!r} is a part of a save of {name!r} that TensorFlow did not finish: it holds only "
        "the variables of one device.",
        f"Expected {name}.index, which TensorFlow writes last, from all parts.",
        "Take another step of the training. With TensorFlow 1.x, "
        "raw_ops.MergeV2Checkpoints(checkpoint_prefixes=…, destination_prefix=…) joins the parts.",
    )


def other_format_only(place: str, wanted: str, formats: Sequence[str]) -> NoCheckpointFound:
    """Make the error for a format that is not there, beside one that is."""
    return NoCheckpointFound(
        f"There is no {wanted} checkpoint at {place!r}, only {' and '.join(formats)}.",
        "Expected the format that was asked for.",
        "Leave --checkpoint-format away.",
    )
