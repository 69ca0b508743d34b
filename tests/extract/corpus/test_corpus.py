"""Every model of the collection leaves whole, and runs as it ran when it was collected."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy
import pytest
import tensorflow
from tensorflow.python import pywrap_tensorflow

from stage_extract.errors import DataFileMissing
from stage_extract.finding.locate import locate
from stage_extract.formats.registry import open_source
from stage_extract.jobs import ExtractOptions
from stage_extract.reference.filling import filler_of
from stage_extract.reference.plan import make_plan
from stage_extract.reference.record import open_graph


class Item(NamedTuple):
    """A model of the collection, and what its export should show.

    Attributes:
        folder: the item.
        given: the path in there that a user gives; "" for the folder itself.
        stored: the path in there that TensorFlow is given to read the values.
        format: what it is found to be.
        kept: number of exported variables.
        skipped: number of tensors that stay out.
        inputs: tensors that a person would name.
        outputs: tensors that a person would name.
        reason: start of why there is no reference run; None where there is one.
    """

    folder: str
    given: str
    stored: str
    format: str
    kept: int
    skipped: int
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]
    reason: Optional[str] = None


ITEMS = [
    Item(
        "ARM-software__ML-KWS-for-MCU/DS_CNN_M",
        "DS_CNN_M.pb",
        "DS_CNN_M.pb",
        "frozen graph",
        47,
        0,
        # What stands before it decodes a WAV file.
        ("Reshape:0",),
        ("labels_softmax:0",),
    ),
    Item(
        "Edwardlzy__SRCNN/SRCNN", "", "SRCNN.model-520000", "V2", 6, 0, ("images:0",), ("add_2:0",)
    ),
    Item(
        "HMS-IDAC__UNetCoreograph/random_values",
        "",
        "model.ckpt",
        "V2",
        50,
        43,
        ("placeholders/data:0",),
        ("Softmax:0",),
    ),
    Item(
        "KennyCandy__HAR/HAR_v4_2", "", "model.ckpt", "V1", 18, 38, ("Placeholder:0",), ("add_6:0",)
    ),
    Item(
        "Lmy0217__WirelessChannelAI/model",
        "",
        "model.ckpt",
        "V2",
        36,
        1,
        (),
        (),
        "there is no graph",
    ),
    Item(
        "SUZhaoyu__deform_conv_tensorflow/deform",
        "",
        "deform_model",
        "V2",
        34,
        18,
        ("input:0",),
        ("fc1/BiasAdd:0",),
        "the graph needs op DeformConv2dOp (node 'DeformConv2dOp'), which is not part of",
    ),
    Item(
        "WJ-Lai__NightFusion/NightFusion",
        "",
        "NightFusion.model",
        "V2",
        2,
        8,
        ("Placeholder_3:0",),
        ("Slice:0", "Slice_1:0"),
    ),
    Item(
        "ardiya__siamesenetwork-tensorflow/model",
        "",
        "model.ckpt",
        "V2",
        10,
        11,
        ("left:0", "right:0"),
        ("model/Flatten/flatten/Reshape:0", "model_1/Flatten/flatten/Reshape:0"),
    ),
    # Its features come out of a queue.
    Item(
        "ddfunt__ncaam_learn/model-10000",
        "",
        "model.ckpt-10000",
        "V2",
        4,
        5,
        ("dnn/input_from_feature_columns/input_layer/concat:0",),
        ("dnn/head/predictions/logistic:0",),
    ),
    Item(
        "georgesung__deep_rl_acrobot/model",
        "",
        "model.ckpt",
        "V1",
        10,
        24,
        ("policy/Placeholder:0", "value/Placeholder:0"),
        ("policy/Softmax:0", "value/Stack/fully_connected_3/Relu:0"),
    ),
    Item(
        "hmchuong__ML-BoneSuppression/model",
        "",
        "model",
        "V2",
        5,
        8,
        ("Placeholder:0",),
        # The stored run stops before the last activation, which the loss reads.
        ("decoder/layer/2/Relu:0",),
    ),
    Item("kinokoman__incoption/model", "", "model", "V2", 4, 10, ("Placeholder:0",), ("add_1:0",)),
    Item(
        "manucarbonell__ctc_tensorflow_example/checkpoints",
        "checkpoints",
        "checkpoints",
        "V2",
        6,
        1,
        ("Placeholder:0", "Placeholder_4:0"),
        ("transpose_1:0",),
    ),
    Item(
        "onnx__tensorflow-onnx/regression/checkpoint",
        "",
        "model",
        "V2",
        2,
        0,
        ("X:0",),
        ("pred:0",),
    ),
    Item(
        "onnx__tensorflow-onnx/regression/saved_model",
        "",
        "variables/variables",
        "SavedModel",
        2,
        0,
        ("X:0",),
        ("pred:0",),
    ),
    Item(
        "onnx__tensorflow-onnx/regression/graphdef",
        "frozen.pb",
        "frozen.pb",
        "frozen graph",
        2,
        0,
        ("X:0",),
        ("pred:0",),
    ),
    Item(
        "tensorflow__serving/saved_model_half_plus_two_mkl",
        "",
        "variables/variables",
        "SavedModel",
        9,
        0,
        ("x:0",),
        ("y:0",),
    ),
    Item("yuke93__RL-Restore/tool01", "", "tool01", "V2", 6, 0, ("Placeholder:0",), ("sum:0",)),
]
RUNNING = [item for item in ITEMS if item.reason is None]
STORED_RUNS = (
    "ARM-software__",
    "Edwardlzy__",
    "HMS-IDAC__",
    "KennyCandy__",
    "ardiya__",
    "georgesung__",
    "hmchuong__",
    "kinokoman__",
    "manucarbonell__",
    "onnx__tensorflow-onnx/regression/checkpoint",
    "yuke93__",
)


def by_folder(items):
    return [pytest.param(item, id=item.folder.replace("/", "-")) for item in items]


def with_stored_run(items):
    return [item for item in items if item.folder.startswith(STORED_RUNS)]


def stored_run(exported: Any) -> Dict[str, Any]:
    """Give the item's own record of a run: inputs, outputs and other feeds by tensor name."""
    paths = [exported.folder / name for name in ("ref.json", "io.json")]
    (path,) = [path for path in paths if path.exists()]
    stored = json.loads(path.read_text("utf-8"))

    def load(entry: Any) -> Any:
        return numpy.load(exported.folder / (entry if isinstance(entry, str) else entry["file"]))

    return {
        "inputs": {name: load(entry) for name, entry in stored["inputs"].items()},
        "outputs": {
            entry.get("tensor", name): load(entry) for name, entry in stored["outputs"].items()
        },
        "feeds": stored.get("extra_feeds", {}),
    }


def tensorflows_values(path: Path) -> Dict[str, Any]:
    """Read what is stored with TensorFlow's own code."""
    if path.suffix == ".pb":
        graph = tensorflow.compat.v1.GraphDef.FromString(path.read_bytes())
        constants = (node for node in graph.node if node.op == "Const")
        return {node.name: tensorflow.make_ndarray(node.attr["value"].tensor) for node in constants}
    reader = pywrap_tensorflow.NewCheckpointReader(str(path))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.mark.parametrize("item", by_folder(ITEMS))
def test_every_tensor_is_equal_bit_for_bit(item, exported, read_safetensors):
    export = exported(item.folder, item.given)
    tensors = read_safetensors(export.out / "variables.safetensors")
    left_out = {entry["name"] for entry in export.graph["skipped"]}
    assert (len(tensors), len(left_out)) == (item.kept, item.skipped)
    assert not set(tensors) & left_out
    keys = {entry["name"]: entry.get("key") for entry in export.graph["variables"]}
    expected = tensorflows_values(export.folder / item.stored)
    if item.format != "frozen graph":
        listed = [*export.graph["variables"], *export.graph["skipped"]]
        assert {entry.get("key", entry["name"]) for entry in listed} == set(expected)
    for name, values in tensors.items():
        true = numpy.asarray(expected[keys[name] or name])
        assert (values.dtype, values.shape) == (true.dtype, true.shape), name
        assert values.tobytes() == true.tobytes(), name


@pytest.mark.parametrize("item", by_folder(ITEMS))
def test_inputs_and_outputs_are_those_that_a_person_names(item, exported):
    export = exported(item.folder, item.given)
    assert export.graph["source"]["checkpoint_format"] == item.format
    assert {one["tensor"] for one in export.graph["inputs"]} == set(item.inputs)
    assert {one["tensor"] for one in export.graph["outputs"]} == set(item.outputs)


@pytest.mark.parametrize("item", by_folder(RUNNING))
def test_the_reference_is_recorded(item, exported, read_safetensors):
    export = exported(item.folder, item.given)
    reference = export.graph["reference"]
    assert (reference["state"], reference["reason"]) == ("recorded", None)
    assert reference["deterministic"] is True
    tensors = read_safetensors(export.out / "reference.safetensors")
    layers = {layer["tensor"] for layer in reference["layers"] if layer["recorded"]}
    feeds = {feed["tensor"] for feed in reference["feeds"]}
    assert set(tensors) == feeds | set(reference["outputs"]) | layers
    assert feeds == {one["tensor"] for one in export.graph["inputs"]}
    assert sum(tensor.nbytes for tensor in tensors.values()) == reference["size_bytes"]
    for feed in reference["feeds"]:
        assert tensors[feed["tensor"]].shape == tuple(feed["shape"])
        assert tensors[feed["tensor"]].dtype.name == feed["dtype"]


@pytest.mark.parametrize("item", by_folder(with_stored_run(ITEMS)))
def test_the_stored_run_is_reproduced(item, exported):
    export = exported(item.folder, item.given)
    stored = stored_run(export)
    source = open_source(locate(export.given, None), ExtractOptions())
    meta = source.graph.parse()
    outputs = list(stored["outputs"])
    plan = replace(make_plan(meta, export.graph, {}), outputs=outputs, layers=())
    feeds = {**plan.switches, **stored["inputs"]}
    for tensor, value in stored["feeds"].items():
        assert plan.switches[tensor] == value
    with open_graph(meta, filler_of(source), plan) as graph:
        computed = graph.session.fetch(feeds, outputs)
    for name, expected in stored["outputs"].items():
        assert computed[name].shape == expected.shape
        scale = numpy.abs(expected).max()
        assert scale > 0
        # The stored run used other kernels: the last bits of the sums differ.
        assert numpy.abs(computed[name] - expected).max() <= 1e-5 * scale


@pytest.mark.parametrize("item", by_folder([item for item in ITEMS if item.reason]))
def test_what_cannot_run_leaves_the_variables_and_a_reason(item, exported):
    export = exported(item.folder, item.given)
    reference = export.graph["reference"]
    assert reference["state"] == "absent"
    assert reference["reason"].startswith(item.reason)
    assert not (export.out / "reference.safetensors").exists()


def test_an_object_based_checkpoint_leaves_by_the_names_of_its_variables(exported):
    export = exported("Lmy0217__WirelessChannelAI/model", "")
    assert all(one["evidence"] == "guessed" for one in export.graph["variables"])
    names = [one["name"] for one in export.graph["layers"]]
    assert names[:4] == [
        "trad_fc/batch_normalization",
        "trad_fc/dense",
        "trad_fc/batch_normalization_1",
        "trad_fc/dense_1",
    ]
    assert [one["kind"] for one in export.graph["layers"]] == [*["batch_norm", "dense"] * 6]
    keys = {one["name"]: one["key"] for one in export.graph["variables"]}
    assert keys["trad_fc/dense/kernel"] == "fc1/kernel/.ATTRIBUTES/VARIABLE_VALUE"


def test_a_checkpoint_without_its_data_is_an_error(exported):
    with pytest.raises(DataFileMissing):
        exported("HMS-IDAC__UNetCoreograph/model", "")
