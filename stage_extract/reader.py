"""The interface through which the rest of this stage reads a checkpoint, whatever its format."""

from __future__ import annotations

import abc
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

import numpy

from stage_extract.dtypes import BY_NAME, stored_name


class VariableInfo(NamedTuple):
    """What a checkpoint says of one tensor without reading it.

    Attributes:
        name: in the export, most often the checkpoint's key; a partitioned variable is one entry.
        dtype: numpy's name ("float32", "bool", …), or "bfloat16", "string", "qint8" …
        shape: sizes of the whole tensor; () for a scalar.
        key: the checkpoint's own key where that is not the name.
    """

    name: str
    dtype: str
    shape: Tuple[int, ...]
    key: Optional[str] = None

    @property
    def stored_name(self) -> str:
        """Give the name under which the checkpoint holds it."""
        return self.name if self.key is None else self.key


class VariableReader(abc.ABC):
    """Reads the tensors of one checkpoint, one at a time."""

    @abc.abstractmethod
    def variables(self) -> List[VariableInfo]:
        """Give every tensor of the checkpoint, strings included, sorted by name."""

    @abc.abstractmethod
    def info(self, name: str) -> VariableInfo:
        """Give what the checkpoint says of one tensor.

        Raises:
            KeyError: there is no such tensor.
        """

    @abc.abstractmethod
    def pieces(self, name: str) -> Iterator[memoryview]:
        """Give the bytes of one numeric tensor, in row-major order, in pieces.

        A piece is valid until the next one is asked for. The checksum is known to fit only when the
        iteration has ended without an error.

        Raises:
            CorruptTensor: the bytes do not have their checksum.
            TruncatedData: the file ends too early.
            NotReadable: the operating system refuses.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Give back the open files."""

    def checksums(self, name: str) -> Tuple[int, ...]:
        """Give the CRC32C that the file itself keeps of one tensor, without reading the tensor.

        Returns:
            One for a plain tensor, one for each slice of a partitioned one; none where the format
            keeps none of tensors.
        """
        return ()

    def read(self, name: str) -> Any:
        """Give one numeric tensor as an array of its shape; bfloat16 as its bits (uint16).

        Raises:
            KeyError: there is no such tensor.
            CorruptTensor, TruncatedData, NotReadable: as `pieces`.
        """
        info = self.info(name)
        data = b"".join(bytes(piece) for piece in self.pieces(name))
        dtype = numpy.dtype(stored_name(BY_NAME[info.dtype]))
        return numpy.frombuffer(data, dtype=dtype).reshape(info.shape)
