"""Every V2 checkpoint of the collection leaves whole, and runs as it ran when it was collected."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Dict, NamedTuple, Tuple

import numpy
import pytest
from tensorflow.python import pywrap_tensorflow

from stage_extract.errors import DataFileMissing
from stage_extract.graph.meta_file import MetaFile
from stage_extract.reference.filling import RestoringFiller
from stage_extract.reference.plan import make_plan
from stage_extract.reference.record import open_graph


class Item(NamedTuple):
    """A checkpoint of the collection: its folder, its prefix in there, and what it should show."""

    folder: str
    prefix: str
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]


RUNNING = [
    Item("Edwardlzy__SRCNN/SRCNN", "SRCNN.model-520000", ("images:0",), ("add_2:0",)),
    Item(
        "HMS-IDAC__UNetCoreograph/random_values",
        "model.ckpt",
        ("placeholders/data:0",),
        ("Softmax:0",),
    ),
    Item(
        "WJ-Lai__NightFusion/NightFusion",
        "NightFusion.model",
        ("Placeholder_3:0",),
        ("Slice:0", "Slice_1:0"),
    ),
    Item(
        "ardiya__siamesenetwork-tensorflow/model",
        "model.ckpt",
        ("left:0", "right:0"),
        ("model/Flatten/flatten/Reshape:0", "model_1/Flatten/flatten/Reshape:0"),
    ),
    # Its features come out of a queue.
    Item(
        "ddfunt__ncaam_learn/model-10000",
        "model.ckpt-10000",
        ("dnn/input_from_feature_columns/input_layer/concat:0",),
        ("dnn/head/predictions/logistic:0",),
    ),
    Item(
        "hmchuong__ML-BoneSuppression/model",
        "model",
        ("Placeholder:0",),
        # The stored run stops before the last activation, which the loss reads.
        ("decoder/layer/2/Relu:0",),
    ),
    Item("kinokoman__incoption/model", "model", ("Placeholder:0",), ("add_1:0",)),
    Item(
        "manucarbonell__ctc_tensorflow_example/checkpoints",
        "checkpoints",
        ("Placeholder:0", "Placeholder_4:0"),
        ("transpose_1:0",),
    ),
    Item("onnx__tensorflow-onnx/regression/checkpoint", "model", ("X:0",), ("pred:0",)),
    Item("yuke93__RL-Restore/tool01", "tool01", ("Placeholder:0",), ("sum:0",)),
]
WITHOUT_RUN = [
    Item("Lmy0217__WirelessChannelAI/model", "model.ckpt", (), ()),
    Item(
        "SUZhaoyu__deform_conv_tensorflow/deform",
        "deform_model",
        ("input:0",),
        ("fc1/BiasAdd:0",),
    ),
]
WITH_STORED_RUN = [item for item in RUNNING if not item.folder.startswith(("WJ-Lai__", "ddfunt__"))]


def by_folder(items):
    return [pytest.param(item, id=item.folder.partition("/")[0]) for item in items]


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


@pytest.mark.parametrize("item", by_folder([*RUNNING, *WITHOUT_RUN]))
def test_every_tensor_is_equal_bit_for_bit(item, exported, read_safetensors):
    export = exported(item.folder, item.prefix)
    tensors = read_safetensors(export.out / "variables.safetensors")
    reader = pywrap_tensorflow.NewCheckpointReader(export.prefix)
    listed = [*export.graph["variables"], *export.graph["skipped"]]
    keys = {entry["name"]: entry.get("key", entry["name"]) for entry in listed}
    left_out = {entry["name"] for entry in export.graph["skipped"]}
    assert set(keys.values()) == set(reader.get_variable_to_shape_map())
    assert set(tensors) | left_out == set(keys)
    assert not set(tensors) & left_out
    assert tensors
    for name, values in tensors.items():
        expected = numpy.asarray(reader.get_tensor(keys[name]))
        assert (values.dtype, values.shape) == (expected.dtype, expected.shape), name
        assert values.tobytes() == expected.tobytes(), name


@pytest.mark.parametrize("item", by_folder([*RUNNING, *WITHOUT_RUN]))
def test_inputs_and_outputs_are_those_that_a_person_names(item, exported):
    export = exported(item.folder, item.prefix)
    assert {one["tensor"] for one in export.graph["inputs"]} == set(item.inputs)
    assert {one["tensor"] for one in export.graph["outputs"]} == set(item.outputs)


@pytest.mark.parametrize("item", by_folder(RUNNING))
def test_the_reference_is_recorded(item, exported, read_safetensors):
    export = exported(item.folder, item.prefix)
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


@pytest.mark.parametrize("item", by_folder(WITH_STORED_RUN))
def test_the_stored_run_is_reproduced(item, exported):
    export = exported(item.folder, item.prefix)
    stored = stored_run(export)
    meta = MetaFile(f"{export.prefix}.meta").parse()
    outputs = list(stored["outputs"])
    plan = replace(make_plan(meta, export.graph, {}), outputs=outputs, layers=())
    feeds = {**plan.switches, **stored["inputs"]}
    for tensor, value in stored["feeds"].items():
        assert plan.switches[tensor] == value
    with open_graph(meta, RestoringFiller(export.prefix), plan) as graph:
        computed = graph.session.fetch(feeds, outputs)
    for name, expected in stored["outputs"].items():
        assert computed[name].shape == expected.shape
        scale = numpy.abs(expected).max()
        assert scale > 0
        # The stored run used other kernels: the last bits of the sums differ.
        assert numpy.abs(computed[name] - expected).max() <= 1e-5 * scale


def test_a_custom_op_leaves_the_variables_and_a_reason(exported, read_safetensors):
    export = exported("SUZhaoyu__deform_conv_tensorflow/deform", "deform_model")
    reference = export.graph["reference"]
    assert reference["state"] == "absent"
    assert reference["reason"].startswith("the graph needs op ")
    assert "which is not part of TensorFlow and its contrib" in reference["reason"]
    assert not (export.out / "reference.safetensors").exists()
    assert len(read_safetensors(export.out / "variables.safetensors")) == len(
        export.graph["variables"]
    )


def test_an_object_based_checkpoint_leaves_by_the_names_of_its_variables(exported):
    export = exported("Lmy0217__WirelessChannelAI/model", "model.ckpt")
    assert export.graph["reference"]["state"] == "absent"
    assert "graph" in export.graph["reference"]["reason"]
    assert len(export.graph["variables"]) == 36
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
        exported("HMS-IDAC__UNetCoreograph/model", "model.ckpt")
