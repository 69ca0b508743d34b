"""Saves a graph as a training program does, and extracts it: description and reference run."""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple

import numpy
import tensorflow as tf

from stage_extract.graph.describe import Description, describe
from stage_extract.graph.meta_file import MetaFile
from stage_extract.jobs import ExtractOptions
from stage_extract.reference.filling import RestoringFiller
from stage_extract.reference.record import record
from stage_extract.reference.result import ReferenceResult
from tests.extract.reference.conftest import read_safetensors

v1 = tf.compat.v1


class Extracted(NamedTuple):
    """What an extraction says of a graph, and what TensorFlow computed from the saved one."""

    description: Description
    reference: ReferenceResult
    tensors: Mapping[str, Any]
    expected: Mapping[str, Any]


def extract(build: Callable[[], Any], folder: Any, edit: Any = None, **options: Any) -> Extracted:
    """Build and save a graph, describe it and record its reference.

    Args:
        edit: changes the MetaGraphDef before it is read.
    """
    prefix = str(folder / "model.ckpt")
    with v1.Graph().as_default() as graph, v1.Session() as session:
        build()
        session.run(v1.global_variables_initializer())
        draw = numpy.random.RandomState(4)
        for variable in v1.global_variables():
            sizes = variable.shape.as_list()
            variable.load(draw.uniform(0.2, 0.9, sizes).astype(numpy.float32), session)
        v1.train.Saver().save(session, prefix)
        meta = MetaFile(f"{prefix}.meta")
        if edit is not None:
            rewrite(f"{prefix}.meta", edit)
        filler = RestoringFiller(prefix)
        chosen = ExtractOptions(**options)
        description = describe(meta, filler.variables(), chosen)
        path = folder / "reference.safetensors"
        reference = record(meta, filler, description, chosen, str(path))
        tensors = read_safetensors(path) if path.exists() else {}
        expected = {}
        if tensors:
            document = description.to_json()
            feeds = {one["tensor"]: tensors[one["tensor"]] for one in document["inputs"]}
            feeds.update((one["tensor"], one["value"]) for one in document["switches"])
            for one in document["outputs"]:
                expected[one["tensor"]] = session.run(
                    graph.get_tensor_by_name(one["tensor"]), feeds
                )
    return Extracted(description, reference, tensors, expected)


def rewrite(path: str, edit: Callable[[Any], None]) -> None:
    """Change a .meta file."""
    meta = v1.MetaGraphDef()
    with open(path, "rb") as file:
        meta.ParseFromString(file.read())
    edit(meta)
    with open(path, "wb") as file:
        file.write(meta.SerializeToString())
