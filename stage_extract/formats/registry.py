"""The formats that are read, each with the function that opens it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Callable, Mapping

from stage_extract.formats.frozen_graph import open_frozen_graph
from stage_extract.formats.saved_model import open_saved_model
from stage_extract.formats.v1 import open_v1
from stage_extract.formats.v2 import open_v2
from stage_extract.jobs import ExtractOptions
from stage_extract.locate import Located
from stage_extract.source import Source

# By `Located.format`.
OPENERS: Mapping[str, Callable[[Located, ExtractOptions], Source]] = MappingProxyType(
    {
        "SavedModel": open_saved_model,
        "V1": open_v1,
        "V2": open_v2,
        "frozen graph": open_frozen_graph,
    }
)


def open_source(located: Located, options: ExtractOptions) -> Source:
    """Open what was located, by its format.

    Raises:
        ExtractError: the files are damaged, incomplete, or hold no model.
    """
    return OPENERS[located.format](located, options)
