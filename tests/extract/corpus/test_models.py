"""SavedModels, session bundles and frozen graphs of strangers: read whole, and run as they ran."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Dict, NamedTuple, Tuple

import numpy
import pytest
import tensorflow
from tensorflow.python.framework import tensor_util

from stage_extract.formats.frozen_graph import open_frozen_graph
from stage_extract.jobs import ExtractOptions
from stage_extract.locate import Located
from stage_extract.reference.filling import filler_of
from stage_extract.reference.plan import Endpoint, make_plan
from stage_extract.reference.record import open_graph

KEYWORDS = "ARM-software__ML-KWS-for-MCU/DS_CNN_M"
REGRESSION = "onnx__tensorflow-onnx/regression"


class Item(NamedTuple):
    """A model of the collection, and what it should show.

    Attributes:
        folder: of the collection.
        path: in there.
        source: graph.json's format of the variables, and kind of the graph.
        variables: how many there are.
        layers: how many of each kind.
        inputs: names.
        outputs: names.
    """

    folder: str
    path: str
    source: Tuple[str, str]
    variables: int
    layers: Dict[str, int]
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]


ITEMS = [
    Item(
        "tensorflow__serving",
        "saved_model_half_plus_two_mkl",
        ("SavedModel", "saved_model"),
        9,
        {"conv2d": 1, "other": 2},
        ("x:0",),
        ("y:0",),
    ),
    Item(
        "tensorflow__serving",
        "session_bundle_half_plus_two",
        ("session bundle", "meta"),
        2,
        {"other": 2},
        ("x:0",),
        ("y:0",),
    ),
    *(
        Item(REGRESSION, path, source, 2, {"other": 2}, ("X:0",), ("pred:0",))
        for path, source in (
            ("checkpoint", ("V2", "meta")),
            ("saved_model", ("SavedModel", "saved_model")),
            ("graphdef", ("frozen graph", "frozen_graph")),
        )
    ),
    Item(
        KEYWORDS,
        "DS_CNN_M.pb",
        ("frozen graph", "frozen_graph"),
        # Of each convolution a kernel and a bias, of each batch norm a beta and two statistics.
        9 * 5 + 2,
        {"conv2d": 5, "depthwise_conv2d": 4, "batch_norm": 9, "dense": 1},
        ("Reshape_1:0",),
        ("labels_softmax:0",),
    ),
]


@pytest.mark.parametrize("item", [pytest.param(one, id=one.path) for one in ITEMS])
def test_variables_layers_inputs_and_outputs(item, exported):
    graph = exported(item.folder, item.path).graph
    source = graph["source"]
    assert (source["checkpoint_format"], source["graph"]) == item.source
    assert len(graph["variables"]) == item.variables
    kinds = [layer["kind"] for layer in graph["layers"]]
    assert {kind: kinds.count(kind) for kind in kinds} == item.layers
    assert tuple(one["tensor"] for one in graph["inputs"]) == item.inputs
    assert tuple(one["tensor"] for one in graph["outputs"]) == item.outputs
    assert graph["reference"]["state"] == "recorded"


def test_one_model_in_three_formats_has_the_same_variables(exported, read_safetensors):
    found = [
        read_safetensors(exported(REGRESSION, path).out / "variables.safetensors")
        for path in ("checkpoint", "saved_model", "graphdef")
    ]
    for other in found[1:]:
        assert set(other) == set(found[0]) == {"W", "b"}
        assert [other[name].tobytes() for name in "Wb"] == [
            found[0][name].tobytes() for name in "Wb"
        ]


def test_constants_are_equal_bit_for_bit(exported, read_safetensors):
    export = exported(KEYWORDS, "DS_CNN_M.pb")
    graph_def = tensorflow.compat.v1.GraphDef()
    graph_def.ParseFromString((export.folder / "DS_CNN_M.pb").read_bytes())
    constants = {node.name: node.attr["value"].tensor for node in graph_def.node}
    for name, values in read_safetensors(export.out / "variables.safetensors").items():
        expected = tensor_util.MakeNdarray(constants[name])
        assert (values.dtype, values.shape) == (expected.dtype, expected.shape), name
        assert values.tobytes() == expected.tobytes(), name


def test_the_stored_run_is_reproduced(exported):
    export = exported(KEYWORDS, "DS_CNN_M.pb")
    stored = json.loads((export.folder / "ref.json").read_text("utf-8"))
    [(given, file)] = stored["inputs"].items()
    [(output, expected)] = stored["outputs"].items()
    source = open_frozen_graph(Located(export.prefix, None, (), "frozen graph"), ExtractOptions())
    meta = source.graph.parse_to_run()
    plan = make_plan(meta, export.graph, {})
    inputs = [Endpoint(given, "float32", None)]
    plan = replace(plan, inputs=inputs, outputs=[output], layers=())
    feeds = {**plan.switches, given: numpy.load(export.folder / file)}
    with open_graph(meta, filler_of(source), plan) as graph:
        computed = graph.session.fetch(feeds, [output])[output]
    truth = numpy.load(export.folder / expected["file"])
    # The stored run used other kernels: the last bits of the sums differ.
    assert numpy.abs(computed - truth).max() <= 1e-5 * numpy.abs(truth).max()
