"""Reads the weights in an HDF5 file of Keras."""

from __future__ import annotations

from typing import Iterator, List

from stage_extract.hdf5.process import HdfProcess
from stage_extract.reader import VariableInfo, VariableReader


class KerasReader(VariableReader):
    """Reads one file; HDF5 keeps no checksums of what Keras writes.

    Args:
        path: the file.

    Raises:
        ExtractError: as `HdfProcess`.
    """

    def __init__(self, path: str) -> None:
        self._file = HdfProcess(path)
        self._weights = {weight.name: weight for weight in self._file.layout.weights}

    def variables(self) -> List[VariableInfo]:
        """Give every weight, those of the optimizer included, sorted by name."""
        return [self.info(name) for name in sorted(self._weights)]

    def info(self, name: str) -> VariableInfo:
        """Give what the file says of one weight (see `VariableReader.info`)."""
        weight = self._weights[name]
        return VariableInfo(weight.name, weight.dtype, weight.shape)

    def pieces(self, name: str) -> Iterator[memoryview]:
        """Give the bytes of one weight, little-endian, in pieces (see `VariableReader.pieces`)."""
        return self._file.pieces(self._weights[name].path)

    def close(self) -> None:
        """End the process that reads the file."""
        self._file.close()
