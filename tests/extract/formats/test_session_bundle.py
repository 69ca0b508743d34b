"""Session bundles: what TensorFlow exported before there were SavedModels."""

from __future__ import annotations

import os

import numpy
import pytest
import tensorflow
from google.protobuf.any_pb2 import Any as AnyMessage
from tensorflow.contrib.session_bundle.manifest_pb2 import Signatures

compat = tensorflow.compat.v1


def regression(made, message):
    message.default_signature.regression_signature.input.tensor_name = made["records"]
    message.default_signature.regression_signature.output.tensor_name = made["y"]


def classification(made, message):
    signature = message.default_signature.classification_signature
    signature.input.tensor_name = made["x"]
    signature.classes.tensor_name = made["texts"]
    signature.scores.tensor_name = made["y"]


def named(made, message):
    signatures = message.named_signatures
    signatures["inputs"].generic_signature.map["pixels"].tensor_name = made["x"]
    signatures["outputs"].generic_signature.map["hidden"].tensor_name = made["hidden"]


def both(made, message):
    regression(made, message)
    named(made, message)


def export(folder, sign, version, sharded):
    """Write a bundle; gives the values of its variables."""
    folder.mkdir(parents=True)
    with compat.Graph().as_default(), compat.Session() as session:
        records = compat.placeholder("string", [None], name="records")
        features = {"x": compat.FixedLenFeature([4], "float32")}
        x = compat.identity(compat.parse_example(records, features)["x"], name="x")
        hidden = compat.nn.relu(compat.layers.dense(x, 5, name="hidden"))
        y = compat.layers.dense(hidden, 3, name="y")
        texts = compat.as_string(y, name="texts")
        session.run(compat.global_variables_initializer())
        tensors = {"records": records, "x": x, "hidden": hidden, "y": y, "texts": texts}
        message = Signatures()
        sign({name: tensor.name for name, tensor in tensors.items()}, message)
        packed = AnyMessage()
        packed.Pack(message)
        compat.add_to_collection("serving_signatures", packed)
        compat.add_to_collection("serving_init_op", compat.group(name="fill_tables"))
        saver = compat.train.Saver(sharded=sharded, write_version=version)
        saver.save(session, str(folder / "export"), write_state=False, latest_filename="none")
        for name in os.listdir(str(folder)):
            if name.endswith(".meta"):
                (folder / name).rename(folder / "export.meta")
        return {v.op.name: session.run(v) for v in compat.global_variables()}


V1, V2 = compat.train.SaverDef.V1, compat.train.SaverDef.V2


@pytest.mark.parametrize(
    ("sign", "inputs", "outputs"),
    [
        pytest.param(regression, ["ParseExample/ParseExample:0"], ["y/BiasAdd:0"], id="regression"),
        pytest.param(classification, ["x:0"], ["y/BiasAdd:0"], id="classification"),
        pytest.param(named, ["x:0"], ["Relu:0"], id="named"),
        pytest.param(both, ["x:0"], ["Relu:0"], id="named-before-default"),
    ],
)
@pytest.mark.parametrize(
    ("version", "sharded"),
    [
        pytest.param(V1, True, id="V1-shards"),
        pytest.param(V2, False, id="V2"),
    ],
)
def test_signatures(tmp_path, exported, sign, inputs, outputs, version, sharded):
    values = export(tmp_path / "00000123", sign, version, sharded)
    made = exported(tmp_path / "00000123", reference=True)
    assert (made.inputs, made.outputs) == (inputs, outputs)
    assert set(made.variables) == set(values)
    for name, value in values.items():
        numpy.testing.assert_array_equal(made.variables[name], value)
    source = made.graph["source"]
    assert (source["checkpoint_format"], source["graph"]) == ("session bundle", "meta")
    assert made.graph["reference"]["state"] == "recorded"
    assert any("'fill_tables'" in text for text in made.warnings)


@pytest.mark.parametrize("given", ["export", "export.meta", "export-00000-of-00001"])
def test_any_part_of_it(tmp_path, out, run_extraction, given):
    values = export(tmp_path / "00000123", named, V1, sharded=True)
    result = run_extraction(tmp_path / "00000123" / given, out).result
    assert result["variables"] == len(values)
    assert result["checkpoint"]["step"] == 123


def test_a_checkpoint_that_is_only_called_so(tmp_path, save_bundle, exported):
    save_bundle(tmp_path / "export", {"w": numpy.ones([2, 3], "f")})
    assert exported(tmp_path).graph["source"]["checkpoint_format"] == "V2"


def test_signatures_that_are_damaged_are_no_obstacle(tmp_path, exported):
    def broken(made, message):
        both(made, message)

    folder = tmp_path / "1"
    export(folder, broken, V2, sharded=False)
    meta = compat.MetaGraphDef.FromString((folder / "export.meta").read_bytes())
    [entry] = meta.collection_def["serving_signatures"].any_list.value
    entry.value = entry.value[:-3]
    (folder / "export.meta").write_bytes(meta.SerializeToString())
    assert exported(folder).outputs == ["y/BiasAdd:0"]
