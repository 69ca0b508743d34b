"""Reads a safetensors file one tensor at a time, into memory that the caller provides."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from stage_load.errors import ExportDamaged
from stage_load.plain_files import open_plain_file
from stage_load.safetensors_header import (
    LENGTH_BYTES,
    Header,
    HeaderError,
    TensorEntry,
    parse_header,
    read_length,
)

# bfloat16 has no numpy type: its bits are read as they are, and widened where values are wanted.
NUMPY_DTYPES: Mapping[str, np.dtype[np.generic]] = {
    "BOOL": np.dtype("bool"),
    "U8": np.dtype("uint8"),
    "I8": np.dtype("int8"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
    "C64": np.dtype("<c8"),
}

_MOST_READ_BYTES = 1 << 30
"""Linux reads at most 2,147,479,552 bytes a call."""


class SafetensorsReader:
    """An open safetensors file whose header has been checked. Use it in a ``with`` statement."""

    def __init__(self, path: Path) -> None:
        """Open the file and check its header.

        Raises:
            ExportDamaged: the file is missing, unreadable, cut short, or contradicts itself.
        """
        self.path = path
        try:
            self._file = open_plain_file(path)
        except OSError as error:
            raise _damaged(path, f"cannot be opened: {error.strerror}") from error
        try:
            self._header = self._read_header()
        except HeaderError as error:
            self._file.close()
            raise _damaged(path, str(error)) from error

    def __enter__(self) -> SafetensorsReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def entries(self) -> Mapping[str, TensorEntry]:
        """The tensors by name, in the order of their bytes."""
        return self._header.entries

    @property
    def metadata(self) -> Mapping[str, str]:
        """The file's own notes."""
        return self._header.metadata

    @property
    def largest_bytes(self) -> int:
        """Size of the largest tensor; 0 without tensors."""
        return max((entry.size_bytes for entry in self.entries.values()), default=0)

    def read_into(self, entry: TensorEntry, buffer: memoryview) -> None:
        """Fill the first ``entry.size_bytes`` of ``buffer`` with the tensor's bytes.

        Raises:
            ExportDamaged: the file became shorter, or the disk failed.
        """
        view = buffer[: entry.size_bytes]
        position = self._header.data_begin + entry.begin
        try:
            while view:
                count = os.preadv(self._file.fileno(), [view[:_MOST_READ_BYTES]], position)
                if count == 0:
                    raise _damaged(self.path, f"ends within tensor {entry.name!r}")
                view = view[count:]
                position += count
        except OSError as error:
            raise _damaged(
                self.path, f"cannot be read at tensor {entry.name!r}: {error.strerror}"
            ) from error

    def read(self, name: str) -> NDArray[np.generic]:
        """Return one tensor as an array of its own; bfloat16 is widened to float32.

        Raises:
            KeyError: the file has no such tensor.
            ExportDamaged: as ``read_into``.
        """
        entry = self.entries[name]
        array = np.empty(entry.shape, NUMPY_DTYPES[entry.dtype])
        if entry.size_bytes:
            self.read_into(entry, array.reshape(-1).view(np.uint8).data)
        if entry.dtype == "BF16":
            return (array.astype("<u4") << np.uint32(16)).view("<f4")
        return array

    def _read_header(self) -> Header:
        file_bytes = os.fstat(self._file.fileno()).st_size
        length = read_length(self._file.read(LENGTH_BYTES), file_bytes)
        # Handed over without a name, so that it is gone when its text has been decoded.
        return parse_header(self._file.read(length), file_bytes)


def _damaged(path: Path, what: str) -> ExportDamaged:
    return ExportDamaged(
        f"{path.name}: {what}.",
        "Expected a complete safetensors file.",
        "Extract the checkpoint again, or copy the export again.",
    )
