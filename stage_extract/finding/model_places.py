"""Where the files of SavedModels and of frozen graphs lie."""

from __future__ import annotations

import os
from typing import Iterable, Optional

from stage_extract.errors import AmbiguousCheckpoint
from stage_extract.files import list_folder
from stage_extract.finding.file_kinds import FROZEN_GRAPH, file_kind
from stage_extract.finding.step_choice import shown

# The file is in bytes, or, as saved_model.pbtxt, a text.
SAVED_MODEL_START = "saved_model.pb"
# A SavedModel keeps its variables as the V2 checkpoint variables/variables.
_VARIABLES = "variables"
_GRAPH_SUFFIXES = (".pb", ".pbtxt")


def holds_saved_model(names: Iterable[str]) -> bool:
    """Tell whether the names of a folder are those of a SavedModel."""
    return any(name.startswith(SAVED_MODEL_START) for name in names)


def saved_model_of(prefix: str) -> Optional[str]:
    """Give the folder of the SavedModel whose variables lie at a prefix, None for any other."""
    folder, name = os.path.split(os.path.abspath(prefix))
    above, folder_name = os.path.split(folder)
    if (folder_name, name) != (_VARIABLES, _VARIABLES):
        return None
    return above if holds_saved_model(list_folder(above)) else None


def only_text_graph(folder: str, names: Iterable[str]) -> Optional[str]:
    """Give the one graph that a folder holds as text, None if there is none.

    Raises:
        AmbiguousCheckpoint: there are several.
    """
    paths = [os.path.join(folder, name) for name in names if name.endswith(_GRAPH_SUFFIXES)]
    graphs = [path for path in paths if os.path.isfile(path) and _is_graph(path)]
    if len(graphs) > 1:
        bases = [os.path.basename(path) for path in graphs]
        raise AmbiguousCheckpoint(
            f"{folder!r} holds several models: {shown(bases)}.",
            "Expected one.",
            f"Give the file that you mean, e.g. {graphs[-1]}.",
        )
    return graphs[0] if graphs else None


def _is_graph(path: str) -> bool:
    kind = file_kind(path)
    return kind is not None and kind.format == FROZEN_GRAPH.format
