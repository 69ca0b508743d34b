"""What the tests of the formats share."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple

import numpy
import pytest


class Export(NamedTuple):
    """One export folder, read by hand.

    Attributes:
        graph: graph.json.
        variables: the arrays of variables.safetensors, by name.
        reference: the same of reference.safetensors; empty without one.
        warnings: what the job told.
    """

    graph: Dict[str, Any]
    variables: Dict[str, Any]
    reference: Dict[str, Any]
    warnings: Any

    @property
    def inputs(self) -> Any:
        """Names of the inputs."""
        return [one["tensor"] for one in self.graph["inputs"]]

    @property
    def outputs(self) -> Any:
        """Names of the outputs."""
        return [one["tensor"] for one in self.graph["outputs"]]


def _read_safetensors(path: Path) -> Dict[str, Any]:
    dtypes = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "BF16": "<u2", "I32": "<i4", "U8": "<u1"}
    dtypes.update(BOOL="?", C64="<c8", I64="<i8")
    content = path.read_bytes() if path.exists() else struct.pack("<Q", 2) + b"{}"
    (size,) = struct.unpack("<Q", content[:8])
    found = {}
    for name, entry in json.loads(content[8 : 8 + size]).items():
        if name != "__metadata__":
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            values = numpy.frombuffer(content[begin:end], dtypes[entry["dtype"]])
            found[name] = values.reshape(entry["shape"])
    return found


@pytest.fixture
def exported(out: Any, run_extraction: Callable[..., Any]) -> Callable[..., Export]:
    """`exported(path, **options)`: the export of what lies at a path."""

    def export(path: Any, **options: Any) -> Export:
        outcome = run_extraction(path, out, **options)
        assert outcome.last["event"] == "done", outcome.last
        return Export(
            json.loads((Path(str(out)) / "graph.json").read_text("utf-8")),
            _read_safetensors(Path(str(out)) / "variables.safetensors"),
            _read_safetensors(Path(str(out)) / "reference.safetensors"),
            outcome.warnings,
        )

    return export


@pytest.fixture(scope="session")
def read_safetensors() -> Callable[[Path], Dict[str, Any]]:
    """`read_safetensors(path)`: all tensors of a file, read by hand."""
    return _read_safetensors
