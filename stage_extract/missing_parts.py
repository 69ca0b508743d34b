"""What is said of a checkpoint of which a part is missing."""

from __future__ import annotations

import os
from typing import List

from stage_extract.checkpoint_names import INDEX_SUFFIX, META_SUFFIX
from stage_extract.errors import DataFileMissing
from stage_extract.files import list_folder
from stage_extract.step_choice import shown


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
        f"{name + META_SUFFIX} is missing, so that there is no graph. If {shown(others)} is of the "
        f"same model, copy it to {name + META_SUFFIX} and extract again."
    ]


def index_missing(prefix: str) -> DataFileMissing:
    """Make the error for a checkpoint whose index is not there."""
    return DataFileMissing(
        f"{prefix + INDEX_SUFFIX!r} is missing, although other files of that checkpoint are there.",
        "Expected NAME.index beside NAME.data-00000-of-00001: it says where each variable is.",
        "Copy it from where the checkpoint comes from.",
    )
