"""What the files of a V1 checkpoint hold: the tensors, and under which key each slice lies.

Each file is a table (see `sstable`). Under the empty key it lists its tensors; under an encoded key
(see `ordered_code`) it holds the values of one slice, which is the whole tensor where it is not
partitioned. The files of a sharded checkpoint know nothing of each other
(tensorflow/core/util/saved_tensor_slice.proto, tensor_slice_writer.cc).
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, NoReturn, Sequence, Tuple

from stage_extract.dtypes import ELEMENT_TYPES, ElementType
from stage_extract.errors import CorruptIndex
from stage_extract.messages.stored import DecodeError, SavedTensorSlices
from stage_extract.storage.ordered_code import WHOLE_AXIS, encode_slice_key
from stage_extract.storage.slices import (
    Box,
    SlicesError,
    box_shape,
    check_cover,
    count_elements,
    is_possible_shape,
    resolve_box,
    shown_shape,
)
from stage_extract.storage.sstable import SSTableError, Table
from stage_extract.storage.v1_values import MIN_ELEMENT_SIZES_BYTES

_META_KEY = b""
# A table may be compressed; more than this it cannot save (see `sstable`).
_MAX_EXPANSION = 22


class SavedSlice(NamedTuple):
    """One stored part of a tensor.

    Attributes:
        shard: place of its file among those of the checkpoint.
        key: its key in that file.
        box: where it lies in the whole tensor.
    """

    shard: int
    key: bytes
    box: Box


class SavedTensor(NamedTuple):
    """One tensor of the checkpoint.

    Attributes:
        name: as it was saved.
        element_type: dtype.
        shape: sizes of the whole tensor.
        slices: parts that cover it once.
    """

    name: str
    element_type: ElementType
    shape: Tuple[int, ...]
    slices: Tuple[SavedSlice, ...]


def corrupt_index(path: str, what: str) -> CorruptIndex:
    """Make the error for a file that contradicts itself."""
    return CorruptIndex(
        f"The V1 checkpoint {path!r} cannot be used: {what}.",
        "Expected the file that TensorFlow wrote, whole.",
        "Copy the file again from its source, or take another step of the training.",
    )


class _Shard:
    """Decodes the list of one file; each complaint names the file."""

    def __init__(self, number: int, path: str) -> None:
        self._number = number
        self._path = path

    def tensors(self, table: Table) -> List[SavedTensor]:
        """Decode the list; a tensor may have only some of its slices here."""
        try:
            value = table.find(_META_KEY)
        except SSTableError as error:
            raise corrupt_index(self._path, str(error)) from error
        if value is None:
            self._corrupt("it has no list of tensors")
        message = SavedTensorSlices()
        try:
            message.ParseFromString(bytes(value))
        except DecodeError as error:
            raise corrupt_index(self._path, "its list of tensors cannot be decoded") from error
        if not message.HasField("meta"):
            self._corrupt("its first entry is no list of tensors")
        return [self._tensor(entry) for entry in message.meta.tensor]

    def _tensor(self, entry: Any) -> SavedTensor:
        name = entry.name
        if not name:
            self._corrupt("a tensor has no name")
        if entry.type not in ELEMENT_TYPES:
            self._corrupt(f"{name!r} has the unknown element type {entry.type}")
        element_type = ELEMENT_TYPES[entry.type]
        if element_type.name not in MIN_ELEMENT_SIZES_BYTES:
            self._corrupt(f"{name!r} is {element_type.name}, which this format cannot hold")
        shape = tuple(dimension.size for dimension in entry.shape.dim)
        if entry.shape.unknown_rank or not is_possible_shape(shape):
            self._corrupt(f"{name!r} has the shape {shown_shape(shape)}")
        slices = tuple(self._slice(name, part, shape) for part in entry.slice)
        return SavedTensor(name, element_type, shape, slices)

    def _slice(self, name: str, part: Any, shape: Tuple[int, ...]) -> SavedSlice:
        if len(part.extent) != len(shape):
            self._corrupt(f"a slice of {name!r} has {len(part.extent)} axes")
        bounds = tuple(
            (extent.start, extent.length)
            if extent.WhichOneof("has_length") is not None
            else WHOLE_AXIS
            for extent in part.extent
        )
        if any(bound != WHOLE_AXIS and min(bound) < 0 for bound in bounds):
            self._corrupt(f"a slice of {name!r} has the bounds {bounds}")
        return SavedSlice(self._number, encode_slice_key(name, bounds), resolve_box(bounds, shape))

    def _corrupt(self, what: str) -> NoReturn:
        raise corrupt_index(self._path, what)


def _merged(tensors: Dict[str, SavedTensor], tensor: SavedTensor, path: str) -> SavedTensor:
    """Add the slices of one more file."""
    known = tensors.get(tensor.name)
    if known is None:
        return tensor
    if (known.shape, known.element_type) != (tensor.shape, tensor.element_type):
        raise corrupt_index(
            path,
            f"{tensor.name!r} is {tensor.element_type.name} {list(tensor.shape)} here and "
            f"{known.element_type.name} {list(known.shape)} before",
        )
    return known._replace(slices=known.slices + tensor.slices)


def _check_sizes(
    tensors: Mapping[str, SavedTensor], paths: Sequence[str], sizes: List[int]
) -> None:
    """Refuse a list that promises more than its files can hold, before anything is allocated."""
    needed = [0] * len(paths)
    for tensor in tensors.values():
        element_size_bytes = MIN_ELEMENT_SIZES_BYTES[tensor.element_type.name]
        for part in tensor.slices:
            needed[part.shard] += element_size_bytes * count_elements(box_shape(part.box))
    for path, needed_bytes, size_bytes in zip(paths, needed, sizes):
        if needed_bytes > _MAX_EXPANSION * size_bytes:
            raise corrupt_index(
                path, f"its tensors take {needed_bytes} bytes, and the file has {size_bytes}"
            )


def read_v1_index(tables: Sequence[Table], paths: Sequence[str]) -> Dict[str, SavedTensor]:
    """Read and check the lists of all files of a checkpoint; the tensors by name, sorted.

    Raises:
        CorruptIndex: a list cannot be decoded, contradicts itself or another one, or the slices of
            a tensor are not all there.
    """
    tensors: Dict[str, SavedTensor] = {}
    for number, (table, path) in enumerate(zip(tables, paths)):
        for tensor in _Shard(number, path).tensors(table):
            tensors[tensor.name] = _merged(tensors, tensor, path)
    _check_sizes(tensors, paths, [table.size_bytes for table in tables])
    for name, tensor in tensors.items():
        try:
            check_cover([part.box for part in tensor.slices], tensor.shape)
        except SlicesError as error:
            raise corrupt_index(paths[0], f"the slices of {name!r} do not fit: {error}") from error
    return dict(sorted(tensors.items()))
