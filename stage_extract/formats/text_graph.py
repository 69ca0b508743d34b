"""The `graph.pbtxt` that estimators and monitored sessions write beside their checkpoints."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Set

from stage_extract.errors import CorruptIndex
from stage_extract.formats.model_files import read_message
from stage_extract.graph.graphdef import GraphUnreadable, MetaGraph, to_meta_graph
from stage_extract.graph.savers import PART_NAME, VARIABLE_OPS
from stage_extract.messages import MetaGraphDef
from stage_extract.source import GraphFile, Source

_NAME = "graph.pbtxt"


class TextGraph(GraphFile):
    """A GraphDef as text: nodes without collections, and without a word on the Saver.

    Args:
        path: the file.
    """

    kind = "graph_def"
    words = f"the file {_NAME}"

    def __init__(self, path: str) -> None:
        self._path = path

    def parse(self) -> MetaGraph:
        """Read the graph (see `GraphFile.parse`)."""
        proto = MetaGraphDef()
        try:
            read_message(self._path, proto.graph_def)
        except CorruptIndex as error:
            raise GraphUnreadable(str(error)) from error
        return to_meta_graph(proto)


def with_text_graph(source: Source) -> Source:
    """Give a checkpoint without a graph of its own the graph beside it, if that is of its model.

    Raises:
        NotReadable: the operating system refuses.
    """
    path = os.path.join(os.path.dirname(source.prefix), _NAME)
    if source.graph is not None or not os.path.isfile(path):
        return source
    graph = TextGraph(path)
    try:
        held = _variables(graph.parse())
    except GraphUnreadable as error:
        return _told(source, f"{_NAME} is left aside: {error}")
    reader = source.open_reader()
    names = {info.name for info in reader.variables()}
    reader.close()
    if not names & held:
        return _told(source, f"{_NAME} is left aside: it holds none of the checkpoint's variables.")
    told = _told(source, f"There is no .meta file; the graph is read from {_NAME}.")
    return replace(told, graph=graph, paths=(*source.paths, path))


def _told(source: Source, warning: str) -> Source:
    return replace(source, warnings=(*source.warnings, warning))


def _variables(meta: MetaGraph) -> Set[str]:
    """Give the names of a graph's variables, those of whole ones for their parts."""
    names = {node.name for node in meta.graph if node.op in VARIABLE_OPS}
    parts = (PART_NAME.match(name) for name in names)
    return names | {part["whole"] for part in parts if part is not None}
