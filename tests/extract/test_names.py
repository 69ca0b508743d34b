"""Checkpoints whose keys are not the graph's names: values, layers and the reference run."""

from __future__ import annotations

import json

import numpy
import pytest
import tensorflow

from tests.extract.recorded import extract

compat = tensorflow.compat.v1
raw_ops = tensorflow.raw_ops
SIZES = {"a": (6, 6), "b": (6, 6), "c": (6, 3)}


def network(prefix=""):
    """x -> a -> b -> c -> out: three matrices, two of them of one shape."""
    net = compat.placeholder("float32", [None, 6], name="x")
    for name, size in SIZES.items():
        net = compat.matmul(net, compat.get_variable(prefix + name, size), name=f"by_{name}")
    return compat.identity(net, name="out")


def by_node():
    return {variable.op.name: variable for variable in compat.global_variables()}


def save(folder, build, make_saver=None, edit=None, edit_meta=None):
    """Save a graph's variables; gives the prefix and their values by node."""
    prefix = str(folder / "model.ckpt")
    with compat.Graph().as_default() as graph, compat.Session() as session:
        compat.set_random_seed(3)
        build()
        session.run(compat.global_variables_initializer())
        values = {name: session.run(variable) for name, variable in by_node().items()}
        saver = compat.train.Saver() if make_saver is None else make_saver()
        saver.save(session, prefix, write_meta_graph=False)
        if edit is not None:
            edit()
        meta = compat.train.export_meta_graph(graph=graph, saver_def=saver.as_saver_def())
    if edit_meta is not None:
        edit_meta(meta)
    with open(prefix + ".meta", "wb") as file:
        file.write(meta.SerializeToString())
    return prefix, values


def check_values(graph, reference, weights):
    """The recorded output is that of these matrices, in their order."""
    expected = reference["x:0"]
    for weight in weights:
        expected = expected @ weight
    numpy.testing.assert_allclose(reference["out:0"], expected, rtol=1e-4, atol=1e-6)
    assert [layer["kind"] for layer in graph["layers"]] == ["dense"] * len(weights)


def keyed(change):
    return lambda: compat.train.Saver({change(name): one for name, one in by_node().items()})


def without_saving(meta):
    """Cut the ops that write out of a graph, as a graph made for inference has them not."""
    gone = {"SaveV2", "ShardedFilename", "MergeV2Checkpoints", "StringJoin"}
    kept = [node for node in meta.graph_def.node if node.op not in gone]
    names = {node.name for node in kept}
    for node in kept:
        inputs = [one for one in node.input if one.lstrip("^").partition(":")[0] in names]
        del node.input[:]
        node.input.extend(inputs)
    del meta.graph_def.node[:]
    meta.graph_def.node.extend(kept)


def without_saver_def(meta):
    meta.ClearField("saver_def")


def both(meta):
    without_saving(meta)
    without_saver_def(meta)


def exchange(name):
    return {"a": "b", "b": "a"}.get(name, name)


SAVERS = [
    pytest.param(lambda name: name + ":0", id="output-behind"),
    pytest.param(lambda name: "published/net/" + name, id="prefix"),
    pytest.param(lambda name: {"a": "first", "b": "second", "c": "third"}[name], id="renamed"),
    pytest.param(exchange, id="exchanged"),
    pytest.param(lambda name: f"layer [{name}], 100 % \u00e4/\u65e5", id="odd-characters"),
    pytest.param(lambda name: "/_" + name + "n" * 300, id="slash-in-front-and-long"),
]


@pytest.mark.parametrize("change", SAVERS)
@pytest.mark.parametrize(
    "edit_meta",
    [
        pytest.param(None, id="whole"),
        pytest.param(without_saving, id="inference-only"),
        pytest.param(without_saver_def, id="no-saver-def"),
        pytest.param(both, id="neither"),
    ],
)
def test_keys_of_the_savers_own_choice(tmp_path, out, run_extraction, change, edit_meta):
    prefix, values = save(tmp_path, network, keyed(change), edit_meta=edit_meta)
    outcome, graph, reference = extract(run_extraction, prefix, out)
    assert outcome.warnings == []
    assert "missing" not in graph
    assert [layer["variables"]["kernel"] for layer in graph["layers"]] == [
        change(name) for name in SIZES
    ]
    check_values(graph, reference, values.values())


def test_of_several_savers_the_one_that_can_have_written_the_file_counts(
    tmp_path, out, run_extraction
):
    def make_saver():
        compat.train.Saver([by_node()["a"]])
        compat.train.Saver({"a": by_node()["a"], "b": by_node()["b"]})
        return keyed(exchange)()

    prefix, values = save(tmp_path, network, make_saver, edit_meta=without_saver_def)
    _, graph, reference = extract(run_extraction, prefix, out)
    check_values(graph, reference, values.values())


def test_two_savers_of_one_set_of_names_that_disagree_leave_it_to_the_names(
    tmp_path, out, run_extraction
):
    def make_saver():
        keyed(exchange)()
        return compat.train.Saver()

    prefix, values = save(tmp_path, network, make_saver, edit_meta=without_saver_def)
    _, graph, reference = extract(run_extraction, prefix, out)
    check_values(graph, reference, values.values())


def restored_by_hand(version):
    """Ops that read a checkpoint and hand its values on through others to the variables."""

    def edit():
        file = compat.placeholder_with_default("model", [], name="file")
        variables = by_node()
        keys = ["one", "two", "three"]
        if version == "RestoreV2":
            values = raw_ops.RestoreV2(
                prefix=file, tensor_names=keys, shape_and_slices=[""] * 3, dtypes=["float32"] * 3
            )
        elif version == "RestoreSlice":
            values = [
                raw_ops.RestoreSlice(
                    file_pattern=file, tensor_name=key, shape_and_slice="", dt="float32"
                )
                for key in keys
            ]
        else:
            values = [
                raw_ops.Restore(file_pattern=file, tensor_name=key, dt="float32") for key in keys
            ]
        a = compat.cast(compat.cast(values[0], "float64"), "float32")
        raw_ops.Assign(ref=variables["a"], value=compat.identity(a))
        raw_ops.Assign(ref=variables["b"], value=compat.reshape(values[1], [6, 6]))
        raw_ops.Assign(ref=variables["c"], value=values[2])

    return edit


@pytest.mark.parametrize("version", ["RestoreV2", "RestoreSlice", "Restore"])
def test_keys_are_read_from_what_restores(tmp_path, out, run_extraction, save_bundle, version):
    prefix, values = save(
        tmp_path, network, edit=restored_by_hand(version), edit_meta=without_saver_def
    )
    keys = dict(zip(["one", "two", "three"], values.values()))
    save_bundle(prefix, keys)
    _, graph, reference = extract(run_extraction, prefix, out)
    assert [layer["variables"]["kernel"] for layer in graph["layers"]] == list(keys)
    check_values(graph, reference, values.values())


def test_a_restored_tensor_that_is_split_fills_several_variables(
    tmp_path, out, run_extraction, save_bundle
):
    def build():
        net = compat.placeholder("float32", [None, 6], name="x")
        parts = [compat.get_variable(name, [6, 2]) for name in ("left", "right")]
        compat.identity(compat.matmul(net, compat.concat(parts, axis=1)), name="out")

    def edit():
        file = compat.placeholder_with_default("model", [], name="file")
        [whole] = raw_ops.RestoreV2(
            prefix=file, tensor_names=["w"], shape_and_slices=[""], dtypes=["float32"]
        )
        for part, value in zip(by_node().values(), compat.split(whole, 2, axis=1)):
            raw_ops.Assign(ref=part, value=value)

    prefix, values = save(tmp_path, build, edit=edit, edit_meta=without_saver_def)
    save_bundle(prefix, {"w": numpy.concatenate([values["left"], values["right"]], axis=1)})
    run_extraction(prefix, out)
    graph = json.loads((out / "graph.json").read_text("utf-8"))
    [variable] = graph["variables"]
    assert (variable["role"], variable["partitions"]) == (
        "kernel",
        {"axis": 1, "names": ["left", "right"]},
    )


def test_initialising_from_another_checkpoint_names_no_keys(
    tmp_path, out, run_extraction, save_bundle
):
    """What tf.train.init_from_checkpoint reads are names of another file."""
    other = save_bundle(tmp_path / "model", {"b": numpy.ones((6, 6), "float32")})

    def build():
        network()
        compat.train.init_from_checkpoint(other, {"b": "a"})

    prefix, _ = save(tmp_path, build, edit_meta=without_saver_def)
    save_bundle(prefix, {"b": numpy.ones((6, 6), "float32"), "c": numpy.ones((6, 3), "float32")})
    outcome = run_extraction(prefix, out)
    graph = json.loads((out / "graph.json").read_text("utf-8"))
    assert [one["variable"] for one in graph["missing"]] == ["a"]
    assert [layer["variables"] for layer in graph["layers"]] == [{"kernel": "b"}, {"kernel": "c"}]
    assert any("not in the checkpoint: 'a'." in text for text in outcome.warnings)


UNIFORM = [
    pytest.param("", lambda name: "old/" + name, "have 'old/' in front", id="prefix"),
    pytest.param("m/n/", lambda name: name[4:], "lack 'm/n/' at the front", id="prefix-less"),
    pytest.param("", lambda name: name + ":0", "have ':0' behind", id="output"),
    pytest.param(
        "m/",
        lambda name: f"net/{name[2:]}:0",
        "lack 'm/' at the front and have 'net/' in front and have ':0' behind",
        id="another-prefix-and-output",
    ),
]


def save_elsewhere(folder, save_bundle, scope, change, more=None):
    """A graph without any Saver, and beside it a checkpoint of another program."""
    prefix, values = save(folder, lambda: network(scope), edit_meta=both)
    meta = compat.MetaGraphDef()
    with open(prefix + ".meta", "rb") as file:
        meta.ParseFromString(file.read())
    kept = [node for node in meta.graph_def.node if not node.name.startswith("save/")]
    del meta.graph_def.node[:]
    meta.graph_def.node.extend(kept)
    with open(prefix + ".meta", "wb") as file:
        file.write(meta.SerializeToString())
    save_bundle(prefix, {**{change(name): value for name, value in values.items()}, **(more or {})})
    return prefix, values


@pytest.mark.parametrize(("scope", "change", "words"), UNIFORM)
def test_one_difference_of_all_names_is_seen_and_said(
    tmp_path, out, run_extraction, save_bundle, scope, change, words
):
    step = {"global_step" + (":0" if ":0" in words else ""): numpy.int64(7)}
    prefix, values = save_elsewhere(tmp_path, save_bundle, scope, change, step)
    outcome, graph, reference = extract(run_extraction, prefix, out)
    assert any(f"they {words}. All 3 variables" in text for text in outcome.warnings)
    check_values(graph, reference, values.values())


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"old/c": numpy.ones((6, 4), "float32")}, id="another-shape"),
        pytest.param({"old/c": numpy.ones((6, 3), "float64")}, id="another-type"),
    ],
)
def test_a_difference_that_leaves_a_variable_over_is_not_believed(
    tmp_path, out, run_extraction, save_bundle, more
):
    prefix, _ = save_elsewhere(tmp_path, save_bundle, "", lambda name: "old/" + name, more)
    outcome = run_extraction(prefix, out)
    assert not any("names" in text and "All" in text for text in outcome.warnings)
    graph = json.loads((out / "graph.json").read_text("utf-8"))
    assert graph["layers"] == []


def test_two_towers_that_both_fit_are_left_alone(tmp_path, out, run_extraction, save_bundle):
    def build():
        for tower in ("one/", "two/"):
            network(tower)

    prefix, values = save(tmp_path, build, edit_meta=both)
    save_bundle(prefix, {f"net/{name}": values[f"one/{name}"] for name in SIZES})
    run_extraction(prefix, out)
    assert json.loads((out / "graph.json").read_text("utf-8"))["layers"] == []


def in_containers():
    """Resource variables, each in a container of its own."""
    net = compat.placeholder("float32", [None, 6], name="x")
    for name, size in SIZES.items():
        with compat.get_default_graph().container(f"of_{name}"):
            kernel = compat.get_variable(name, size, use_resource=True)
        net = compat.matmul(net, kernel, name=f"by_{name}")
    compat.identity(net, name="out")


def without_collections(meta):
    """As object-detection programs export: the graph's nodes alone tell of the variables."""
    for name in list(meta.collection_def):
        del meta.collection_def[name]


@pytest.mark.parametrize(
    ("build", "edit_meta"),
    [
        pytest.param(in_containers, None, id="resources-in-containers"),
        pytest.param(network, without_collections, id="no-collections"),
        pytest.param(in_containers, without_collections, id="resources-without-collections"),
    ],
)
def test_variables_are_found_by_the_nodes_alone(tmp_path, out, run_extraction, build, edit_meta):
    prefix, values = save(tmp_path, build, edit_meta=edit_meta)
    outcome, graph, reference = extract(run_extraction, prefix, out)
    check_values(graph, reference, [values[name] for name in SIZES])
    assert outcome.result["variables"] == 3
    told = {one["trainable"] for one in graph["variables"]}
    assert told == ({None} if edit_meta else {True})
