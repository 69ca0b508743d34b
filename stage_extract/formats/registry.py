"""The formats that are read, each with the function that opens it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Callable, Mapping

from stage_extract.formats.v2 import open_v2
from stage_extract.jobs import ExtractOptions
from stage_extract.locate import Located
from stage_extract.source import Source

# By `Located.format`.
OPENERS: Mapping[str, Callable[[Located, ExtractOptions], Source]] = MappingProxyType(
    {
        "V2": open_v2,
    }
)


def open_source(located: Located, options: ExtractOptions) -> Source:
    """Open what was located, by its format.

    Raises:
        ExtractError: the files are damaged, incomplete, or hold no model.
    """
    return OPENERS[located.format](located, options)
