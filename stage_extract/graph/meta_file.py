"""The graph in the .meta file that a Saver writes beside a checkpoint."""

from __future__ import annotations

from stage_extract.files import open_for_reading
from stage_extract.graph.graphdef import MetaGraph, parse_meta_graph
from stage_extract.source import GraphFile


class MetaFile(GraphFile):
    """A MetaGraphDef in a file of its own.

    Args:
        path: the .meta file.
    """

    kind = "meta"
    words = "the .meta file"

    def __init__(self, path: str) -> None:
        self._path = path

    def parse(self) -> MetaGraph:
        """Read the graph (see `GraphFile.parse`)."""
        with open_for_reading(self._path) as file:
            return parse_meta_graph(file.read())
