"""Writes a safetensors file one piece at a time: the library wants every tensor in memory at once.

Layout: the header's size as 8 bytes (little-endian), the header as JSON (name -> dtype, shape,
data_offsets) padded with blanks so that the data starts at a multiple of 8, then the tensors'
bytes without gaps. Source: the format's description at https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO, Callable, Iterator, Mapping, NamedTuple, Sequence, Tuple

from stage_extract.errors import HeaderTooLarge, TensorNameReserved
from stage_extract.writing.output import new_file

METADATA_KEY = "__metadata__"
# The library refuses to read more (safetensors/src/tensor.rs, MAX_HEADER_SIZE).
MAX_HEADER_SIZE_BYTES = 100_000_000
_ALIGNMENT_BYTES = 8
_LENGTH_SIZE_BYTES = 8


class TensorEntry(NamedTuple):
    """What the header says of one tensor.

    Attributes:
        name: key in the file.
        dtype: safetensors' name ("F32", "BF16" …).
        shape: sizes; () for a scalar.
        size_bytes: number of bytes of the data.
    """

    name: str
    dtype: str
    shape: Tuple[int, ...]
    size_bytes: int


def encode_header(entries: Sequence[TensorEntry], metadata: Mapping[str, str]) -> bytearray:
    """Encode the size and the header of a file whose data lies in the order of `entries`.

    Args:
        entries: the tensors, in the order of their data.
        metadata: texts for the header; one key at most, since a reader may hold them in any order.

    Raises:
        TensorNameReserved: a tensor is called like the header's own key.
        HeaderTooLarge: the header is longer than readers accept.
    """
    if len(metadata) > 1:
        raise ValueError(f"{len(metadata)} metadata keys; expected one at most")
    # Built in one buffer, since a header may be as large as the tensors.
    header = bytearray(_LENGTH_SIZE_BYTES) + b"{"
    if metadata:
        header += _member(METADATA_KEY, dict(metadata))
    offset = 0
    for entry in entries:
        _check_name(entry.name)
        end = offset + entry.size_bytes
        value = {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": (offset, end)}
        header += _member(entry.name, value)
        offset = end
    if header.endswith(b","):
        del header[-1]
    header += b"}"
    header += b" " * (-len(header) % _ALIGNMENT_BYTES)
    size_bytes = len(header) - _LENGTH_SIZE_BYTES
    if size_bytes > MAX_HEADER_SIZE_BYTES:
        raise HeaderTooLarge(
            f"The header for {len(entries)} tensors takes {size_bytes} bytes.",
            f"Expected at most {MAX_HEADER_SIZE_BYTES} bytes, the limit of safetensors' readers.",
            "Split the checkpoint: save groups of its variables as several checkpoints.",
        )
    struct.pack_into("<Q", header, 0, size_bytes)
    return header


def _check_name(name: str) -> None:
    if name == METADATA_KEY:
        raise TensorNameReserved(
            f"A variable of the checkpoint is called {METADATA_KEY!r}.",
            "Expected any other name: safetensors keeps this one for its own header, and no "
            "reader could load the tensor.",
            "Save the checkpoint again with that variable under another name.",
        )


def _member(key: str, value: Mapping[str, Any]) -> bytes:
    # One at a time: a header as one large dict would take several times the memory of its text.
    text = json.dumps({key: value}, separators=(",", ":"), ensure_ascii=False)
    return text[1:-1].encode("utf-8") + b","


def write_safetensors(
    path: str,
    entries: Sequence[TensorEntry],
    metadata: Mapping[str, str],
    pieces: Callable[[str], Iterator[memoryview]],
) -> int:
    """Write a file, whole or not at all; returns its size in bytes.

    Args:
        path: the file.
        entries: the tensors, in the order in which their data is written.
        metadata: one text at most for the header.
        pieces: gives a tensor's bytes, in row-major order, by its name.

    Raises:
        TensorNameReserved, HeaderTooLarge: see `encode_header`.
        DiskFull, OutputNotWritable: see `output.new_file`.
    """
    header = encode_header(entries, metadata)
    with new_file(path) as file:
        file.write(header)
        for entry in entries:
            _write_tensor(file, entry, pieces(entry.name))
    return len(header) + sum(entry.size_bytes for entry in entries)


def _write_tensor(file: BinaryIO, entry: TensorEntry, pieces: Iterator[memoryview]) -> None:
    written = 0
    for piece in pieces:
        written += file.write(piece)
    if written != entry.size_bytes:
        raise ValueError(f"{entry.name!r}: {written} bytes, but the header says {entry.size_bytes}")
