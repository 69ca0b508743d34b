"""The parts of the pure reader that take bytes from a stranger, each by itself."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

from stage_extract.graph.graphdef import GraphUnreadable, parse_meta_graph
from stage_extract.messages import GraphDef, MetaGraphDef, SavedModel, TextError, parse_text
from stage_extract.messages.pure import DecodeError
from stage_extract.storage.snappy import uncompress
from stage_extract.storage.sstable import SSTableError, read_table
from tests.fuzz.target import DONE, Finding

_MOST_BYTES = 1 << 20


def _table(data: bytes) -> str:
    try:
        for _ in read_table(io.BytesIO(data)):
            pass
    except SSTableError as error:
        return type(error).__name__
    return DONE


def _snappy(data: bytes) -> str:
    try:
        if len(uncompress(data, _MOST_BYTES)) > _MOST_BYTES:
            raise Finding("more bytes than the limit")
    except ValueError:
        return "refused"
    return DONE


def _meta_graph(data: bytes) -> str:
    try:
        parse_meta_graph(data)
    except GraphUnreadable as error:
        return type(error).__name__
    return DONE


def _saved_model(data: bytes) -> str:
    try:
        SavedModel().ParseFromString(data)
    except DecodeError as error:
        return type(error).__name__
    return DONE


def _text(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    try:
        parse_text(text, MetaGraphDef())
        parse_text(text, GraphDef())
    except TextError as error:
        return type(error).__name__
    return DONE


READERS: Mapping[str, Callable[[bytes], str]] = MappingProxyType(
    {
        "graph": _meta_graph,
        "saved model": _saved_model,
        "snappy": _snappy,
        "table": _table,
        "text": _text,
    }
)


def check_snappy(expected: bytes, data: bytes) -> str:
    """Undo a stream that is right.

    Raises:
        Finding: the result is another.
    """
    if uncompress(data, len(expected)) != expected:
        raise Finding("the stream gives something else than it was made from")
    return DONE
