"""Tells what a file is by its bytes: of a format that is read, or what the error should say."""

from __future__ import annotations

import os
import re
import struct
import zipfile
from typing import NamedTuple, Optional, Type

from stage_extract.errors import (
    CorruptIndex,
    ExtractError,
    GitLfsPointer,
    NotTensorFlow,
    TruncatedData,
    UnsupportedFormat,
)
from stage_extract.files import open_for_reading
from stage_extract.storage.sstable import SSTableError, read_varint
from stage_extract.storage.table_kinds import (
    UNKNOWN_TABLE,
    V1_TABLE,
    V2_INDEX,
    starts_like_v1,
    table_kind,
)

_HEAD_SIZE_BYTES = 1024
_GIT_LFS_START = b"version https://git-lfs.github.com/spec/"
_EXPECTED = "Expected a checkpoint, a SavedModel, a frozen graph or a Keras model of TensorFlow 1."


class FileKind(NamedTuple):
    """What a file is, and which error that makes.

    Attributes:
        words: the kind in words, with its article ("a git-LFS pointer").
        error: class of the error.
        remedy: what the user can do.
        format: a key of `formats.registry.OPENERS`; None if files of this kind are refused.
    """

    words: str
    error: Type[ExtractError]
    remedy: str
    format: Optional[str] = None


# The format of what has to be unpacked first: `formats.opening` looks for the model in it.
ARCHIVE = "archive"


def _archive(words: str) -> FileKind:
    return FileKind(words, NotTensorFlow, "Unpack it first.", ARCHIVE)


_PULL = FileKind(
    "a git-LFS pointer, not the file itself",
    GitLfsPointer,
    "Run `git lfs install` and `git lfs pull` in the repository it comes from, or download the "
    "file itself.",
)
_PYTORCH = FileKind(
    "a PyTorch file",
    NotTensorFlow,
    "It needs no conversion: load it with torch.load.",
)
V1_CHECKPOINT = FileKind(
    "a V1 checkpoint (TensorFlow's format before 0.12)",
    UnsupportedFormat,
    "Give its prefix, or its folder.",
    "V1",
)
_CUT_OFF_V1 = FileKind(
    "the start of a V1 checkpoint, which is cut off",
    TruncatedData,
    "Copy or download it again.",
)
_UNKNOWN_TABLE = FileKind(
    "a table as TensorFlow's checkpoints are, but neither a V1 checkpoint nor an index, or damaged",
    CorruptIndex,
    "Copy or download it again.",
)
_INDEX = FileKind(
    "the index of a V2 checkpoint under another name",
    UnsupportedFormat,
    "Name it NAME.index, beside its NAME.data-00000-of-… files.",
)
_TABLES = {V1_TABLE: V1_CHECKPOINT, V2_INDEX: _INDEX, UNKNOWN_TABLE: _UNKNOWN_TABLE}
SAVED_MODEL = FileKind(
    "a SavedModel under the name of another file",
    UnsupportedFormat,
    "Name it saved_model.pb, in a folder with its `variables`, and give that folder.",
    "SavedModel",
)
FROZEN_GRAPH = FileKind(
    "a graph (GraphDef) under the name of another file",
    UnsupportedFormat,
    "Name it NAME.pb, and give that.",
    "frozen graph",
)
_META_GRAPH = FileKind(
    "a graph without weights (MetaGraphDef)",
    NotTensorFlow,
    "Give the checkpoint that belongs to it.",
    "frozen graph",
)
# What a text starts with. Comments and blank lines may stand before it.
_TEXT_STARTS = (
    (b"saved_model_schema_version", SAVED_MODEL),
    (b"meta_graphs", SAVED_MODEL),
    (b"meta_info_def", _META_GRAPH),
    (b"graph_def", _META_GRAPH),
    (b"node", FROZEN_GRAPH),
    (b"library", FROZEN_GRAPH),
    (b"versions", FROZEN_GRAPH),
)
_MESSAGE_START = re.compile(rb"(?:\s|#[^\n]*\n)*(?:\xef\xbb\xbf)?(\w+)\s*[:{]")

# One row a format that starts with a fixed sequence of bytes.
_STARTS = (
    (_GIT_LFS_START, _PULL),
    (
        b"\x89HDF\r\n\x1a\n",
        FileKind(
            "an HDF5 file (Keras weights or a Keras model)",
            NotTensorFlow,
            "Load it with Keras on TensorFlow 1.x and save it with "
            "tf.train.Saver().save(keras.backend.get_session(), …).",
            "HDF5",
        ),
    ),
    # torch.save before 1.6 starts with a pickled magic number (torch/serialization.py).
    (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", _PYTORCH),
    (
        b"\x93NUMPY",
        FileKind("a NumPy array", NotTensorFlow, "Load it with numpy.load; it holds one array."),
    ),
    (
        b"\x80",
        FileKind("a Python pickle", NotTensorFlow, "Load it with the program that wrote it."),
    ),
    (b"\x1f\x8b", _archive("a gzip archive")),
    (b"BZh", _archive("a bzip2 archive")),
    (b"\xfd7zXZ\x00", _archive("an xz archive")),
    (b"7z\xbc\xaf\x27\x1c", FileKind("a 7z archive", NotTensorFlow, "Unpack it first.")),
    (b"Rar!", FileKind("a RAR archive", NotTensorFlow, "Unpack it first.")),
    (
        b"GGUF",
        FileKind("a GGUF file", NotTensorFlow, "Load it with the program that it was made for."),
    ),
)
# What zipfile raises on a list of members that is cut off or makes no sense.
_DAMAGED_ZIP = (zipfile.BadZipFile, OSError, RuntimeError, ValueError, struct.error)
_TAR_MAGIC_OFFSET = 257


def read_head(path: str) -> bytes:
    """Give the first kilobyte of a file.

    Raises:
        NotReadable: the operating system refuses.
    """
    with open_for_reading(path) as file:
        return file.read(_HEAD_SIZE_BYTES)


def is_git_lfs_pointer(path: str) -> bool:
    """Tell whether a git-LFS pointer lies where the file should be."""
    return read_head(path).startswith(_GIT_LFS_START)


def _zip_kind(path: str) -> FileKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except _DAMAGED_ZIP:
        return FileKind("a damaged zip archive", NotTensorFlow, "Download or copy it again.")
    if any(name.endswith("data.pkl") for name in names):
        return _PYTORCH
    if names and all(name.endswith(".npy") for name in names):
        return FileKind("a NumPy archive (npz)", NotTensorFlow, "Load it with numpy.load.")
    return _archive("a zip archive")


def _text_kind(head: bytes) -> Optional[FileKind]:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return FileKind(
            "an HTML page, probably a download that went wrong",
            NotTensorFlow,
            "Download the file itself (on GitHub: the `raw` link).",
        )
    if start.startswith((b"model_checkpoint_path", b"all_model_checkpoint_paths")):
        return FileKind(
            "a `checkpoint` file (a text that only names checkpoints)",
            NotTensorFlow,
            "Give its folder, with the files that it names.",
        )
    graph = _text_graph_kind(head)
    if graph is not None:
        return graph
    if head and all(32 <= byte < 127 or byte in b"\t\r\n\f" for byte in head):
        return FileKind("a text file", NotTensorFlow, "Give the checkpoint's files.")
    return None


def _text_graph_kind(head: bytes) -> Optional[FileKind]:
    match = _MESSAGE_START.match(head)
    return dict(_TEXT_STARTS).get(match.group(1)) if match is not None else None


def holds_meta_graph(path: str) -> bool:
    """Tell a MetaGraphDef from a GraphDef, in bytes or as text.

    Raises:
        NotReadable: the operating system refuses.
    """
    head = read_head(path)
    return (_text_graph_kind(head) or _protobuf_kind(head)) is _META_GRAPH


def _safetensors_kind(head: bytes) -> Optional[FileKind]:
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") <= 100_000_000:
        return FileKind(
            "a safetensors file",
            NotTensorFlow,
            "It needs no conversion. An export of this program is read by the command `load`.",
        )
    return None


def _protobuf_kind(head: bytes) -> Optional[FileKind]:
    """Recognise TensorFlow's graph files by the first fields of their messages.

    SavedModel: field 1 a small number, field 2 a message. GraphDef: field 1 a NodeDef, whose own
    field 1 is its name and field 2 its op. MetaGraphDef: field 1 a MetaInfoDef.
    """
    if head[:1] == b"\x08" and head[2:3] == b"\x12":
        return SAVED_MODEL
    if head[:1] != b"\x0a":
        return None
    try:
        _, start = read_varint(head, 1)
        first = head[start : start + 1]
        size, name_start = read_varint(head, start + 1)
    except SSTableError:
        return None
    if first == b"\x0a" and head[name_start + size : name_start + size + 1] == b"\x12":
        name = head[name_start : name_start + size]
        return FROZEN_GRAPH if name and all(32 < byte < 127 for byte in name) else _META_GRAPH
    return _META_GRAPH if first in (b"\x0a", b"\x12", b"\x22", b"\x2a") else None


def binary_file_kind(path: str) -> Optional[FileKind]:
    """Tell what a file is by its bytes; None for an empty one, a text, and anything unknown.

    Raises:
        NotReadable: the operating system refuses.
    """
    head = read_head(path)
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(path)
    if head[_TAR_MAGIC_OFFSET : _TAR_MAGIC_OFFSET + 5] == b"ustar":
        return _archive("a tar archive")
    if _text_kind(head) is not None:
        return None
    table = table_kind(path)
    if table is not None:
        return _TABLES[table]
    if starts_like_v1(head):
        return _CUT_OFF_V1
    return _safetensors_kind(head) or _protobuf_kind(head)


def file_kind(path: str) -> Optional[FileKind]:
    """Tell what a file is by its bytes; None if nothing is recognised.

    Raises:
        NotReadable: the operating system refuses.
    """
    head = read_head(path)
    if not head:
        return FileKind("an empty file", TruncatedData, "Copy or download it again.")
    return binary_file_kind(path) or _text_kind(head)


def refuse_file(path: str, kind: Optional[FileKind]) -> ExtractError:
    """Make the error that says what a file is which is not read."""
    size_bytes = os.path.getsize(path)
    if kind is None:
        return NotTensorFlow(
            f"{path!r} ({size_bytes} bytes) is of no format that is known here.",
            _EXPECTED,
            "Give the checkpoint's folder, its prefix or one of its files.",
        )
    return kind.error(f"{path!r} ({size_bytes} bytes) is {kind.words}.", _EXPECTED, kind.remedy)
