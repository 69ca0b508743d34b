"""Computes the kernels that the graph computes from variables, and adds them to the variables."""

from __future__ import annotations

import os
import struct
from typing import Any, Iterator, Mapping, Sequence

from stage_extract.dtypes import BY_NAME
from stage_extract.graph.folding import Folded
from stage_extract.reference.filling import Filler
from stage_extract.reference.plan import make_folding_plan
from stage_extract.reference.record import OpenGraph, open_graph, read_graph
from stage_extract.reference.result import ReferenceUnavailable
from stage_extract.reference.session import RunFailed
from stage_extract.reference.values import as_bytes
from stage_extract.source import GraphFile
from stage_extract.writing.export_format import HEADER_METADATA
from stage_extract.writing.safetensors_writer import TensorEntry, write_safetensors

_PIECE_BYTES = 1 << 24
_LENGTH_SIZE_BYTES = 8


def add_folded(
    path: str,
    entries: Sequence[TensorEntry],
    folded: Sequence[Folded],
    source: GraphFile,
    filler: Filler,
    description: Mapping[str, Any],
    prefer_ema: bool,
) -> None:
    """Write the file of the variables again, with the computed kernels behind them.

    One kernel is in memory at a time. If one cannot be computed, the file stays as it was.

    Args:
        path: variables.safetensors.
        entries: what it holds, in the order of its data.
        folded: the kernels.
        source: where the graph is.
        filler: gives the graph's variables their values.
        description: graph.json's object.
        prefer_ema: compute from moving averages, where there are any.

    Raises:
        ReferenceUnavailable: TensorFlow cannot compute a kernel.
        DiskFull, OutputNotWritable, HeaderTooLarge: from writing.
    """
    meta = read_graph(source)
    tensors = {one.info.name: one for one in folded}
    plan = make_folding_plan(meta, description, [one.tensor for one in folded])
    more = [_entry(one) for one in sorted(folded, key=lambda one: one.info.name)]
    with open_graph(meta, filler, plan, prefer_ema) as graph, _OldData(path, entries) as old:

        def pieces(name: str) -> Iterator[memoryview]:
            if name in tensors:
                yield from _computed(graph, tensors[name], plan.switches)
            else:
                yield from old.pieces(name)

        write_safetensors(path, [*entries, *more], HEADER_METADATA, pieces)


def _entry(folded: Folded) -> TensorEntry:
    element_type = BY_NAME[folded.info.dtype]
    if element_type.safetensors is None or element_type.size_bytes is None:
        raise ReferenceUnavailable(f"the type {folded.info.dtype} cannot be stored")
    size_bytes = element_type.size_bytes
    for size in folded.info.shape:
        size_bytes *= size
    return TensorEntry(folded.info.name, element_type.safetensors, folded.info.shape, size_bytes)


def _computed(
    graph: OpenGraph, folded: Folded, switches: Mapping[str, Any]
) -> Iterator[memoryview]:
    try:
        value = graph.session.fetch(switches, [folded.tensor])[folded.tensor]
    except RunFailed as error:
        raise ReferenceUnavailable(str(error)) from error
    found = (tuple(value.shape), value.dtype.name)
    if found != (folded.info.shape, folded.info.dtype):
        raise ReferenceUnavailable(
            f"'{folded.tensor}' is {list(value.shape)} of {value.dtype.name}, the graph says "
            f"{list(folded.info.shape)} of {folded.info.dtype}"
        )
    if value.size:
        yield as_bytes(value)


class _OldData:
    """The data of a safetensors file, by the order of its entries."""

    def __init__(self, path: str, entries: Sequence[TensorEntry]) -> None:
        self._path = path
        self._places = {}
        offset = 0
        for entry in entries:
            self._places[entry.name] = (offset, entry.size_bytes)
            offset += entry.size_bytes

    def __enter__(self) -> _OldData:
        self._file = open(self._path, "rb")
        [length] = struct.unpack("<Q", self._file.read(_LENGTH_SIZE_BYTES))
        self._begin = _LENGTH_SIZE_BYTES + length
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.close()

    def pieces(self, name: str) -> Iterator[memoryview]:
        """Give the bytes of one tensor."""
        offset, left = self._places[name]
        self._file.seek(self._begin + offset, os.SEEK_SET)
        while left:
            piece = self._file.read(min(left, _PIECE_BYTES))
            left -= len(piece)
            yield memoryview(piece)
