"""Strangers' checkpoints, where they are at hand: each is exported once for all tests of a run."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple, Tuple

import numpy
import pytest
import tensorflow

from stage_extract.export import run_job
from stage_extract.jobs import parse_job
from stage_extract.protocol import EventStream, JobEvents

# Data of other people's, which this repository does not hold.
CORPUS = Path(__file__).parents[4] / "shared" / "corpus"

_DTYPES = {
    "BOOL": "bool", "F16": "float16", "F32": "float32", "F64": "float64", "I8": "int8",
    "I16": "int16", "I32": "int32", "I64": "int64", "U8": "uint8",
}  # fmt: skip


class Exported(NamedTuple):
    """One item's checkpoint and its export.

    Attributes:
        folder: the item.
        given: the path that was extracted.
        out: the export folder.
        graph: graph.json.
        result: what the job reported.
    """

    folder: Path
    given: str
    out: Path
    graph: Dict[str, Any]
    result: Dict[str, Any]


@pytest.fixture(scope="session")
def corpus_item() -> Callable[[str], Path]:
    """`corpus_item(name)`: the folder of an item; skips where it is absent."""

    def find(name: str) -> Path:
        folder = CORPUS / name
        if not folder.is_dir():
            pytest.skip(f"the collection of strangers' checkpoints is not at {CORPUS}")
        return folder

    return find


@pytest.fixture(scope="session")
def exported(corpus_item: Callable[[str], Path], tmp_path_factory: Any) -> Callable[..., Exported]:
    """`exported(name, given)`: the export of an item, or of a path in it."""
    made: Dict[Tuple[str, str], Exported] = {}

    def export(name: str, given: str) -> Exported:
        if (name, given) not in made:
            made[(name, given)] = _export(corpus_item(name), given, tmp_path_factory)
        return made[(name, given)]

    return export


def _export(folder: Path, given: str, tmp_path_factory: Any) -> Exported:
    out = tmp_path_factory.mktemp("export")
    job = {
        "job": "1",
        "command": "extract",
        "checkpoint": str(folder / given),
        "out": str(out),
        "options": {"reference": True},
    }
    result, _ = run_job(parse_job(job), JobEvents(EventStream(io.StringIO()), "1"))
    graph = json.loads((out / "graph.json").read_text("utf-8"))
    return Exported(folder, str(folder / given), out, graph, dict(result))


@pytest.fixture(scope="session")
def read_safetensors() -> Callable[[Path], Dict[str, Any]]:
    """`read_safetensors(path)`: all tensors of a file, read by hand."""

    def read(path: Path) -> Dict[str, Any]:
        content = path.read_bytes()
        (header_size,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + header_size])
        tensors = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            begin, end = (8 + header_size + offset for offset in entry["data_offsets"])
            if entry["dtype"] == "BF16":
                dtype: Any = tensorflow.bfloat16.as_numpy_dtype
            else:
                dtype = _DTYPES[entry["dtype"]]
            tensors[name] = numpy.frombuffer(content[begin:end], dtype).reshape(entry["shape"])
        return tensors

    return read
