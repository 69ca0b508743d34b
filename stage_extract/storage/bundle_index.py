"""The index of a V2 checkpoint ("tensor bundle"): where each tensor lies in the data shards.

The index is a table (see `sstable`) of protocol buffers: the header under the empty key, one
BundleEntryProto under each variable's name, and one under the encoded key of each slice of a
partitioned variable (tensorflow/core/protobuf/tensor_bundle.proto). Everything that the data is
read by is checked here once, so that no reader meets a negative offset or a size that does not
belong to its shape.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Tuple

from stage_extract.dtypes import ELEMENT_TYPES, ElementType
from stage_extract.errors import CorruptIndex, UnsupportedFormat
from stage_extract.files import open_for_reading
from stage_extract.messages.stored import (
    BundleEntryProto,
    BundleHeaderProto,
    DecodeError,
    TensorSliceProto,
)
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
    whole_box,
)
from stage_extract.storage.sstable import SSTableError, read_table

_HEADER_KEY = b""
_SLICE_KEY_START = b"\x00"
# TensorFlow writes the shard number in five digits.
_MAX_SHARDS = 100000


class Extent(NamedTuple):
    """Where the bytes of one stored tensor or slice are.

    Attributes:
        shard: number of the data shard.
        offset: first byte in the shard.
        size_bytes: number of bytes.
        masked_crc32c: checksum of the bytes, masked as TensorFlow does.
        box: where this part lies in the whole tensor.
    """

    shard: int
    offset: int
    size_bytes: int
    masked_crc32c: int
    box: Box


class IndexedTensor(NamedTuple):
    """One variable of the index.

    Attributes:
        name: its key.
        element_type: dtype.
        shape: sizes of the whole tensor.
        extents: one for a plain tensor; for a partitioned one its slices, which cover it once.
    """

    name: str
    element_type: ElementType
    shape: Tuple[int, ...]
    extents: Tuple[Extent, ...]


class BundleIndex(NamedTuple):
    """A whole index, checked.

    Attributes:
        num_shards: number of data shards that belong to it.
        tensors: every variable by name, in the index's order (sorted by name).
    """

    num_shards: int
    tensors: Mapping[str, IndexedTensor]

    def shard_sizes_bytes(self) -> List[int]:
        """Give the least size that each shard must have to hold what the index promises."""
        sizes = [0] * self.num_shards
        for tensor in self.tensors.values():
            for extent in tensor.extents:
                end = extent.offset + extent.size_bytes
                sizes[extent.shard] = max(sizes[extent.shard], end)
        return sizes


class _IndexDecoder:
    """Decodes the entries of one index; each complaint names the file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._num_shards = 0
        # The entries of slices; their keys sort before all names.
        self._slices: Dict[bytes, bytes] = {}
        self._shapes: Dict[Tuple[int, ...], Tuple[int, ...]] = {}

    def decode(self, table: Iterator[Tuple[bytes, bytes]]) -> BundleIndex:
        key, value = next(table, (None, b""))
        if key != _HEADER_KEY:
            raise self.corrupt("it has no header entry")
        self._num_shards = self._decode_header(value)
        tensors = {}
        for key, value in table:
            if key.startswith(_SLICE_KEY_START):
                self._slices[key] = value
            else:
                tensor = self._decode_tensor(key, value)
                tensors[tensor.name] = tensor
        return BundleIndex(self._num_shards, tensors)

    def corrupt(self, what: str) -> CorruptIndex:
        return CorruptIndex(
            f"The index {self._path!r} cannot be used: {what}.",
            "Expected the .index file that TensorFlow wrote for this checkpoint, whole.",
            "Copy the file again from its source, or take another step of the training.",
        )

    def _parse(self, message: Any, value: bytes, what: str) -> Any:
        try:
            consumed_bytes = message.ParseFromString(value)
        except DecodeError as error:
            raise self.corrupt(f"{what} cannot be decoded") from error
        # protobuf stops at a stray end mark, and only warns of the bytes behind it.
        if consumed_bytes != len(value):
            raise self.corrupt(f"{what} cannot be decoded")
        return message

    def _decode_header(self, value: bytes) -> int:
        header = self._parse(BundleHeaderProto(), value, "its header")
        if header.endianness != BundleHeaderProto.LITTLE:
            raise UnsupportedFormat(
                f"The checkpoint {self._path!r} was written on a big-endian machine.",
                "Expected little-endian data.",
                "Ask for a checkpoint that was saved on a little-endian machine (any x86 or ARM).",
            )
        if not 0 < header.num_shards < _MAX_SHARDS:
            raise self.corrupt(f"its header claims {header.num_shards} data shards")
        return int(header.num_shards)

    def _decode_tensor(self, key: bytes, value: bytes) -> IndexedTensor:
        try:
            name = key.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.corrupt(f"the name {key[:80]!r} is no UTF-8") from error
        entry = self._parse(BundleEntryProto(), value, f"the entry of {name!r}")
        shape = self._decode_shape(name, entry)
        if entry.dtype not in ELEMENT_TYPES:
            raise self.corrupt(f"{name!r} has the unknown element type {entry.dtype}")
        element_type = ELEMENT_TYPES[entry.dtype]
        if not entry.slices:
            extent = self._decode_extent(name, entry, element_type, whole_box(shape))
            return IndexedTensor(name, element_type, shape, (extent,))
        keys = [self._slice_key(name, part, shape) for part in entry.slices]
        boxes = [resolve_box(key, shape) for key in keys]
        try:
            check_cover(boxes, shape)
        except SlicesError as error:
            raise self.corrupt(f"the slices of {name!r} do not fit: {error}") from error
        extents = tuple(self._decode_slice(name, entry, key, box) for key, box in zip(keys, boxes))
        return IndexedTensor(name, element_type, shape, extents)

    def _decode_shape(self, name: str, entry: Any) -> Tuple[int, ...]:
        shape = tuple(dimension.size for dimension in entry.shape.dim)
        if entry.shape.unknown_rank or not is_possible_shape(shape):
            raise self.corrupt(f"{name!r} has the shape {shown_shape(shape)}")
        # Most variables of a large checkpoint share a few shapes.
        return self._shapes.setdefault(shape, shape)

    def _decode_extent(
        self,
        name: str,
        entry: BundleEntryProto,
        element_type: ElementType,
        box: Box,
    ) -> Extent:
        if not 0 <= entry.shard_id < self._num_shards:
            raise self.corrupt(
                f"{name!r} lies in shard {entry.shard_id} of {self._num_shards} (counted from 0)"
            )
        if entry.offset < 0 or entry.size < 0:
            raise self.corrupt(f"{name!r} lies at {entry.offset} with {entry.size} bytes")
        if element_type.size_bytes is not None:
            size_bytes = element_type.size_bytes * count_elements(box_shape(box))
            if size_bytes != entry.size:
                raise self.corrupt(
                    f"{name!r} has {entry.size} bytes, but {element_type.name} "
                    f"{list(box_shape(box))} takes {size_bytes}"
                )
        return Extent(entry.shard_id, entry.offset, entry.size, entry.crc32c, box)

    def _slice_key(self, name: str, part: TensorSliceProto, shape: Tuple[int, ...]) -> Box:
        """Give the bounds of a slice as its key has them: `WHOLE_AXIS` where it is not cut."""
        if len(part.extent) != len(shape):
            raise self.corrupt(f"a slice of {name!r} has {len(part.extent)} axes")
        bounds = tuple(
            (extent.start, extent.length)
            if extent.WhichOneof("has_length") is not None
            else WHOLE_AXIS
            for extent in part.extent
        )
        if any(bound != WHOLE_AXIS and min(bound) < 0 for bound in bounds):
            raise self.corrupt(f"a slice of {name!r} has the bounds {bounds}")
        return bounds

    def _decode_slice(self, name: str, entry: BundleEntryProto, key: Box, box: Box) -> Extent:
        value = self._slices.get(encode_slice_key(name, key))
        if value is None:
            raise self.corrupt(f"the slice {list(key)} of {name!r} is missing")
        stored = self._parse(BundleEntryProto(), value, f"a slice of {name!r}")
        stored_shape = tuple(dimension.size for dimension in stored.shape.dim)
        if stored_shape != box_shape(box) or stored.dtype != entry.dtype or stored.slices:
            raise self.corrupt(
                f"a slice of {name!r} is {list(stored_shape)}, expected {list(box_shape(box))}"
            )
        return self._decode_extent(name, stored, ELEMENT_TYPES[entry.dtype], box)


def read_bundle_index(path: str) -> BundleIndex:
    """Read and check a whole .index file.

    Raises:
        CorruptIndex: the file cannot be decoded or contradicts itself.
        UnsupportedFormat: the data is big-endian.
        NotReadable: the file cannot be opened.
    """
    decoder = _IndexDecoder(path)
    with open_for_reading(path) as file:
        try:
            return decoder.decode(read_table(file))
        except SSTableError as error:
            raise decoder.corrupt(str(error)) from error
