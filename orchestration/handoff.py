"""The check between the stages: is this folder an export that stage 2 may read?

Only struct and json: neither framework, nor any code that the export could influence. What a
container wrote is not trusted: links are refused, sizes are compared with the files' own.
"""

from __future__ import annotations

import gc
import math
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestration.errors import ExportInvalid
from orchestration.run_paths import GRAPH_FILE
from orchestration.strict_json import decode_json

FORMAT = "tf1-export"
VERSIONS = (1,)
VARIABLES_FILE = "variables.safetensors"
REFERENCE_FILE = "reference.safetensors"
METADATA_KEY = "tf1_export"
# The limits of the safetensors format.
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000
# Far beyond the graph of 50,000 variables; decoded, text takes up to twenty times its size.
_MOST_GRAPH_BYTES = 256 << 20
# What numpy and torch can hold: of a tensor without elements, too, they multiply the other sizes.
_MOST_AXES = 64
_MOST_ADDRESSED_BYTES = 2**63 - 1
_DTYPES: Mapping[str, tuple[str, int]] = {
    "BOOL": ("bool", 1),
    "U8": ("uint8", 1),
    "I8": ("int8", 1),
    "U16": ("uint16", 2),
    "I16": ("int16", 2),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "U32": ("uint32", 4),
    "I32": ("int32", 4),
    "F32": ("float32", 4),
    "U64": ("uint64", 8),
    "I64": ("int64", 8),
    "F64": ("float64", 8),
    "C64": ("complex64", 8),
}


def check_export(folder: Path) -> tuple[str, ...]:
    """Check an export folder.

    Returns:
        The names of the export's files, sorted; whatever else lies in the folder is not judged.

    Raises:
        ExportInvalid: a file is missing, no plain file, not readable, damaged, of another version,
            or the files do not agree with each other.
    """
    with _collector_at_rest():
        try:
            return _check(folder)
        except PermissionError as error:
            raise ExportInvalid(
                f"The export's file {error.filename} cannot be read: {error.strerror}.",
                "Files that you may read were expected.",
                f"Look at their permissions: `ls -l {folder}`.",
            ) from error


def _check(folder: Path) -> tuple[str, ...]:
    graph = _read_graph(folder)
    tensors = _read_safetensors(folder / VARIABLES_FILE)
    _check_variables(folder, graph, tensors)
    files = [GRAPH_FILE, VARIABLES_FILE]
    reference = _mapping(graph.get("reference"), folder / GRAPH_FILE, "reference")
    if reference.get("state") == "recorded":
        files.append(REFERENCE_FILE)
        _check_reference(folder, reference, _read_safetensors(folder / REFERENCE_FILE))
    return tuple(sorted(files))


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Parsed JSON is a tree: looking for cycles in it finds none, and takes most of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read_graph(folder: Path) -> dict[str, Any]:
    path = folder / GRAPH_FILE
    size_bytes = _check_plain_file(path)
    if size_bytes > _MOST_GRAPH_BYTES:
        raise _invalid(path, f"has {size_bytes:,} bytes, more than {_MOST_GRAPH_BYTES:,}")
    try:
        graph = decode_json(path.read_bytes())
    except ValueError as error:
        raise _invalid(path, f"is no JSON: {error}") from error
    graph = _mapping(graph, path, "the whole")
    if graph.get("format") != FORMAT:
        raise _invalid(path, f"has format {graph.get('format')!r} instead of {FORMAT!r}")
    if not _is_known(graph.get("version")):
        known = ", ".join(str(version) for version in VERSIONS)
        raise _invalid(path, f"has version {graph.get('version')!r}; known are: {known}")
    return graph


def _read_safetensors(path: Path) -> dict[str, dict[str, Any]]:
    """Header of a safetensors file without its metadata, every entry checked against the file."""
    size_bytes = _check_plain_file(path)
    header, data_start = _read_header(path, size_bytes)
    metadata = header.pop("__metadata__", None)
    _check_metadata(path, metadata)
    end = 0
    in_file_order = sorted(header.items(), key=lambda item: _offsets(path, *item))
    for name, entry in in_file_order:
        end = _check_entry(path, name, entry, end)
    if data_start + end != size_bytes:
        raise _invalid(path, f"has {size_bytes} bytes where its header tells {data_start + end}")
    return header


def _read_header(path: Path, size_bytes: int) -> tuple[dict[str, Any], int]:
    """The parsed header, and where the data starts."""
    with path.open("rb") as stream:
        prefix = stream.read(_LENGTH_BYTES)
        if len(prefix) < _LENGTH_BYTES:
            raise _invalid(path, f"ends after {size_bytes} bytes, before its header")
        (length,) = struct.unpack("<Q", prefix)
        data_start = _LENGTH_BYTES + length
        if length > _MAX_HEADER_BYTES or data_start > size_bytes:
            raise _invalid(path, f"claims a header of {length} bytes, and has {size_bytes} in all")
        text = stream.read(length)
    try:
        header = decode_json(text)
    except ValueError as error:
        raise _invalid(path, f"has a header that is no JSON: {error}") from error
    if not isinstance(header, dict) or not text.startswith(b"{"):
        raise _invalid(path, "has a header that is no JSON object")
    return header, data_start


def _is_known(version: object) -> bool:
    # True is 1 to Python.
    return type(version) is int and version in VERSIONS


def _check_metadata(path: Path, metadata: object) -> None:
    entry = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
    try:
        note = decode_json(entry.encode("utf-8")) if isinstance(entry, str) else None
    except ValueError:
        note = None
    if not isinstance(note, dict) or note.get("format") != FORMAT:
        raise _invalid(path, f"does not say in its metadata that it is a {FORMAT}")
    if not _is_known(note.get("version")):
        raise _invalid(path, f"has version {note.get('version')!r} in its metadata")


def _offsets(path: Path, name: str, entry: object) -> tuple[int, int]:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if (
        not isinstance(offsets, list)
        or len(offsets) != 2
        or not all(type(offset) is int and offset >= 0 for offset in offsets)
    ):
        raise _invalid(path, f"has no valid data_offsets for {name!r}")
    return offsets[0], offsets[1]


def _check_entry(path: Path, name: str, entry: Mapping[str, Any], previous_end: int) -> int:
    """Check one tensor's entry against the end of the one before it; returns its own end."""
    start, end = _offsets(path, name, entry)
    dtype, shape = entry.get("dtype"), entry.get("shape")
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise _invalid(path, f"has dtype {dtype!r} for {name!r}")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise _invalid(path, f"has shape {shape!r} for {name!r}")
    if start != previous_end:
        kind = "overlaps the tensor before it" if start < previous_end else "leaves a hole"
        raise _invalid(path, f"is damaged: {name!r} starts at {start} and {kind}")
    addressed = math.prod(size or 1 for size in shape) * _DTYPES[dtype][1]
    if len(shape) > _MOST_AXES or addressed > _MOST_ADDRESSED_BYTES:
        raise _invalid(path, f"has a shape for {name!r} that no memory holds: {shape}")
    if math.prod(shape) * _DTYPES[dtype][1] != end - start:
        raise _invalid(path, f"gives {end - start} bytes to {name!r} of shape {shape} and {dtype}")
    return end


def _check_variables(folder: Path, graph: dict[str, Any], tensors: dict[str, Any]) -> None:
    """graph.json describes exactly the tensors that are there."""
    path = folder / GRAPH_FILE
    described = _objects(graph.get("variables"), path, "variables")
    entries = {str(item.get("name")): item for item in described}
    if entries.keys() != tensors.keys() or len(entries) != len(described):
        differing = sorted(entries.keys() ^ tensors.keys())[:3]
        raise _invalid(path, f"and {VARIABLES_FILE} do not hold the same names: {differing}")
    for name, entry in entries.items():
        tensor = tensors[name]
        told = (entry.get("dtype"), entry.get("shape"))
        if told != (_DTYPES[tensor["dtype"]][0], tensor["shape"]):
            raise _invalid(path, f"describes {name!r} as {told}, the tensor is another")


def _check_reference(folder: Path, reference: Mapping[str, Any], tensors: dict[str, Any]) -> None:
    """Every tensor that the reference run names is there."""
    path = folder / GRAPH_FILE
    lists = {key: _objects(reference.get(key), path, key) for key in ("feeds", "layers")}
    named = [feed.get("tensor") for feed in lists["feeds"]]
    named += [layer.get("tensor") for layer in lists["layers"] if layer.get("recorded")]
    outputs = reference.get("outputs")
    if not isinstance(outputs, list):
        raise _invalid(path, "has no list of reference outputs")
    named += outputs
    missing = sorted({str(name) for name in named} - tensors.keys())
    if missing:
        raise _invalid(path, f"names tensors that {REFERENCE_FILE} lacks: {missing[:3]}")


def _check_plain_file(path: Path) -> int:
    """Size in bytes of a file that must be no link, pipe or device."""
    try:
        status = os.lstat(path)
    except FileNotFoundError as error:
        raise _invalid(path, "is missing") from error
    if not stat.S_ISREG(status.st_mode):
        raise _invalid(path, "is no plain file")
    return status.st_size


def _mapping(value: object, path: Path, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(path, f"is no object where one is due: {what}")
    return value


def _objects(value: object, path: Path, what: str) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise _invalid(path, f"has no list of {what}")
    return [_mapping(item, path, f"one of {what}") for item in value]


def _invalid(path: Path, problem: str) -> ExportInvalid:
    return ExportInvalid(
        f"The export is not valid: {path.name} {problem} ({path}).",
        f"An export is {GRAPH_FILE}, {VARIABLES_FILE} and, if recorded, {REFERENCE_FILE},"
        " that agree with each other.",
        "Make the export again: `orchestrate.py extract CKPT --out FOLDER`.",
    )
