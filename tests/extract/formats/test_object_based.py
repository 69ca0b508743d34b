"""Object-based checkpoints: readable names, exact optimizer state, the order of the objects."""

from __future__ import annotations

import json
from typing import Any, Dict

import numpy
import pytest
import tensorflow
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from stage_extract.object_graph import (
    OBJECT_GRAPH_KEY,
    ObjectGraphUnreadable,
    read_object_graph,
    readable_path,
)
from stage_extract.reader import VariableInfo

compat = tensorflow.compat.v1
keras = tensorflow.keras
layers = keras.layers
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def convolutions() -> Any:
    return keras.Sequential(
        [
            layers.InputLayer((9, 7, 3)),
            layers.Conv2D(5, 3, name="zebra"),
            layers.BatchNormalization(name="middle"),
            layers.Conv2D(4, 2, name="ant"),
            layers.Flatten(),
            layers.Dense(6, name="Alpha"),
        ]
    )


def save_keras(path: Any, build: Any = convolutions, train: bool = False) -> str:
    """Save as `save_weights` does in TensorFlow's own format."""
    with tensorflow.Graph().as_default(), compat.Session() as session:
        keras.backend.set_session(session)
        model = build()
        if train:
            model.compile("adam", "mse")
            batch = numpy.random.RandomState(3).rand(2, 9, 7, 3)
            model.fit(batch, numpy.zeros((2, 6)), verbose=0)
        else:
            session.run(compat.global_variables_initializer())
        model.save_weights(str(path), save_format="tf")
    return str(path)


def variable(values: Any, name: str) -> Any:
    return compat.Variable(values.astype("float32"), name=name, use_resource=True)


class Network(tensorflow.Module):
    """Objects as people write them, with names that have to be escaped."""

    def __init__(self) -> None:
        super().__init__()
        random = numpy.random.RandomState(7)
        self.second = variable(random.rand(3, 4), "net")
        self.first = variable(random.rand(4), "net/first")
        # Its name and shape are those of a slot.
        self.Momentum = variable(random.rand(3, 4), "net/Adam_7")
        setattr(self, "a.b/c", variable(random.rand(2), "odd"))


def save_objects(path: Any, **objects: Any) -> str:
    with tensorflow.Graph().as_default(), compat.Session() as session:
        made = {name: build() for name, build in objects.items()}
        checkpoint = tensorflow.train.Checkpoint(**made)
        optimizer = made.get("optimizer")
        if optimizer is not None:
            trained = made["net"].second
            keras_way = isinstance(optimizer, keras.optimizers.Optimizer)
            loss = tensorflow.reduce_sum(trained * trained)
            operation = (
                optimizer.get_updates(loss, [trained])
                if keras_way
                else optimizer.minimize(loss, var_list=[trained])
            )
            session.run(compat.global_variables_initializer())
            session.run(operation)
        session.run(compat.global_variables_initializer())
        return str(checkpoint.save(str(path), session=session))


def graph_of(out: Any) -> Dict[str, Any]:
    return json.loads((out / "graph.json").read_text("utf-8"))


def keys_of(graph: Dict[str, Any]) -> Dict[str, str]:
    listed = [*graph["variables"], *graph["skipped"]]
    return {one["name"]: one.get("key", one["name"]) for one in listed}


def test_every_tensor_leaves_bit_for_bit_under_its_own_name(
    tmp_path, out, run_extraction, read_safetensors
):
    prefix = save_keras(tmp_path / "model")
    outcome = run_extraction(prefix, out)
    assert outcome.warnings == []
    tensors = read_safetensors(out / "variables.safetensors")
    keys = keys_of(graph_of(out))
    assert set(tensors) == {
        *(f"{layer}/{part}" for layer in ("zebra", "ant", "Alpha") for part in ("kernel", "bias")),
        *(f"middle/{part}" for part in ("gamma", "beta", "moving_mean", "moving_variance")),
    }
    assert keys["zebra/kernel"] == "layer_with_weights-0/kernel" + VALUE
    for name, values in tensors.items():
        expected = numpy.asarray(tensorflow.train.load_variable(prefix, keys[name]))
        assert (values.shape, values.tobytes()) == (expected.shape, expected.tobytes()), name


def test_two_readings_agree_on_every_tensor(tmp_path, out, run_extraction):
    prefix = save_keras(tmp_path / "model")
    readers = run_extraction(prefix, out, reader="both").result["readers"]
    assert readers == {"compared": 10, "read_once": []}


def test_layers_are_guessed_in_the_order_of_the_objects(tmp_path, out, run_extraction):
    run_extraction(save_keras(tmp_path / "model"), out)
    found = [(one["name"], one["kind"], one["evidence"]) for one in graph_of(out)["layers"]]
    assert found == [
        ("zebra", "conv2d", "guessed"),
        ("middle", "batch_norm", "guessed"),
        ("ant", "conv2d", "guessed"),
        ("Alpha", "dense", "guessed"),
    ]


@pytest.mark.parametrize("keep", [False, True])
def test_what_the_keras_optimizer_keeps(tmp_path, out, run_extraction, keep):
    prefix = save_keras(tmp_path / "model", train=True)
    run_extraction(prefix, out, keep_optimizer=keep)
    graph = graph_of(out)
    trained = 8
    assert len(graph["variables"]) == 10 + (2 * trained + 5 if keep else 0)
    skipped = [one for one in graph["skipped"] if one["category"] != "string"]
    assert len(skipped) == (0 if keep else 2 * trained + 5)
    if not keep:
        reasons = {one["name"]: one["reason"] for one in skipped}
        assert reasons["training/Adam/zebra/kernel/m"].startswith("m slot of layer_with_weights-0")
        assert {one["category"] for one in skipped if one["shape"] == []} == {
            "optimizer_slot",
            "step_counter",
        }


OPTIMIZERS = {
    "keras-adam": lambda: keras.optimizers.Adam(0.1),
    "keras-sgd": lambda: keras.optimizers.SGD(0.1),
    "adam": lambda: compat.train.AdamOptimizer(0.1),
    "momentum": lambda: compat.train.MomentumOptimizer(0.1, 0.9),
}


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_variable_called_like_a_slot_is_none(tmp_path, out, run_extraction, name):
    prefix = save_objects(tmp_path / "m", net=Network, optimizer=OPTIMIZERS[name])
    run_extraction(prefix, out)
    graph = graph_of(out)
    assert {one["name"] for one in graph["variables"]} == {
        "net",
        "net/first",
        "net/Adam_7",
        "odd",
    }
    assert keys_of(graph)["odd"] == "net/a..b.Sc" + VALUE
    counted = [one["name"] for one in graph["skipped"] if one["category"] == "step_counter"]
    assert any("save_counter" in one for one in counted)


@pytest.mark.parametrize("full_name", ["", "net/first"], ids=["without", "twice"])
def test_all_are_called_by_their_paths_where_one_has_no_name_of_its_own(
    tmp_path, out, run_extraction, save_bundle, full_name
):
    prefix = save_objects(tmp_path / "m", net=Network)
    proto = object_graph(prefix)
    (odd,) = (one for node in proto.nodes for one in node.attributes if one.full_name == "odd")
    odd.full_name = full_name
    again = rewrite(prefix, tmp_path / "again", save_bundle, proto.SerializeToString())
    run_extraction(again, out)
    names = {one["name"] for one in graph_of(out)["variables"]}
    assert names == {"net/second", "net/first", "net/Momentum", "net/a.b/c"}


def test_a_step_of_the_user_is_a_counter(tmp_path, out, run_extraction):
    prefix = save_objects(
        tmp_path / "m",
        net=Network,
        global_step=lambda: tensorflow.Variable(3, dtype="int64", name="global_step"),
    )
    run_extraction(prefix, out)
    skipped = {one["name"]: one["category"] for one in graph_of(out)["skipped"]}
    assert skipped["global_step"] == "step_counter"


def test_inspect_tells_names_and_keys(tmp_path, run_extraction):
    prefix = save_keras(tmp_path / "model")
    inspection = run_extraction(prefix, None, "inspect").result["inspection"]
    assert inspection["variables"][0]["name"] == "Alpha/bias"
    assert inspection["variables"][0]["key"] == "layer_with_weights-3/bias" + VALUE


def test_a_graph_beside_it_is_filled(tmp_path, out, run_extraction, read_safetensors):
    # A graph whose only Saver writes by keys, as that of a SavedModel of objects does.
    prefix = str(tmp_path / "model")
    with tensorflow.Graph().as_default(), compat.Session() as session:
        keras.backend.set_session(session)
        model = convolutions()
        session.run(compat.global_variables_initializer())
        model.save_weights(prefix, save_format="tf")
        expected = session.run(model.weights)
        names = [one.name.partition(":")[0] for one in model.weights]
        compat.train.export_meta_graph(prefix + ".meta")
    result = run_extraction(prefix, out, reference=True).result
    assert result["reference"] == {"state": "recorded", "reason": None}
    tensors = read_safetensors(out / "variables.safetensors")
    assert {name: one.tobytes() for name, one in tensors.items()} == {
        name: one.tobytes() for name, one in zip(names, expected)
    }
    assert [one["evidence"] for one in graph_of(out)["layers"]] == ["graph"] * 4


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("net/kernel" + VALUE, "net/kernel"),
        ("a..b/c.Sd" + VALUE, "a.b/c/d"),
        ("k/.OPTIMIZER_SLOT/opt/m" + VALUE, "k/opt/m"),
        ("layer/.ATTRIBUTES/OBJECT_CONFIG_JSON", "layer/OBJECT_CONFIG_JSON"),
        ("table/.ATTRIBUTES/table-keys", "table/table-keys"),
        (VALUE, VALUE),
        ("plain/kernel", "plain/kernel"),
    ],
)
def test_readable_paths(key, name):
    assert readable_path(key) == name


def rewrite(prefix: str, target: Any, save_bundle: Any, content: Any) -> str:
    """Write a checkpoint again with another object graph; None for none."""
    reader = tensorflow.train.load_checkpoint(prefix)
    arrays = {
        name: numpy.asarray(reader.get_tensor(name))
        for name in reader.get_variable_to_shape_map()
        if name != OBJECT_GRAPH_KEY
    }
    if content is not None:
        arrays[OBJECT_GRAPH_KEY] = numpy.array(content, object)
    return str(save_bundle(target, arrays))


def object_graph(prefix: str) -> TrackableObjectGraph:
    proto = TrackableObjectGraph()
    proto.ParseFromString(tensorflow.train.load_checkpoint(prefix).get_tensor(OBJECT_GRAPH_KEY))
    return proto


def with_number(proto: TrackableObjectGraph, number: int) -> bytes:
    proto.nodes[0].children[0].node_id = number
    return proto.SerializeToString()


def with_other_keys(proto: TrackableObjectGraph) -> bytes:
    for node in proto.nodes:
        for attribute in node.attributes:
            attribute.checkpoint_key = "other/" + attribute.checkpoint_key
    return proto.SerializeToString()


BROKEN = [
    pytest.param(lambda proto: None, "there is no text", id="missing"),
    pytest.param(lambda proto: b"\xff\xff", "cannot be decoded", id="noise"),
    pytest.param(lambda proto: b"", "names none of its tensors", id="empty"),
    pytest.param(lambda proto: with_number(proto, 10**6), "that it lacks", id="number-too-large"),
    pytest.param(lambda proto: with_number(proto, -1), "that it lacks", id="negative-number"),
    pytest.param(with_other_keys, "names none of its tensors", id="of-another-checkpoint"),
]


@pytest.mark.parametrize(("spoil", "words"), BROKEN)
def test_without_a_usable_object_graph_keys_are_names(
    tmp_path, out, run_extraction, save_bundle, spoil, words
):
    prefix = save_keras(tmp_path / "model")
    spoiled = rewrite(prefix, tmp_path / "spoiled", save_bundle, spoil(object_graph(prefix)))
    outcome = run_extraction(spoiled, out)
    (warning,) = outcome.warnings
    assert "have their keys for names" in warning
    assert words in warning
    names = {one["name"] for one in graph_of(out)["variables"]}
    assert "layer_with_weights-0/kernel" + VALUE in names
    assert len(names) == 10
    assert not any("key" in one for one in graph_of(out)["variables"])


def test_a_damaged_text_is_told(tmp_path, out, run_extraction):
    prefix = save_keras(tmp_path / "model")
    for path in sorted(tmp_path.glob("model.data-*")):
        content = path.read_bytes()
        place = content.find(b"layer_with_weights-0")
        if place >= 0:
            path.write_bytes(content[:place] + b"L" + content[place + 1 :])
    (warning,) = run_extraction(prefix, out).warnings
    assert "without its stored checksum" in warning


def test_cycles_of_objects_are_no_fault(tmp_path, out, run_extraction, save_bundle):
    prefix = save_keras(tmp_path / "model")
    proto = object_graph(prefix)
    proto.nodes[1].children.add(node_id=0, local_name="model")
    proto.nodes[0].children.add(node_id=0, local_name="self")
    again = rewrite(prefix, tmp_path / "again", save_bundle, proto.SerializeToString())
    assert run_extraction(again, out).warnings == []
    assert [one["name"] for one in graph_of(out)["layers"]] == ["zebra", "middle", "ant", "Alpha"]


def test_tensors_that_no_object_owns_keep_their_keys(tmp_path, out, run_extraction, save_bundle):
    prefix = save_keras(tmp_path / "model")
    reader = tensorflow.train.load_checkpoint(prefix)
    arrays = {
        name: numpy.asarray(reader.get_tensor(name))
        for name in reader.get_variable_to_shape_map()
        if name != OBJECT_GRAPH_KEY
    }
    arrays[OBJECT_GRAPH_KEY] = numpy.array(object_graph(prefix).SerializeToString(), object)
    arrays["plain/kernel"] = numpy.ones((2, 3), "float32")
    arrays["plain/kernel/Adam"] = numpy.ones((2, 3), "float32")
    run_extraction(save_bundle(tmp_path / "mixed", arrays), out)
    graph = graph_of(out)
    assert "plain/kernel" in {one["name"] for one in graph["variables"]}
    # Of these the objects say nothing: names decide, as they do elsewhere.
    assert {one["name"]: one["category"] for one in graph["skipped"]}["plain/kernel/Adam"] == (
        "optimizer_slot"
    )


def test_names_that_would_meet_stay_keys():
    proto = TrackableObjectGraph()
    keys = ["a/b" + VALUE, "a.Sb" + VALUE]
    for key in keys:
        proto.nodes.add().attributes.add(name="VARIABLE_VALUE", checkpoint_key=key)
    infos = [VariableInfo(key, "float32", (2,)) for key in keys]
    objects = read_object_graph(proto.SerializeToString(), infos)
    assert objects.names == {key: key for key in keys}


def test_a_name_of_an_object_that_another_tensor_has_is_not_taken():
    proto = TrackableObjectGraph()
    key = "a/b" + VALUE
    proto.nodes.add().attributes.add(name="VARIABLE_VALUE", full_name="w", checkpoint_key=key)
    infos = [VariableInfo(key, "float32", (2,)), VariableInfo("w", "float32", (3,))]
    objects = read_object_graph(proto.SerializeToString(), infos)
    assert objects.names == {key: "a/b", "w": "w"}


def test_an_empty_checkpoint_has_no_object_graph():
    with pytest.raises(ObjectGraphUnreadable, match="names none"):
        read_object_graph(TrackableObjectGraph().SerializeToString(), [])
