"""Whole models of Keras in HDF5: rebuilt as graphs, run, and refused where they hold code."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import sys
import time

import h5py
import numpy
import pytest
import tensorflow
from tensorflow.python.keras.layers import serialization

from stage_extract.finding.locate import locate
from stage_extract.formats.hdf5 import open_hdf5
from stage_extract.graph.graphdef import GraphUnreadable
from stage_extract.jobs import ExtractOptions
from stage_extract.reference import keras_model
from stage_extract.reference.filling import filler_of
from stage_extract.reference.keras_config import known_classes, read_config
from stage_extract.reference.plan import make_plan
from stage_extract.reference.record import open_graph
from tests.extract.formats import keras_files

MODELS = [
    (keras_files.sequential, ["conv2d", "batch_norm", "depthwise_conv2d", "dense"]),
    (keras_files.branches, ["conv2d", "depthwise_conv2d", "conv2d", "batch_norm"]),
    (keras_files.nested, ["dense", "dense", "batch_norm", "dense"]),
    (keras_files.upsampling, ["conv2d", "conv2d", "conv2d_transpose", "conv2d"]),
]


def graph_of(out):
    return json.loads((out / "graph.json").read_text("utf-8"))


def computed(saved, graph, batch):
    """Give what the rebuilt graph computes from a batch, with the variables of the file."""
    source = open_hdf5(locate(str(saved.path), None), ExtractOptions())
    meta = source.graph.parse()
    plan = make_plan(meta, graph, {})
    with open_graph(meta, filler_of(source), plan) as opened:
        feeds = {**plan.switches, graph["inputs"][0]["tensor"]: batch}
        return opened.session.fetch(feeds, plan.outputs)[plan.outputs[0]]


@pytest.mark.parametrize(("build", "kinds"), MODELS)
def test_a_model_is_described_and_runs_as_keras_runs_it(
    tmp_path, out, run_extraction, build, kinds
):
    saved = keras_files.save(tmp_path / "model.h5", build)
    outcome = run_extraction(saved.path, out, reference=True)
    assert outcome.warnings == []
    assert outcome.result["reference"] == {"state": "recorded", "reason": None}
    graph = graph_of(out)
    assert sorted(one["kind"] for one in graph["layers"]) == sorted(kinds)
    assert all(one["evidence"] == "graph" for one in graph["variables"])
    assert [len(graph[part]) for part in ("inputs", "outputs")] == [1, 1]
    values = computed(saved, graph, saved.input)
    assert values.shape == saved.output.shape
    numpy.testing.assert_allclose(values, saved.output, rtol=1e-5, atol=1e-6)


def test_a_recurrent_model_runs_as_keras_runs_it(tmp_path, out, run_extraction):
    saved = keras_files.save(tmp_path / "model.h5", keras_files.recurrent)
    assert (
        run_extraction(saved.path, out, reference=True).result["reference"]["state"] == "recorded"
    )
    values = computed(saved, graph_of(out), saved.input)
    numpy.testing.assert_allclose(values, saved.output, rtol=1e-5, atol=1e-6)


def test_inputs_and_outputs_are_those_of_the_model(tmp_path, out, run_extraction):
    def build():
        layers = keras_files.layers
        first, second = layers.Input((4,), name="first"), layers.Input((3,), name="second")
        joined = layers.Concatenate()([layers.Dense(5)(second), first])
        outputs = [layers.Dense(2, name="value")(joined), layers.Dense(6, name="policy")(joined)]
        return keras_files.keras.Model([first, second], outputs)

    path = tmp_path / "model.h5"
    with tensorflow.Graph().as_default(), tensorflow.compat.v1.Session() as session:
        keras_files.keras.backend.set_session(session)
        build().save(str(path))
    run_extraction(path, out)
    graph = graph_of(out)
    assert [one["tensor"] for one in graph["inputs"]] == ["second:0", "first:0"]
    assert [one["name"] for one in graph["outputs"]] == ["value/BiasAdd", "policy/BiasAdd"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return keras_files.save(tmp_path_factory.mktemp("saved") / "m.h5", keras_files.sequential)


def edit_config(path, edit):
    """Change the configuration in a file."""
    with h5py.File(str(path), "r+") as file:
        config = json.loads(file.attrs["model_config"])
        edited = edit(config) or config
        del file.attrs["model_config"]
        file.attrs["model_config"] = (
            edited if isinstance(edited, str) else json.dumps(edited)
        ).encode()
    return path


def layer_of(config, class_name):
    return next(one for one in config["config"]["layers"] if one["class_name"] == class_name)


def rename_class(class_name, **more):
    def edit(config):
        layer = layer_of(config, "Flatten")
        layer["class_name"] = class_name
        layer["config"].update(more)

    return edit


def change(class_name, **values):
    return lambda config: layer_of(config, class_name)["config"].update(values)


def wrapped(op):
    node = {"name": "wrapped", "op": op, "input": ["x"]}
    return rename_class("TensorFlowOpLayer", node_def=node, constants={})


def initializer(class_name):
    return change("Dense", kernel_initializer={"class_name": class_name, "config": {}})


def drop_layer(config):
    config["config"]["layers"].pop()


REFUSED = [
    pytest.param(rename_class("Lambda"), "'flatten' is a Lambda, which holds Python", id="lambda"),
    pytest.param(rename_class("MyLayer"), "needs the class 'MyLayer'", id="own-class"),
    pytest.param(rename_class("ResidualWrapper"), "class 'ResidualWrapper'", id="code-in-wrapper"),
    pytest.param(rename_class("deserialize"), "class 'deserialize'", id="function"),
    pytest.param(rename_class(["a"]), "needs the class ['a']", id="class-is-a-list"),
    pytest.param(rename_class(7), "needs the class 7", id="class-is-a-number"),
    pytest.param(rename_class("Dense", units=2**70), "cannot build", id="huge-units"),
    pytest.param(wrapped("ReadFile"), "is the op ReadFile", id="op-reads-files"),
    pytest.param(wrapped("WriteFile"), "is the op WriteFile", id="op-writes-files"),
    pytest.param(wrapped("PyFunc"), "is the op PyFunc", id="op-calls-python"),
    pytest.param(wrapped("NoSuchOp"), "is the op NoSuchOp", id="op-unknown"),
    pytest.param(wrapped(["x"]), "cannot be read", id="op-is-a-list"),
    pytest.param(initializer("getattr"), "class 'getattr'", id="initializer"),
    pytest.param(change("Dense", units=12), "the shapes [[", id="other-units"),
    pytest.param(change("Dense", use_bias=False), "the shapes [[", id="without-bias"),
    pytest.param(change("Dense", units="many"), "cannot build", id="units-is-a-text"),
    pytest.param(change("Dense", activation="relu6"), "cannot build", id="own-activation"),
    pytest.param(drop_layer, "layers of its model", id="layer-missing"),
    pytest.param(lambda config: "{", "is no JSON", id="no-json"),
    pytest.param(lambda config: "[" * 90000, "is no JSON", id="deep-json"),
    pytest.param(lambda config: "[1]", "its model is a None", id="a-list"),
    pytest.param(
        lambda config: {"class_name": "os.system", "config": "true"}, "'os.system'", id="no-model"
    ),
]


@pytest.mark.parametrize(("edit", "reason"), REFUSED)
def test_what_cannot_be_rebuilt_leaves_its_weights(
    saved, tmp_path, out, run_extraction, read_safetensors, edit, reason
):
    path = tmp_path / "model.h5"
    shutil.copy(str(saved.path), str(path))
    outcome = run_extraction(edit_config(path, edit), out, reference=True)
    assert outcome.result["reference"]["state"] == "absent"
    (warning,) = outcome.warnings
    assert reason in warning
    graph = graph_of(out)
    assert reason in graph["source"]["graph_reason"]
    assert [one["name"] for one in graph["layers"]][:2] == ["conv2d", "batch_normalization"]
    assert all(one["evidence"] == "guessed" for one in graph["layers"])
    tensors = read_safetensors(out / "variables.safetensors")
    assert {name: one.tobytes() for name, one in tensors.items()} == {
        name: one.tobytes() for name, one in saved.weights.items()
    }


def test_a_lambda_is_not_run(tmp_path, out, run_extraction):
    trace = tmp_path / "trace"

    def build():
        layers = keras_files.layers
        code = f"__import__('os').mkdir({str(trace)!r}) or x"
        function = eval(f"lambda x: {code}")
        return keras_files.keras.Sequential(
            [layers.Dense(4, input_shape=(3,)), layers.Lambda(function)]
        )

    saved = keras_files.save(tmp_path / "model.h5", build)
    assert trace.exists()
    os.rmdir(str(trace))
    outcome = run_extraction(saved.path, out, reference=True)
    assert outcome.result["variables"] == 2
    assert not trace.exists()


def test_no_class_that_may_be_named_knows_how_to_load_code():
    classes = known_classes()
    assert {"Conv2D", "LSTM", "Bidirectional", "VarianceScaling", "L1L2", "MaxNorm"} <= classes
    assert not {"Lambda", "ResidualWrapper", "DropoutWrapper"} & classes
    for name in classes:
        value = getattr(serialization, name, None)
        if not inspect.isclass(value) or name == "Network":
            continue
        for kind in value.__mro__:
            if kind.__module__.startswith("tensorflow") and kind.__name__ != "Lambda":
                source = inspect.getsource(sys.modules[kind.__module__])
                assert "func_load" not in source or kind.__module__.endswith("layers.core"), name


def test_a_model_of_standalone_keras_2(tmp_path, out, run_extraction):
    # Its Sequential was a list before 2.2.3, and it knew nothing of dtype.
    def edit(config):
        for layer in config["config"]["layers"]:
            layer["config"].pop("dtype", None)
        config["config"] = config["config"]["layers"]
        layer_0 = config["config"][0]["config"]
        layer_0["dtype"] = "float32"

    saved = keras_files.save(tmp_path / "model.h5", keras_files.sequential)
    edit_config(saved.path, edit)
    with h5py.File(str(saved.path), "r+") as file:
        file["model_weights"].attrs["keras_version"] = b"2.2.0"
    outcome = run_extraction(saved.path, out, reference=True)
    assert outcome.warnings == []
    assert outcome.result["reference"]["state"] == "recorded"
    values = computed(saved, graph_of(out), saved.input)
    numpy.testing.assert_allclose(values, saved.output, rtol=1e-5, atol=1e-6)


def test_a_configuration_is_checked_wherever_it_names_a_class():
    cell = {"class_name": "RNN", "config": {"name": "r", "cell": {"class_name": "Mine"}}}
    model = {"class_name": "Sequential", "config": {"layers": [cell]}}
    with pytest.raises(GraphUnreadable, match="layer 'r' needs the class 'Mine'"):
        read_config(json.dumps(model))


def doubled(depth):
    """Give a model that calls a model twice, which calls one twice, and so on."""
    layers, keras = keras_files.layers, keras_files.keras
    with tensorflow.Graph().as_default():
        config = keras.Sequential([layers.Dense(3, input_shape=(3,), name="d")]).get_config()
    inner = {"class_name": "Sequential", "name": "m", "config": {**config, "name": "m"}}
    inner["inbound_nodes"] = [[["x", 0, 0, {}]], [["m", 1, 0, {}]]]
    for _ in range(depth):
        entrance = {"batch_input_shape": [None, 3], "dtype": "float32", "name": "x"}
        first = {"class_name": "InputLayer", "name": "x", "config": entrance, "inbound_nodes": []}
        outer = {"name": "m", "layers": [first, inner]}
        outer.update(input_layers=[["x", 0, 0]], output_layers=[["m", 2, 0]])
        inner = {**inner, "class_name": "Model", "config": outer}
    return json.dumps({"class_name": "Model", "config": inner["config"]})


def test_a_model_that_would_never_be_built_is_given_up(monkeypatch):
    names = {"m": [keras_model.StoredWeight("k", (3, 3)), keras_model.StoredWeight("b", (3,))]}
    assert keras_model.rebuild(doubled(2), names, []).outputs
    monkeypatch.setattr(keras_model, "PROCESSOR_LIMIT_S", 1.0)
    start_s = time.perf_counter()
    with pytest.raises(GraphUnreadable, match=r"^Keras has not built its model after 1 s"):
        keras_model.rebuild(doubled(40), names, [])
    assert time.perf_counter() - start_s < 30


def test_the_model_may_lie_beside_its_weights(tmp_path, out, run_extraction):
    saved = keras_files.save(tmp_path / "model.h5", keras_files.sequential)
    with h5py.File(str(saved.path), "r+") as file:
        config = file.attrs["model_config"].decode()
        for name in list(file["model_weights"]):
            file.move(f"model_weights/{name}", name)
        for name, value in file["model_weights"].attrs.items():
            file.attrs[name] = value
        del file["model_weights"]
        del file.attrs["model_config"]
    (tmp_path / "model.json").write_text(config)
    outcome = run_extraction(saved.path, out, reference=True)
    assert outcome.warnings == ["The model is read from 'model.json' beside the file."]
    assert outcome.result["reference"]["state"] == "recorded"
    assert [one["name"] for one in outcome.result["checkpoint"]["files"]] == [
        "model.h5",
        "model.json",
    ]
    values = computed(saved, graph_of(out), saved.input)
    numpy.testing.assert_allclose(values, saved.output, rtol=1e-5, atol=1e-6)
    (tmp_path / "model.json").write_text('{"of": "another program"}')
    outcome = run_extraction(saved.path, out, reference=True)
    assert outcome.result["reference"]["state"] == "absent"
    assert "its model is a None" in outcome.warnings[1]
