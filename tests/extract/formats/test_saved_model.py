"""SavedModels that TensorFlow 1.15 wrote, in each of the ways in which people write them."""

from __future__ import annotations

import shutil

import numpy
import pytest
import tensorflow
from google.protobuf import text_format
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.eager import context

compat = tensorflow.compat.v1
signatures = compat.saved_model.signature_def_utils


def network(x, name="net", units=3):
    with compat.variable_scope(name, reuse=compat.AUTO_REUSE):
        hidden = compat.nn.relu(compat.layers.dense(x, 5, name="hidden"))
        return compat.layers.dense(hidden, units, name="scores")


def values_of(session):
    return dict(
        zip([v.op.name for v in compat.global_variables()], session.run(compat.global_variables()))
    )


class Maker:
    """Writes SavedModels into a folder, and remembers the values of their variables."""

    def __init__(self, folder):
        self.folder = folder / "saved"
        self.values = {}

    def simple(self):
        """tf.saved_model.simple_save, with a switch among the inputs as many have it."""
        with compat.Graph().as_default(), compat.Session() as session:
            x = compat.placeholder("float32", [None, 4], name="x")
            training = compat.placeholder("bool", [], name="is_training")
            y = compat.layers.dropout(network(x), training=training)
            session.run(compat.global_variables_initializer())
            self.values = values_of(session)
            compat.saved_model.simple_save(
                session, str(self.folder), {"x": x, "train": training}, {"y": y}
            )
        return self.folder

    def built(self, *graphs, **options):
        """The builder: one graph for each (tags, signature name -> method)."""
        builder = compat.saved_model.Builder(str(self.folder))
        for at, (tags, methods) in enumerate(graphs):
            with compat.Graph().as_default(), compat.Session() as session:
                signed = self._signed(methods, units=3 + at)
                session.run(compat.global_variables_initializer())
                if at == 0:
                    self.values = values_of(session)
                    builder.add_meta_graph_and_variables(session, tags, signed, **options)
                else:
                    builder.add_meta_graph(tags, signed, **options)
        builder.save()
        return self.folder

    def _signed(self, methods, units):
        records = compat.placeholder("string", [None], name="records")
        features = {"x": compat.FixedLenFeature([4], "float32")}
        x = compat.identity(compat.parse_example(records, features)["x"], name="x")
        y = network(x, units=units)
        classes = signatures.classification_signature_def
        made = {
            "predict": lambda: signatures.predict_signature_def({"x": x}, {"y": y}),
            "regress": lambda: signatures.regression_signature_def(records, y),
            "classify": lambda: classes(records, compat.as_string(y), y),
        }
        signed = {name: made[method.partition(" ")[0]]() for name, method in methods.items()}
        for name, method in methods.items():
            if method.endswith(" of nothing"):
                signed[name].outputs["y"].name = "nowhere:0"
        return signed

    def as_text(self):
        """The same with saved_model.pbtxt."""
        path = self.folder / "saved_model.pb"
        message = SavedModel.FromString(path.read_bytes())
        (self.folder / "saved_model.pbtxt").write_text(
            "# a comment\n" + text_format.MessageToString(message), "utf-8"
        )
        path.unlink()


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert found[name].tobytes() == value.tobytes(), name


@pytest.mark.parametrize("text", [False, True], ids=["bytes", "text"])
@pytest.mark.parametrize(
    "given",
    ["", "FILE", "variables", "variables/variables", "variables/variables.index"],
    ids=["folder", "file", "variables-folder", "prefix", "index"],
)
def test_whatever_part_is_given(maker, exported, given, text):
    folder = maker.simple()
    if text:
        maker.as_text()
    name = "saved_model.pbtxt" if text else "saved_model.pb"
    export = exported(folder / given.replace("FILE", name))
    assert_same(export.variables, maker.values)
    source = export.graph["source"]
    assert (source["checkpoint_format"], source["graph"]) == ("SavedModel", "saved_model")
    assert (export.inputs, export.outputs) == (["x:0"], ["dropout/cond/Merge:0"])
    assert [one["tensor"] for one in export.graph["switches"]] == ["is_training:0"]


def test_the_reference_is_what_tensorflow_restores(maker, exported):
    export = exported(maker.simple(), reference=True)
    assert export.graph["reference"]["state"] == "recorded"
    with compat.Graph().as_default(), compat.Session() as session:
        compat.saved_model.load(session, ["serve"], str(maker.folder))
        feeds = {"x:0": export.reference["x:0"], "is_training:0": False}
        expected = session.run("dropout/cond/Merge:0", feeds)
    numpy.testing.assert_allclose(export.reference["dropout/cond/Merge:0"], expected, 1e-5)


# What each signature names, seen past the records that it parses.
@pytest.mark.parametrize(
    ("methods", "wanted", "inputs", "said"),
    [
        pytest.param(
            {"serving_default": "predict", "a": "regress"}, None, ["x:0"], "", id="default"
        ),
        pytest.param({"only": "regress"}, None, ["ParseExample/ParseExample:0"], "", id="only-one"),
        pytest.param(
            {"b": "predict", "a": "classify"},
            None,
            ["ParseExample/ParseExample:0"],
            "'a' says what the inputs and outputs are",
            id="first-by-name",
        ),
        pytest.param({"b": "predict", "a": "classify"}, "b", ["x:0"], "", id="named"),
        pytest.param(
            {"serving_default": "predict of nothing"},
            None,
            ["x:0"],
            "calls 'nowhere:0' its output 'y', but the graph has no such tensor",
            id="tensor-missing",
        ),
    ],
)
def test_signatures(maker, exported, methods, wanted, inputs, said):
    export = exported(maker.built((["serve"], methods)), signature=wanted)
    assert export.outputs == ["net/scores/BiasAdd:0"]
    assert export.inputs == inputs
    told = [text for text in export.warnings if "signature" in text]
    assert (len(told) == 1 and said in told[0]) if said else not told
    assert_same(export.variables, maker.values)


# Graphs by their tags, and the number of units by which the test knows them.
@pytest.mark.parametrize(
    ("known", "wanted", "units", "said"),
    [
        pytest.param([["train"]], [], 3, "", id="single-whatever-its-tag"),
        pytest.param([["train"], ["serve"]], [], 4, "tagged serve is read", id="serve-of-two"),
        pytest.param([["serve", "gpu"], ["serve"]], [], 4, "names another: gpu,serve", id="exact"),
        pytest.param([["train"], []], [], 4, "tagged (nothing) is read", id="module-of-hub"),
        pytest.param([["serve"], ["train"]], ["train"], 4, "", id="named"),
        pytest.param([["serve"], ["serve", "gpu"]], ["gpu", "serve"], 4, "", id="all-tags-named"),
    ],
)
def test_tags(maker, exported, known, wanted, units, said):
    folder = maker.built(*((tags, {"serving_default": "predict"}) for tags in known))
    export = exported(folder, tags=wanted)
    scores = [one for one in export.graph["nodes"] if one["op"] == "VariableV2"]
    assert scores, "the graph has variables"
    shapes = [one["attributes"].get("shape") for one in scores if one["name"] == "net/scores/bias"]
    assert shapes == [[units]]
    told = [text for text in export.warnings if "graphs" in text]
    assert (len(told) == 1 and said in told[0]) if said else not told


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        pytest.param({}, "AmbiguousCheckpoint", ["train; eval", "--tags"], id="two-for-training"),
        pytest.param(
            {"tags": ["serve"]}, "EndpointNotFound", ["serve", "train; eval"], id="unknown-tag"
        ),
        pytest.param(
            {"tags": ["eval"], "signature": "x"},
            "EndpointNotFound",
            ["'x'", "'first'"],
            id="no-such-signature",
        ),
    ],
)
def test_what_is_not_there_is_told(maker, out, run_extraction, options, error, words):
    folder = maker.built((["train"], {"first": "predict"}), (["eval"], {"'first'": "predict"}))
    found = run_extraction(folder, out, **options).error
    assert found["class"] == error
    for word in words:
        assert word in found["happened"] + found["expected"] + found["remedy"]


def test_assets_and_what_runs_at_loading_are_told(tmp_path, maker, exported):
    (tmp_path / "words.txt").write_text("a\nb\n", "utf-8")
    builder = compat.saved_model.Builder(str(maker.folder))
    with compat.Graph().as_default(), compat.Session() as session:
        path = compat.constant(str(tmp_path / "words.txt"))
        compat.add_to_collection(compat.GraphKeys.ASSET_FILEPATHS, path)
        network(compat.placeholder("float32", [None, 4]))
        session.run(compat.global_variables_initializer())
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            assets_collection=compat.get_collection(compat.GraphKeys.ASSET_FILEPATHS),
            legacy_init_op=compat.group(compat.constant(1.0, name="words"), name="fill_tables"),
        )
        builder.save()
    warnings = exported(maker.folder).warnings
    assert any("'words.txt'" in text for text in warnings)
    assert any("'fill_tables'" in text for text in warnings)


def test_default_attributes_may_be_stripped(maker, exported):
    export = exported(
        maker.built((["serve"], {"serving_default": "predict"}), strip_default_attrs=True),
        reference=True,
    )
    assert export.graph["reference"]["state"] == "recorded"
    assert [layer["kind"] for layer in export.graph["layers"]] == ["dense", "dense"]


def of_keras(folder):
    """tf.keras.experimental.export_saved_model, which wraps a builder."""
    keras = tensorflow.keras
    with compat.Graph().as_default(), compat.Session().as_default() as session:
        layers = [keras.layers.Dense(5, input_shape=(4,), name="hidden"), keras.layers.Dense(3)]
        model = keras.Sequential(layers)
        keras.experimental.export_saved_model(model, str(folder))
        values = values_of(session)
    return folder, {name: values[name] for name in values if "Adam" not in name}


def of_objects(folder):
    """tf.saved_model.save: functions in the graph, object-based keys in the checkpoint."""
    with context.eager_mode():
        module = tensorflow.Module()
        module.kernel = tensorflow.Variable(
            numpy.arange(12.0, dtype="f").reshape(4, 3), name="kernel"
        )
        module.bias = tensorflow.Variable([1.0, 2.0, 3.0], name="bias")
        spec = tensorflow.TensorSpec([None, 4], "float32", name="x")
        module.run = tensorflow.function(
            lambda x: {"y": x @ module.kernel + module.bias}, input_signature=[spec]
        )
        tensorflow.saved_model.save(module, str(folder), signatures=module.run)
        return folder, {"kernel": module.kernel.numpy(), "bias": module.bias.numpy()}


def of_estimator(folder):
    """An estimator's export, whose default signature takes records and gives names of classes."""

    def model(features, labels, mode):
        scores = compat.nn.softmax(network(features["x"]))
        classes = compat.as_string(compat.argmax(scores, 1))
        outputs = {
            "serving_default": tensorflow.estimator.export.ClassificationOutput(scores, classes)
        }
        step = compat.train.get_or_create_global_step()
        return tensorflow.estimator.EstimatorSpec(
            mode,
            predictions=scores,
            loss=compat.constant(0.0),
            train_op=compat.assign_add(step, 1),
            export_outputs=outputs,
        )

    def batch():
        return {"x": compat.ones([2, 4])}, compat.ones([2])

    estimator = tensorflow.estimator.Estimator(model, str(folder / "trained"))
    estimator.train(batch, steps=1)
    receiver = tensorflow.estimator.export.build_parsing_serving_input_receiver_fn(
        {"x": compat.FixedLenFeature([4], "float32")}
    )
    made = estimator.export_saved_model(str(folder), receiver).decode()
    names = [name for name in estimator.get_variable_names() if name != "global_step"]
    return made, {name: estimator.get_variable_value(name) for name in names}


@pytest.mark.parametrize(
    ("write", "inputs", "outputs"),
    [
        pytest.param(of_keras, ["hidden_input:0"], ["dense/BiasAdd:0"], id="keras"),
        pytest.param(
            of_objects, ["serving_default_x:0"], ["StatefulPartitionedCall:0"], id="objects"
        ),
        pytest.param(of_estimator, ["ParseExample/ParseExample:0"], ["Softmax:0"], id="estimator"),
    ],
)
def test_however_it_was_written(tmp_path, exported, write, inputs, outputs):
    folder, values = write(tmp_path / "saved")
    export = exported(folder, reference=True)
    assert_same(export.variables, values)
    assert (export.inputs, export.outputs) == (inputs, outputs)
    assert export.graph["reference"]["state"] == "recorded"
    assert all(layer["kind"] == "dense" for layer in export.graph["layers"])
    assert not any("when it loads" in text for text in export.warnings)


def test_a_frozen_graph_in_a_saved_model(maker, exported):
    with compat.Graph().as_default(), compat.Session() as session:
        network(compat.placeholder("float32", [None, 4], name="x"))
        session.run(compat.global_variables_initializer())
        maker.values = values_of(session)
        frozen = compat.graph_util.convert_variables_to_constants(
            session, session.graph_def, ["net/scores/BiasAdd"]
        )
    with compat.Graph().as_default() as graph, compat.Session() as session:
        tensorflow.import_graph_def(frozen, name="")
        ends = map(graph.get_tensor_by_name, ("x:0", "net/scores/BiasAdd:0"))
        compat.saved_model.simple_save(session, str(maker.folder), *({"a": one} for one in ends))
    export = exported(maker.folder, reference=True)
    assert_same(export.variables, maker.values)
    assert (export.inputs, export.outputs) == (["x:0"], ["net/scores/BiasAdd:0"])
    assert export.graph["reference"]["state"] == "recorded"
    source = export.graph["source"]
    assert (source["checkpoint_format"], source["graph"]) == ("SavedModel", "saved_model")


def test_variables_that_are_gone(maker, out, run_extraction):
    folder = maker.simple()
    shutil.rmtree(str(folder / "variables"))
    found = run_extraction(folder, out).error
    assert (found["class"], found["exit_code"]) == ("DataFileMissing", 31)
    assert "variables.index" in found["happened"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        pytest.param(b"", "TruncatedData", id="empty"),
        pytest.param(b"\x08\x01\x12\x7f\x0a\x02", "CorruptIndex", id="cut-off"),
        pytest.param(b"saved_model_schema_version: x", "CorruptIndex", id="no-text-format"),
        pytest.param(
            b"version https://git-lfs.github.com/spec/v1\n", "GitLfsPointer", id="git-lfs"
        ),
    ],
)
def test_a_damaged_file(maker, out, run_extraction, content, error):
    folder = maker.simple()
    (folder / "saved_model.pb").write_bytes(content)
    assert run_extraction(folder, out).error["class"] == error


def test_a_folder_of_versions_names_them(tmp_path, maker, out, run_extraction):
    shutil.move(str(maker.simple()), str(tmp_path / "export" / "1571234567"))
    found = run_extraction(tmp_path / "export", out).error
    assert found["class"] == "NoCheckpointFound"
    assert "1571234567" in found["remedy"]


def test_an_inspection_tells_what_else_could_be_chosen(maker, run_extraction):
    methods = {"serving_default": "predict", "classify": "classify"}
    folder = maker.built((["serve"], methods), (["serve", "gpu"], {"other": "predict"}))
    found = run_extraction(folder, command="inspect", signature="classify").result["inspection"]
    assert found["choices"] == [
        {"option": "--tags", "chosen": "serve", "available": ["serve", "gpu,serve"]},
        {
            "option": "--signature",
            "chosen": "classify",
            "available": ["classify", "serving_default"],
        },
    ]
