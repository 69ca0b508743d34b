"""Object-based checkpoints: readable names, exact optimizer state, the order of the objects."""

from __future__ import annotations

import numpy
import pytest
import tensorflow

from stage_extract.selecting.object_graph import readable_path
from tests.extract.formats.object_files import (
    VALUE,
    Network,
    compat,
    convolutions,
    graph_of,
    keras,
    keys_of,
    object_graph,
    rewrite,
    save_keras,
    save_objects,
)


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
