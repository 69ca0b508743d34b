"""A reader whose every tensor is compared with a second reading of it, bit for bit."""

from __future__ import annotations

import abc
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

import numpy

from stage_extract.errors import ReadersDisagree
from stage_extract.reader import VariableInfo, VariableReader


class SecondReadingFailed(Exception):
    """The other code cannot read a tensor; the text says why."""


class SecondReading(abc.ABC):
    """How code that is not this program's reads the tensors of a file."""

    @abc.abstractmethod
    def listing(self) -> Optional[Mapping[str, VariableInfo]]:
        """Give all tensors by name, strings included; None where it has no list."""

    @abc.abstractmethod
    def read(self, info: VariableInfo) -> Tuple[VariableInfo, Any]:
        """Read one numeric tensor.

        Returns:
            What it is, and its bytes in row-major order, uint8 [n].

        Raises:
            SecondReadingFailed: it cannot.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Give back what is held; may be called again."""


class ComparingReader(VariableReader):
    """Gives what one reader reads, and compares it with a second reading.

    Args:
        reader: of this program; closed with this one.
        second: the other reading; None where there is none for the format.
    """

    def __init__(self, reader: VariableReader, second: Optional[SecondReading]) -> None:
        self._reader = reader
        self._second = second
        self._listing = second.listing() if second is not None else None
        self._compared: Set[str] = set()

    def variables(self) -> List[VariableInfo]:
        """Give every tensor (see `VariableReader.variables`).

        Raises:
            ReadersDisagree: the second reading finds other names.
        """
        variables = self._reader.variables()
        if self._listing is not None:
            differing = sorted({info.stored_name for info in variables} ^ set(self._listing))
            if differing:
                raise _disagree(differing[0], "only one of them finds it")
        return variables

    def info(self, name: str) -> VariableInfo:
        """Give what the checkpoint says of one tensor (see `VariableReader.info`)."""
        return self._reader.info(name)

    def pieces(self, name: str) -> Iterator[memoryview]:
        """Give the bytes of one numeric tensor (see `VariableReader.pieces`).

        Raises:
            ReadersDisagree: the second reading gives other bytes, another shape or type.
        """
        if self._second is None:
            yield from self._reader.pieces(name)
            return
        expected = self._expected(name, self._second)
        offset = 0
        for piece in self._reader.pieces(name):
            data = numpy.frombuffer(piece, dtype=numpy.uint8)
            other = expected[offset : offset + len(data)]
            if not numpy.array_equal(data, other):
                raise _disagree(name, _where(offset, data, other))
            offset += len(data)
            yield piece
        if offset != len(expected):
            raise _disagree(name, f"the first gives {offset} bytes, the second {len(expected)}")
        self._compared.add(name)

    def checksums(self, name: str) -> Tuple[int, ...]:
        """Give what the file keeps of a tensor (see `VariableReader.checksums`)."""
        return self._reader.checksums(name)

    def close(self) -> None:
        """Close both readings; what they came to is kept."""
        self._reader.close()
        if self._second is not None:
            self._second.close()
        self._listing = None

    def summary(self, variables: Sequence[VariableInfo]) -> Dict[str, Any]:
        """Tell how the exported variables were read.

        Returns:
            {"compared": number of variables on which both readings agree, "read_once": names of
            those for which there is no second reading}.
        """
        once = [variable.name for variable in variables if variable.name not in self._compared]
        return {"compared": len(variables) - len(once), "read_once": once}

    def _expected(self, name: str, second: SecondReading) -> Any:
        """Give the second reading's bytes of a tensor, uint8 [n]."""
        info = self._reader.info(name)
        try:
            found, data = second.read(info)
        except SecondReadingFailed as error:
            raise _disagree(name, f"the second cannot read it ({error})") from error
        for other in (found, found if self._listing is None else self._listing[info.stored_name]):
            if (other.dtype, tuple(other.shape)) != (info.dtype, tuple(info.shape)):
                raise _disagree(
                    name,
                    f"it is {info.dtype} {list(info.shape)} to the first, {other.dtype} "
                    f"{list(other.shape)} to the second",
                )
        return data


def _where(offset: int, data: Any, other: Any) -> str:
    if len(data) != len(other):
        return f"the second gives {offset + len(other)} bytes, the first more"
    place = int(numpy.flatnonzero(data != other)[0])
    return (
        f"byte {offset + place} is {int(data[place]):#04x} to the first, "
        f"{int(other[place]):#04x} to the second"
    )


def _disagree(name: str, how: str) -> ReadersDisagree:
    return ReadersDisagree(
        f"This program's reader and TensorFlow's disagree on the tensor {name!r}: {how}.",
        "Expected the same bytes from both, which --reader both compares.",
        "Do not use this checkpoint before it is known which of them is right: report it, with "
        "the file if you may.",
    )
