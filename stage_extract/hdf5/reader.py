"""Reads the weights in an HDF5 file of Keras."""

from __future__ import annotations

from typing import Iterator, List, Sequence

from stage_extract.hdf5.file import HdfFile
from stage_extract.hdf5.layout import Weight
from stage_extract.hdf5.pieces import dataset_pieces
from stage_extract.reader import VariableInfo, VariableReader


class KerasReader(VariableReader):
    """Reads one file; HDF5 keeps no checksums of what Keras writes.

    Args:
        path: the file.
        weights: what is in it.
    """

    def __init__(self, path: str, weights: Sequence[Weight]) -> None:
        self._file = HdfFile(path)
        self._weights = {weight.name: weight for weight in weights}

    def variables(self) -> List[VariableInfo]:
        """Give every weight, those of the optimizer included, sorted by name."""
        return [self.info(name) for name in sorted(self._weights)]

    def info(self, name: str) -> VariableInfo:
        """Give what the file says of one weight (see `VariableReader.info`)."""
        weight = self._weights[name]
        return VariableInfo(weight.name, weight.dtype, weight.shape)

    def pieces(self, name: str) -> Iterator[memoryview]:
        """Give the bytes of one weight, little-endian, in pieces (see `VariableReader.pieces`)."""
        return dataset_pieces(self._file, self._weights[name].path)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
