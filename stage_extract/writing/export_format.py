"""Names of the export folder that more than one module writes."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Mapping

FORMAT_NAME = "tf1-export"
FORMAT_VERSION = 1
VARIABLES_FILE_NAME = "variables.safetensors"
REFERENCE_FILE_NAME = "reference.safetensors"
GRAPH_FILE_NAME = "graph.json"

# One key only: with two, readers and writers may hold them in any order and the bytes differ.
HEADER_METADATA: Mapping[str, str] = MappingProxyType(
    {
        "tf1_export": json.dumps(
            {"format": FORMAT_NAME, "version": FORMAT_VERSION},
            sort_keys=True,
            separators=(",", ":"),
        )
    }
)
