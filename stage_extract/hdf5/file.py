"""An HDF5 file that is not trusted: what it names is inside of it, and as large as the file says.

HDF5 can lead to other files (external links, external and virtual storage), load libraries (as
filters), and declare any size. Keras writes plain groups and plain datasets.
"""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import Any, List, Mapping, Optional, Tuple

from stage_extract.dtypes import BY_NAME
from stage_extract.errors import CorruptIndex, ExtractError, TruncatedData, UnsupportedFormat
from stage_extract.files import check_plain_file
from stage_extract.reader_choice import is_pure
from stage_extract.storage.slices import count_elements

# Weights hardly compress: together with the file's size, what datasets may declare at most.
COMPRESSION_LIMIT = 100
SMALL_BYTES = 64 * 2**20
CHUNK_LIMIT_BYTES = 2**30
_CHUNK_CACHE_BYTES = 64 * 2**20
# HDF5's own filters, by number: anything else would be a library that it loads.
_FILTERS: Mapping[int, str] = MappingProxyType(
    {1: "deflate", 2: "shuffle", 3: "fletcher32", 4: "szip", 32000: "lzf"}
)
# What h5py raises where a file contradicts itself.
H5PY_ERRORS = (OSError, KeyError, RuntimeError, TypeError, ValueError)
_EXPECTED = "Expected a file that Keras wrote with save_weights or save."
_REMEDY = "Copy or download it again; if it is whole, load it with Keras and save it once more."


def import_h5py(path: str) -> Any:
    """Give the h5py module, which comes with TensorFlow.

    Raises:
        UnsupportedFormat: it is not there, or this process works without TensorFlow.
    """
    try:
        import h5py
    except ImportError as error:
        raise _without_h5py(path) from error
    if is_pure():
        raise _without_h5py(path)
    return h5py


def _without_h5py(path: str) -> UnsupportedFormat:
    return UnsupportedFormat(
        f"{path!r} is an HDF5 file: Keras of TensorFlow 1.15 and its h5py read these, and this "
        "process works without TensorFlow.",
        "Expected the reader tf.",
        "Extract it with --reader tf, on a machine where TensorFlow runs.",
    )


class HdfFile:
    """An open file.

    Args:
        path: the file.

    Raises:
        UnsupportedFormat: there is no h5py.
        NotReadable: it is no plain file, or the operating system refuses.
        TruncatedData, CorruptIndex: HDF5 cannot open it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._h5py = import_h5py(path)
        check_plain_file(path)
        self.size_bytes = os.path.getsize(path)
        try:
            self._file = self._h5py.File(path, "r", rdcc_nbytes=_CHUNK_CACHE_BYTES)
        except H5PY_ERRORS as error:
            kind = TruncatedData if "truncated" in str(error) else CorruptIndex
            raise kind(
                f"HDF5 cannot open {path!r}: {error}.", "Expected a whole HDF5 file.", _REMEDY
            ) from error
        self._declared_bytes = 0

    def close(self) -> None:
        """Close it."""
        self._file.close()

    def corrupt(self, what: str) -> CorruptIndex:
        """Make the error for a file that contradicts itself."""
        return CorruptIndex(f"{self.path!r} {what}.", _EXPECTED, _REMEDY)

    def group(self, path: str) -> Optional[Any]:
        """Give a group by its path, None if there is none.

        Raises:
            UnsupportedFormat: a link leads there.
            CorruptIndex: it cannot be read.
        """
        found = self._find(path)
        return found if isinstance(found, self._h5py.Group) else None

    def dataset(self, path: str) -> Any:
        """Give a dataset whose data lies in this file and is as large as it says.

        Raises:
            UnsupportedFormat: a link leads there, or its data lies elsewhere or is encoded.
            CorruptIndex, TruncatedData: it is missing, or larger than the file can hold.
        """
        found = self._find(path)
        if not isinstance(found, self._h5py.Dataset):
            raise self.corrupt(f"names {path!r}, and holds no such array")
        try:
            self._check_storage(path, found)
        except H5PY_ERRORS as error:
            raise self.corrupt(f"holds an array {path!r} that cannot be read: {error}") from error
        return found

    def texts(self, group: Any, name: str) -> Optional[List[str]]:
        """Give a list of texts that Keras stored as an attribute, or as several numbered ones.

        Raises:
            CorruptIndex: it is no list of texts.
        """
        if name in group.attrs:
            return self._texts(group, name)
        found: List[str] = []
        number = 0
        while f"{name}{number}" in group.attrs:
            found += self._texts(group, f"{name}{number}")
            number += 1
        return found if number else None

    def text(self, group: Any, name: str) -> Optional[str]:
        """Give an attribute that is one text; None without one.

        Raises:
            CorruptIndex: it is no text.
        """
        return self._decoded(name, self._attribute(group, name)) if name in group.attrs else None

    def _find(self, path: str) -> Any:
        found = self._file
        for part in filter(None, path.split("/")):
            if not isinstance(found, self._h5py.Group):
                return None
            try:
                link = found.get(part, getlink=True)
                if link is not None and not isinstance(link, self._h5py.HardLink):
                    raise self._elsewhere(path, f"reached by a link ({type(link).__name__})")
                found = None if link is None else found.get(part)
            except H5PY_ERRORS as error:
                raise self.corrupt(f"cannot be read at {path!r}: {error}") from error
        return found

    def _elsewhere(self, path: str, what: str) -> ExtractError:
        return UnsupportedFormat(
            f"{path!r} in {self.path!r} is {what}.",
            "Expected every array inside of the file itself, as Keras writes it.",
            "Load the file with Keras where you trust it, and save it once more.",
        )

    def _check_storage(self, path: str, dataset: Any) -> None:
        properties = dataset.id.get_create_plist()
        if dataset.is_virtual or properties.get_external_count():
            raise self._elsewhere(path, "stored in other files")
        for position in range(properties.get_nfilters()):
            number = properties.get_filter(position)[0]
            if number not in _FILTERS:
                raise self._elsewhere(path, f"encoded by a filter that is not known ({number})")
        size_bytes = count_elements(dataset.shape or ()) * dataset.dtype.itemsize
        chunk = dataset.chunks
        if chunk is None and size_bytes > self.size_bytes:
            raise TruncatedData(
                f"The array {path!r} of {self.path!r} has the shape {list(dataset.shape)}.",
                f"Expected it to fit into the file, which has {self.size_bytes} bytes.",
                _REMEDY,
            )
        chunk_bytes = count_elements(chunk or ()) * dataset.dtype.itemsize
        self._declared_bytes += size_bytes
        limit_bytes = SMALL_BYTES + COMPRESSION_LIMIT * self.size_bytes
        if self._declared_bytes > limit_bytes or chunk_bytes > min(limit_bytes, CHUNK_LIMIT_BYTES):
            raise self.corrupt(
                f"declares far more than it holds: {self._declared_bytes} bytes up to the array "
                f"{path!r}, in blocks of {chunk_bytes}"
            )

    def _attribute(self, group: Any, name: str) -> Any:
        try:
            described = group.attrs.get_id(name)
            size_bytes = count_elements(described.shape) * described.dtype.itemsize
            if size_bytes > self.size_bytes:
                raise self.corrupt(f"has an attribute {name!r} of {size_bytes} bytes")
            return group.attrs[name]
        except H5PY_ERRORS as error:
            raise self.corrupt(f"has an attribute {name!r} that cannot be read") from error

    def _texts(self, group: Any, name: str) -> List[str]:
        value = self._attribute(group, name)
        listed = value.tolist() if hasattr(value, "tolist") else value
        if not isinstance(listed, list):
            raise self.corrupt(f"has an attribute {name!r} that is no list")
        return [self._decoded(name, one) for one in listed]

    def _decoded(self, name: str, value: Any) -> str:
        if isinstance(value, bytes):
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError as error:
                raise self.corrupt(f"has an attribute {name!r} that is no UTF-8") from error
        if not isinstance(value, str):
            raise self.corrupt(f"has an attribute {name!r} that is no text")
        return str(value)


def element_type(file: HdfFile, path: str, dataset: Any) -> Tuple[str, Tuple[int, ...]]:
    """Give (name of the element type as in `dtypes`, shape) of a dataset.

    Raises:
        UnsupportedFormat: TensorFlow has no such type.
    """
    dtype = dataset.dtype
    shape = tuple(dataset.shape or ())
    if dtype.kind in "SUO":
        return "string", shape
    if dtype.name not in BY_NAME:
        raise UnsupportedFormat(
            f"The array {path!r} of {file.path!r} has the element type {dtype}.",
            "Expected numbers, as Keras writes them.",
            _REMEDY,
        )
    return dtype.name, shape
