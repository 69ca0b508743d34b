"""The formats that are read, each with the function that opens it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Callable, Mapping

from stage_extract.errors import ExtractError
from stage_extract.finding.located import Located
from stage_extract.formats.frozen_graph import open_frozen_graph
from stage_extract.formats.hdf5 import open_hdf5
from stage_extract.formats.saved_model import open_saved_model
from stage_extract.formats.session_bundle import as_session_bundle
from stage_extract.formats.two_formats import difference
from stage_extract.formats.v1 import open_v1
from stage_extract.formats.v2 import open_v2
from stage_extract.jobs import ExtractOptions
from stage_extract.source import Source

# By `Located.format`.
OPENERS: Mapping[str, Callable[[Located, ExtractOptions], Source]] = MappingProxyType(
    {
        "HDF5": open_hdf5,
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
    source = as_session_bundle(OPENERS[located.format](located, options))
    if located.other_format is None:
        return source
    beside = located._replace(format=located.other_format, other_format=None)
    told = _compared(source, beside, options)
    return replace(source, warnings=(*source.warnings, told))


def _compared(source: Source, beside: Located, options: ExtractOptions) -> str:
    """Say what the checkpoint of another format at the same prefix holds."""
    try:
        other = OPENERS[beside.format](beside, options)
        return difference(source.open_reader, other.open_reader, other.format)
    except ExtractError as error:
        return f"The {beside.format} checkpoint cannot be compared: {error.happened}"
