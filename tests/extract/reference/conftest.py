"""Small TensorFlow 1 graphs, saved as training programs save them, and a reference run on them."""

from __future__ import annotations

import json
import struct
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence

import numpy
import pytest
import tensorflow

from stage_extract.graph.meta_file import MetaFile
from stage_extract.jobs import ExtractOptions
from stage_extract.reference.filling import Filler, RestoringFiller
from stage_extract.reference.record import record
from stage_extract.reference.result import ReferenceResult

compat = tensorflow.compat.v1


class SavedGraph(NamedTuple):
    """A saved checkpoint with its graph, and the values of its variables."""

    meta_path: str
    prefix: str
    values: Dict[str, Any]


class Description:
    """Stands for the description of a graph: only its JSON form is asked for."""

    def __init__(self, graph: Mapping[str, Any]) -> None:
        self._graph = graph

    def to_json(self) -> Mapping[str, Any]:
        """Give graph.json's object."""
        return self._graph


class Recorded(NamedTuple):
    """What a reference run gave: its result, and the file's tensors (None without a file)."""

    result: ReferenceResult
    tensors: Optional[Dict[str, Any]]


def read_safetensors(path: Any) -> Dict[str, Any]:
    """Read a safetensors file by hand."""
    content = path.read_bytes()
    (header_size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + header_size])
    dtypes = {
        "F32": "f4",
        "F64": "f8",
        "F16": "f2",
        "I32": "i4",
        "I64": "i8",
        "BOOL": "?",
        "U8": "u1",
    }
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            data = content[8 + header_size + begin : 8 + header_size + end]
            values = numpy.frombuffer(data, dtypes[entry["dtype"]])
            tensors[name] = values.reshape(entry["shape"])
    return tensors


@pytest.fixture
def save_graph(tmp_path: Any) -> Callable[..., SavedGraph]:
    """`save_graph(build, saver)`: build a graph in TensorFlow, draw its variables, and save it."""

    def save(build: Callable[[], None], saver: Optional[Callable[[], Any]] = None) -> SavedGraph:
        prefix = str(tmp_path / "model.ckpt")
        with compat.Graph().as_default(), compat.Session() as session:
            compat.set_random_seed(5)
            build()
            variables = compat.global_variables()
            session.run(compat.global_variables_initializer())
            chosen = saver() if saver is not None else compat.train.Saver()
            chosen.save(session, prefix)
            values = dict(zip([one.op.name for one in variables], session.run(variables)))
        return SavedGraph(f"{prefix}.meta", prefix, values)

    return save


@pytest.fixture
def run_reference(tmp_path: Any) -> Callable[..., Recorded]:
    """`run_reference(saved, inputs, outputs, switches, layers, rewrites, filler, **options)`."""

    def run(
        saved: SavedGraph,
        inputs: Iterable[str],
        outputs: Iterable[str],
        switches: Optional[Mapping[str, Any]] = None,
        layers: Sequence[str] = (),
        rewrites: Sequence[Mapping[str, Any]] = (),
        filler: Optional[Filler] = None,
        **options: Any,
    ) -> Recorded:
        graph = describe_by_hand(saved, inputs, outputs, switches or {}, layers)
        graph["rewrites"] = list(rewrites)
        path = tmp_path / "reference.safetensors"
        result = record(
            MetaFile(saved.meta_path),
            filler or RestoringFiller(saved.prefix),
            Description(graph),
            ExtractOptions(**options),
            str(path),
        )
        return Recorded(result, read_safetensors(path) if path.exists() else None)

    return run


def describe_by_hand(
    saved: SavedGraph,
    inputs: Iterable[str],
    outputs: Iterable[str],
    switches: Mapping[str, Any],
    layers: Sequence[str],
) -> Dict[str, Any]:
    """Give the part of graph.json that a reference run reads."""
    nodes = MetaFile(saved.meta_path).parse().graph

    def endpoint(tensor: str) -> Dict[str, Any]:
        node = nodes.producer(tensor)
        assert node is not None
        dtype = node.attribute("dtype") or node.attribute("T") or "float32"
        return {"tensor": tensor, "dtype": dtype, "shape": node.shape_attribute(0)}

    listed: List[Dict[str, Any]] = [
        {"index": index, "output": tensor, "op_output": None} for index, tensor in enumerate(layers)
    ]
    return {
        "inputs": [endpoint(tensor) for tensor in inputs],
        "outputs": [{"tensor": tensor} for tensor in outputs],
        "switches": [{"tensor": name, "value": value} for name, value in (switches or {}).items()],
        "layers": listed,
    }
