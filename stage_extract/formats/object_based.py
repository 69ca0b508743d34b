"""V2 checkpoints that tf.train.Checkpoint or Keras wrote: read under names instead of keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Iterator, List, Mapping, Sequence, Tuple

from stage_extract.errors import CorruptTensor
from stage_extract.reader import VariableInfo, VariableReader
from stage_extract.selecting.object_graph import (
    ATTRIBUTES,
    OBJECT_GRAPH_KEY,
    ObjectGraphUnreadable,
    ObjectNames,
    read_object_graph,
)
from stage_extract.source import Source
from stage_extract.storage.bundle_index import BundleIndex
from stage_extract.storage.bundle_strings import read_text


class RenamedReader(VariableReader):
    """Reads through another reader, under other names.

    Args:
        reader: reads by keys; closed with this one.
        names: key -> name, for every key.
    """

    def __init__(self, reader: VariableReader, names: Mapping[str, str]) -> None:
        self._reader = reader
        self._keys = {name: key for key, name in names.items()}

    def variables(self) -> List[VariableInfo]:
        """Give every tensor, sorted by its name."""
        return [self.info(name) for name in sorted(self._keys)]

    def info(self, name: str) -> VariableInfo:
        """Give what the checkpoint says of one tensor, with its key if that is another."""
        key = self._keys[name]
        info = self._reader.info(key)
        return info._replace(name=name, key=None if key == name else key)

    def pieces(self, name: str) -> Iterator[memoryview]:
        """Give the bytes of one tensor in pieces (see `VariableReader.pieces`)."""
        return self._reader.pieces(self._keys[name])

    def checksums(self, name: str) -> Tuple[int, ...]:
        """Give what the file keeps of a tensor (see `VariableReader.checksums`)."""
        return self._reader.checksums(self._keys[name])

    def close(self) -> None:
        """Close the other reader."""
        self._reader.close()


def by_objects(source: Source, index: BundleIndex, shard_paths: Sequence[str]) -> Source:
    """Give a V2 checkpoint as its object graph tells it; one without an object graph as it is.

    Args:
        source: read by keys.
        index: its index.
        shard_paths: its data shards, in the order of their numbers.
    """
    if not any(ATTRIBUTES in key for key in index.tensors):
        return source
    try:
        objects = _objects(index, shard_paths)
    except (CorruptTensor, ObjectGraphUnreadable) as error:
        why = error.happened if isinstance(error, CorruptTensor) else f"{error}."
        warning = f"The tensors have their keys for names: {why}"
        return replace(source, warnings=(*source.warnings, warning))
    return replace(
        source,
        open_reader=_renaming(source.open_reader, objects.names),
        renamed=True,
        variable_order=objects.order,
        training_state=objects.training_state,
    )


def _objects(index: BundleIndex, shard_paths: Sequence[str]) -> ObjectNames:
    text = index.tensors.get(OBJECT_GRAPH_KEY)
    if text is None or text.element_type.name != "string":
        raise ObjectGraphUnreadable(f"there is no text {OBJECT_GRAPH_KEY} beside them")
    variables = [
        VariableInfo(one.name, one.element_type.name, one.shape) for one in index.tensors.values()
    ]
    return read_object_graph(read_text(text, shard_paths), variables)


def _renaming(
    open_reader: Callable[[], VariableReader], names: Mapping[str, str]
) -> Callable[[], VariableReader]:
    return lambda: RenamedReader(open_reader(), names)
