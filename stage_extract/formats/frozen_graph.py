"""Frozen graphs: the weights are constants of the graph, which is described as if they were not."""

from __future__ import annotations

from functools import partial
from typing import Dict, Iterator, List, Sequence

from stage_extract.errors import CorruptIndex, NotTensorFlow
from stage_extract.finding.file_kinds import holds_meta_graph
from stage_extract.finding.located import Located
from stage_extract.formats.model_files import read_message
from stage_extract.graph.constants import ConstantInvalid, constant_head, constant_pieces
from stage_extract.graph.graphdef import GraphUnreadable, MetaGraph, to_meta_graph
from stage_extract.graph.savers import VARIABLE_OPS
from stage_extract.graph.weights import find_weights
from stage_extract.jobs import ExtractOptions
from stage_extract.messages import MetaGraphDef, TensorProto
from stage_extract.reader import VariableInfo, VariableReader
from stage_extract.source import GraphFile, Source

FORMAT = "frozen graph"


class GraphDefFile(GraphFile):
    """A GraphDef, or a MetaGraphDef, in a file of its own, as it was saved.

    Args:
        path: the file.
    """

    kind = "frozen_graph"
    words = "the frozen graph"

    def __init__(self, path: str) -> None:
        self._path = path

    def parse(self) -> MetaGraph:
        """Read the graph (see `GraphFile.parse`; raises CorruptIndex if it is none)."""
        if holds_meta_graph(self._path):
            return to_meta_graph(read_message(self._path, MetaGraphDef()))
        proto = MetaGraphDef()
        read_message(self._path, proto.graph_def)
        return to_meta_graph(proto)


class ThawedGraph(GraphFile):
    """A frozen graph with a variable in place of each weight, under the weight's name.

    Args:
        frozen: the graph as it was saved.
        weights: names of the constants.
    """

    def __init__(self, frozen: GraphFile, weights: Sequence[str]) -> None:
        self.kind = frozen.kind
        self.words = frozen.words
        self._frozen = frozen
        self._weights = frozenset(weights)

    def parse(self) -> MetaGraph:
        """Read the graph, and let go of the weights (see `GraphFile.parse`)."""
        frozen = self._frozen.parse().proto
        thawed = MetaGraphDef()
        thawed.graph_def.versions.CopyFrom(frozen.graph_def.versions)
        thawed.graph_def.library.CopyFrom(frozen.graph_def.library)
        for key, signature in frozen.signature_def.items():
            thawed.signature_def[key].CopyFrom(signature)
        for key, collection in frozen.collection_def.items():
            thawed.collection_def[key].CopyFrom(collection)
        for node in frozen.graph_def.node:
            copy = thawed.graph_def.node.add()
            if node.name not in self._weights:
                copy.CopyFrom(node)
                continue
            value = node.attr["value"].tensor
            copy.name = node.name
            copy.op = "VariableV2"
            copy.attr["dtype"].type = value.dtype
            copy.attr["shape"].shape.CopyFrom(value.tensor_shape)
        return to_meta_graph(thawed)

    def parse_to_run(self) -> MetaGraph:
        """Read the graph as it was saved: what TensorFlow computes needs no reading of weights."""
        return self._frozen.parse()


class ConstantReader(VariableReader):
    """Reads the weights of a frozen graph.

    Args:
        frozen: the graph as it was saved.
        infos: what the weights are, by name. Their values are read when the first is asked for.
    """

    def __init__(self, frozen: GraphFile, infos: Dict[str, VariableInfo]) -> None:
        self._frozen = frozen
        self._infos = infos
        self._values: Dict[str, TensorProto] = {}

    def variables(self) -> List[VariableInfo]:
        """Give every weight, sorted by name."""
        return [self._infos[name] for name in sorted(self._infos)]

    def info(self, name: str) -> VariableInfo:
        """Give what the graph says of one weight (see `VariableReader.info`)."""
        return self._infos[name]

    def pieces(self, name: str) -> Iterator[memoryview]:
        """Give the bytes of one weight in pieces (see `VariableReader.pieces`)."""
        if not self._values:
            nodes = self._frozen.parse().proto.graph_def.node
            self._values = {
                node.name: node.attr["value"].tensor for node in nodes if node.name in self._infos
            }
        try:
            yield from constant_pieces(self._values[name])
        except ConstantInvalid as error:
            raise _invalid(self._frozen, name, error) from error

    def close(self) -> None:
        """Let go of the graph."""
        self._values = {}


def open_frozen_graph(located: Located, options: ExtractOptions) -> Source:
    """Find the weights of a frozen graph (raises what `open_frozen` raises)."""
    return open_frozen(located, GraphDefFile(located.prefix))


def open_frozen(located: Located, frozen: GraphFile) -> Source:
    """Find the weights among the constants of a graph.

    Args:
        located: its file.
        frozen: the graph as it was saved.

    Raises:
        NotTensorFlow: it has none; its values lie elsewhere, if it needs any.
        CorruptIndex: the file holds no graph, or a constant contradicts itself.
        NotReadable: the operating system refuses.
    """
    try:
        meta = frozen.parse()
    except GraphUnreadable as error:
        raise CorruptIndex(
            f"{located.prefix!r} holds no graph that can be used: {error}.",
            "Expected the GraphDef of a frozen graph.",
            "Copy the file again from its source.",
        ) from error
    variables = [node.name for node in meta.graph if node.op in VARIABLE_OPS]
    weights = find_weights(meta.graph)
    if variables or not weights.names:
        raise _no_weights(located.prefix, variables)
    infos: Dict[str, VariableInfo] = {}
    for name in weights.names:
        node = meta.graph.get(name)
        assert node is not None
        try:
            head = constant_head(node.proto.attr["value"].tensor)
        except ConstantInvalid as error:
            raise _invalid(frozen, name, error) from error
        infos[name] = VariableInfo(name, head.dtype, head.shape)
    return Source(
        format=FORMAT,
        prefix=located.prefix,
        step=located.step,
        paths=(located.prefix,),
        open_reader=partial(ConstantReader, frozen, infos),
        graph=ThawedGraph(frozen, weights.names),
        restore_prefix=None,
        warnings=tuple(_quantised_warnings(weights.quantised)),
    )


def _no_weights(path: str, variables: Sequence[str]) -> NotTensorFlow:
    needed = ""
    if variables:
        needed = (
            f": the values of its {len(variables)} variables (first {variables[0]!r}) lie elsewhere"
        )
    return NotTensorFlow(
        f"{path!r} is a graph without weights{needed}.",
        "Expected a frozen graph, with its weights as constants, or a checkpoint.",
        "Give the checkpoint that belongs to it.",
    )


def _invalid(frozen: GraphFile, name: str, error: ConstantInvalid) -> CorruptIndex:
    return CorruptIndex(
        f"The constant {name!r} of {frozen.words} cannot be read: {error}.",
        "Expected as many values as its shape says.",
        "Copy the file again from its source.",
    )


def _quantised_warnings(names: Sequence[str]) -> List[str]:
    if not names:
        return []
    return [
        f"{len(names)} constants hold quantised weights (first {names[0]!r}): they stay constants "
        "of the graph, and are no variables of the export."
    ]
