"""Frozen graphs: which constants were variables, and their values bit for bit."""

from __future__ import annotations

import numpy
import pytest
import tensorflow
from google.protobuf import text_format
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.python.tools.optimize_for_inference_lib import optimize_for_inference
from tensorflow.tools.graph_transforms import TransformGraph

from stage_extract.graph.graphdef import parse_graph
from stage_extract.graph.weights import find_weights

compat = tensorflow.compat.v1
OUTPUT = "scores/BiasAdd"


def classifier(use_resource=False):
    """Convolution without bias, batch norms of three forms, depthwise and dense layers."""
    x = compat.placeholder("float32", [None, 8, 6, 3], name="x")
    with compat.variable_scope("", use_resource=use_resource):
        y = compat.layers.conv2d(x - [0.5, 0.25, 0.125], 5, 3, use_bias=False, name="first")
        y = compat.layers.batch_normalization(y, name="fused")
        kernel = compat.get_variable("depthwise/kernel", [3, 3, 5, 2])
        y = compat.nn.relu(compat.nn.depthwise_conv2d(y, kernel, [1, 1, 1, 1], "SAME"))
        y = compat.layers.batch_normalization(y, fused=False, scale=False, name="formula")
        y = compat.layers.batch_normalization(y, fused=True, scale=False, name="no_gamma")
        y = compat.layers.conv2d(y, 1, 1, name="single")
        y = compat.layers.dense(compat.layers.flatten(y), 4, name="scores")
    return x, y


class Frozen:
    """A network with random values, frozen.

    Attributes:
        plain: the GraphDef as freezing leaves it.
        values: of the variables, by name.
    """

    def __init__(self, build=classifier, output=OUTPUT):
        with compat.Graph().as_default() as graph, compat.Session() as session:
            build()
            session.run(compat.global_variables_initializer())
            random = numpy.random.RandomState(3)
            for variable in compat.global_variables():
                variable.load(random.uniform(0.5, 1, variable.shape).astype("f"), session)
            self.values = {
                variable.op.name: session.run(variable) for variable in compat.global_variables()
            }
            self.plain = compat.graph_util.convert_variables_to_constants(
                session, graph.as_graph_def(), [output]
            )
            self.meta = compat.train.export_meta_graph(graph_def=self.plain, clear_devices=True)

    def optimised(self):
        """What optimize_for_inference makes of it: without read ops."""
        return optimize_for_inference(
            GraphDef.FromString(self.plain.SerializeToString()), ["x"], [OUTPUT], 1
        )

    def transformed(self):
        """The same of transform_graph: without read ops, and what follows from constants folded."""
        return TransformGraph(
            self.plain, ["x"], [OUTPUT], ["fold_constants", "remove_nodes(op=Identity)"]
        )


@pytest.fixture(scope="module")
def frozen():
    return Frozen()


def run(graph_def, feeds, tensors):
    with compat.Graph().as_default(), compat.Session() as session:
        tensorflow.import_graph_def(graph_def, name="")
        return session.run(tensors, feeds)


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert found[name].tobytes() == value.tobytes(), name


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("g.pb", lambda one: one.plain.SerializeToString(), id="bytes"),
        pytest.param(
            "g.pbtxt", lambda one: text_format.MessageToString(one.plain).encode(), id="text"
        ),
        pytest.param("graph", lambda one: one.plain.SerializeToString(), id="any-name"),
        pytest.param("g.pb", lambda one: one.meta.SerializeToString(), id="meta-graph"),
        pytest.param(
            "g.pb",
            lambda one: text_format.MessageToString(one.meta).encode(),
            id="meta-graph-text",
        ),
    ],
)
@pytest.mark.parametrize("given", ["folder", "file"])
def test_variables_come_back_under_their_names(tmp_path, frozen, exported, name, content, given):
    (tmp_path / name).write_bytes(content(frozen))
    export = exported(tmp_path / name if given == "file" else tmp_path)
    assert_same(export.variables, frozen.values)
    assert (export.inputs, export.outputs) == (["x:0"], [OUTPUT + ":0"])
    source = export.graph["source"]
    assert (source["checkpoint_format"], source["graph"]) == ("frozen graph", "frozen_graph")
    assert not export.warnings


def test_resource_variables(tmp_path, exported):
    resources = Frozen(lambda: classifier(use_resource=True))
    (tmp_path / "g.pb").write_bytes(resources.plain.SerializeToString())
    assert_same(exported(tmp_path).variables, resources.values)


def test_layers_are_those_of_the_checkpoint(tmp_path, frozen, exported, out, run_extraction):
    (tmp_path / "g.pb").write_bytes(frozen.plain.SerializeToString())
    layers = [(one["kind"], one["variables"]) for one in exported(tmp_path).graph["layers"]]
    assert [kind for kind, _ in layers] == [
        "conv2d", "batch_norm", "depthwise_conv2d", "batch_norm", "batch_norm", "conv2d", "dense",
    ]  # fmt: skip
    statistics = {
        "moving_mean": "formula/moving_mean",
        "moving_variance": "formula/moving_variance",
    }
    assert layers[3][1] == {"beta": "formula/beta", **statistics}
    # TensorFlow writes a constant of ones where there is no gamma.
    assert "gamma" not in layers[4][1]


def test_the_reference_is_the_run_of_the_graph_as_it_was_saved(tmp_path, frozen, exported):
    (tmp_path / "g.pb").write_bytes(frozen.plain.SerializeToString())
    export = exported(tmp_path, reference=True)
    assert export.graph["reference"]["state"] == "recorded"
    assert sum(one["recorded"] for one in export.graph["reference"]["layers"]) >= 7
    expected = run(frozen.plain, {"x:0": export.reference["x:0"]}, OUTPUT + ":0")
    found = export.reference[OUTPUT + ":0"]
    numpy.testing.assert_allclose(found, expected, 1e-4, 1e-5 * numpy.abs(expected).max())


def test_without_read_ops(tmp_path, frozen, exported):
    optimised = frozen.optimised()
    assert not any(node.op == "Identity" for node in optimised.node)
    (tmp_path / "g.pb").write_bytes(optimised.SerializeToString())
    variables = exported(tmp_path).variables
    # Its batch norms are folded into convolutions; the author's constant cannot be told any more.
    assert {"scores/kernel", "scores/bias", "single/bias", "depthwise/kernel"} <= set(variables)
    assert variables["scores/kernel"].tobytes() == frozen.values["scores/kernel"].tobytes()


def test_folded_constants_are_variables(tmp_path, frozen, exported):
    (tmp_path / "g.pb").write_bytes(frozen.transformed().SerializeToString())
    export = exported(tmp_path, reference=True)
    gamma = 1 / numpy.sqrt(frozen.values["formula/moving_variance"] + numpy.float32(1e-3))
    folded = [one for one in export.variables.values() if one.shape == gamma.shape]
    assert any(numpy.allclose(one, gamma, 1e-6) for one in folded)
    assert export.graph["reference"]["state"] == "recorded"


def lstm():
    x = compat.placeholder("float32", [2, 5, 3], name="x")
    cell = compat.nn.rnn_cell.LSTMCell(4, use_peepholes=True)
    steps = compat.nn.dynamic_rnn(cell, x, dtype="float32")[0]
    compat.identity(compat.layers.dense(steps, 6), name="out")


def shared_table():
    x = compat.placeholder("int32", [None, 5], name="x")
    table = compat.get_variable("table", [11, 4])
    words = compat.nn.embedding_lookup(table, x) * compat.get_variable("scale", [])
    compat.reshape(compat.tensordot(words, table, [[2], [1]]), [-1, 55], name="out")


def normalised_weight():
    x = compat.placeholder("float32", [None, 3], name="x")
    v, g = compat.get_variable("v", [3, 4]), compat.get_variable("g", [4])
    compat.matmul(x, g * compat.nn.l2_normalize(v, 0), name="out")


def under_a_condition():
    x = compat.placeholder("float32", [None, 3], name="x")
    training = compat.placeholder_with_default(False, [], name="training")
    w = compat.get_variable("w", [3, 4])
    y = compat.cond(training, lambda: compat.matmul(2 * x, w), lambda: compat.matmul(x, w))
    compat.identity(y, name="out")


@pytest.mark.parametrize(
    "build",
    [lstm, shared_table, normalised_weight, under_a_condition],
    ids=lambda one: one.__name__,
)
def test_what_a_network_reads_in_its_own_way(tmp_path, exported, build):
    made = Frozen(build, "out")
    (tmp_path / "g.pb").write_bytes(made.plain.SerializeToString())
    export = exported(tmp_path, reference=True)
    originals = {name: export.variables[name] for name in made.values}
    assert_same(originals, made.values)
    # A normalised weight is computed once more, as from a checkpoint.
    assert set(export.variables) - set(made.values) <= {"mul"}
    assert export.graph["reference"]["state"] == "recorded"


def constant(name, *shape):
    return compat.constant(numpy.random.RandomState(1).uniform(0, 1, shape).astype("f"), name=name)


def read(tensor):
    return compat.identity(tensor, name=tensor.op.name + "/read")


def images():
    return compat.placeholder("float32", [None, 7, 7, 3], name="x")


# Each case builds a graph of constants; the names of those that are weights.
CONSTANTS = {
    "filter": (lambda: compat.nn.conv2d(images(), constant("w", 3, 3, 3, 2), 1, "SAME"), {"w"}),
    "depthwise": (
        lambda: compat.nn.depthwise_conv2d(images(), constant("w", 3, 3, 3, 2), [1] * 4, "SAME"),
        {"w"},
    ),
    "transposed": (
        lambda: compat.nn.conv2d_transpose(
            images(), constant("w", 3, 3, 2, 3), [1, 7, 7, 2], [1] * 4
        ),
        {"w"},
    ),
    "dilated": (
        lambda: compat.nn.convolution(
            images(), constant("w", 3, 3, 3, 2), "SAME", dilation_rate=[2, 2]
        ),
        {"w"},
    ),
    "pooling-of-constant-images": (
        lambda: compat.nn.conv2d(
            constant("zeros", 1, 4, 4, 3), constant("w", 3, 3, 3, 2), 1, "SAME"
        ),
        {"w"},
    ),
    "paddings": (lambda: compat.pad(images(), [[0, 0], [1, 1], [2, 2], [0, 0]]), set()),
    "bias-of-one": (lambda: compat.nn.bias_add(images()[..., :1], constant("b", 1)), {"b"}),
    "left-factor": (
        lambda: compat.matmul(constant("w", 4, 5), compat.placeholder("float32", [5, 2])),
        {"w"},
    ),
    "batch-of-factors": (
        lambda: compat.matmul(compat.placeholder("float32", [6, 2, 5]), constant("w", 6, 5, 4)),
        {"w"},
    ),
    "table": (
        lambda: compat.gather(constant("table", 9, 4), compat.placeholder("int32", [None])),
        {"table"},
    ),
    "rows-of-data": (lambda: compat.gather(images(), [0, 2], axis=3), set()),
    "cast": (
        lambda: compat.matmul(
            compat.placeholder("float32", [None, 5]),
            compat.cast(compat.constant(numpy.ones([5, 4], "float16"), name="half"), "float32"),
        ),
        {"half"},
    ),
    "scaled-whole-numbers": (
        lambda: compat.matmul(
            compat.placeholder("float32", [None, 5]),
            0.1 * compat.cast(compat.constant(numpy.ones([5, 4], "int8"), name="whole"), "float32"),
        ),
        {"whole"},
    ),
    "arithmetic-without-read-ops": (
        lambda: (images() * constant("scale", 3) + constant("offset", 3)) / 255.0,
        {"scale", "offset"},
    ),
    "arithmetic-beside-read-ops": (
        lambda: (images() - constant("mean", 3)) * read(constant("scale", 3)),
        {"scale"},
    ),
    "scalar-through-its-read-op": (lambda: images() * read(constant("w")), {"w"}),
    "scalar-without": (lambda: images() * constant("w"), set()),
    "joined": (
        lambda: compat.concat([images()[0, 0, :, :2], read(constant("w", 1, 2))], 0),
        {"w"},
    ),
    "default-of-a-placeholder": (
        lambda: images() * compat.placeholder_with_default(read(constant("rate", 1)), [1]),
        set(),
    ),
    "rearranged-by-constants": (
        lambda: compat.matmul(
            compat.placeholder("float32", [None, 6]),
            compat.transpose(compat.reshape(read(constant("w", 4, 2, 3)), [4, 6])),
        ),
        {"w"},
    ),
    "fake-quantised": (
        lambda: compat.nn.conv2d(
            images(),
            tensorflow.quantization.fake_quant_with_min_max_vars(
                read(constant("w", 3, 3, 3, 2)), read(constant("low")), read(constant("high"))
            ),
            1,
            "SAME",
        ),
        {"w", "low", "high"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_that_are_weights(name):
    build, expected = CONSTANTS[name]
    with compat.Graph().as_default() as graph:
        build()
    assert set(find_weights(parse_graph(graph.as_graph_def())).names) == expected


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("is_list", [False, True], ids=["content", "list"])
def test_values_of_every_type(tmp_path, exported, dtype, is_list):
    as_numpy = tensorflow.as_dtype(dtype).as_numpy_dtype
    values = numpy.linspace(-3, 1e3, 20).astype(as_numpy).reshape(4, 5)
    if is_list:
        # The last value stands for those that are left out.
        values[2:] = values[1, 4]
    with compat.Graph().as_default() as graph:
        compat.matmul(compat.placeholder(dtype, [None, 4]), compat.constant(values, name="w"))
        proto = graph.as_graph_def()
    tensor = next(node for node in proto.node if node.name == "w").attr["value"].tensor
    if is_list:
        listed = values.reshape(-1)[:10]
        tensor.tensor_content = b""
        bits = listed.view("uint16") if values.itemsize == 2 else listed
        field = {2: tensor.half_val, 4: tensor.float_val, 8: tensor.double_val}[values.itemsize]
        del field[:]
        field.extend(bits.tolist())
    (tmp_path / "g.pb").write_bytes(proto.SerializeToString())
    found = exported(tmp_path).variables["w"]
    assert found.tobytes() == values.tobytes()
    assert found.shape == (4, 5)


def lying(change):
    """A graph whose constant says another thing than it holds."""
    with compat.Graph().as_default() as graph:
        compat.matmul(compat.placeholder("float32", [None, 4]), constant("w", 4, 5))
        proto = graph.as_graph_def()
    change(next(node for node in proto.node if node.name == "w").attr["value"].tensor)
    return proto.SerializeToString()


def _resize(tensor, *sizes):
    for dim, size in zip(tensor.tensor_shape.dim, sizes):
        dim.size = size


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda one: _resize(one, 4, 6), "80 bytes for 96", id="too-short"),
        pytest.param(lambda one: _resize(one, 4, 4), "80 bytes for 64", id="too-long"),
        pytest.param(lambda one: _resize(one, 2**60, 5), "would have", id="absurd-size"),
        pytest.param(lambda one: _resize(one, -1, 5), "[None, 5]", id="unknown-size"),
        pytest.param(
            lambda one: (one.ClearField("tensor_content"), one.float_val.extend([1.0] * 21)),
            "84 bytes for 80",
            id="list-too-long",
        ),
    ],
)
def test_a_constant_that_contradicts_itself(tmp_path, out, run_extraction, change, words):
    (tmp_path / "g.pb").write_bytes(lying(change))
    found = run_extraction(tmp_path, out).error
    assert (found["class"], found["exit_code"]) == ("CorruptIndex", 43)
    assert "'w'" in found["happened"]
    assert words in found["happened"]
    assert not list(out.iterdir())


def test_more_than_64_megabytes(tmp_path, exported):
    values = numpy.arange(17 * 2**20, dtype="f").reshape(17, -1)
    with compat.Graph().as_default() as graph:
        compat.matmul(compat.placeholder("float32", [None, 17]), compat.constant(values, name="w"))
        (tmp_path / "g.pb").write_bytes(graph.as_graph_def().SerializeToString())
    assert exported(tmp_path).variables["w"].tobytes() == values.tobytes()


def unfrozen():
    with compat.Graph().as_default() as graph:
        classifier()
        return graph.as_graph_def()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(
            lambda: unfrozen().SerializeToString(), "its 16 variables (first", id="unfrozen"
        ),
        pytest.param(
            lambda: text_format.MessageToString(unfrozen()).encode(),
            "without weights",
            id="as-text",
        ),
    ],
)
def test_a_graph_without_weights(tmp_path, out, run_extraction, content, words):
    (tmp_path / "graph.pbtxt").write_bytes(content())
    found = run_extraction(tmp_path, out).error
    assert (found["class"], found["exit_code"]) == ("NotTensorFlow", 35)
    assert words in found["happened"]
    assert "checkpoint" in found["remedy"]


def test_several_graphs_in_a_folder(tmp_path, frozen, out, run_extraction, exported):
    for name in ("a.pb", "b.pb"):
        (tmp_path / name).write_bytes(frozen.plain.SerializeToString())
    found = run_extraction(tmp_path, out).error
    assert found["class"] == "AmbiguousCheckpoint"
    assert "a.pb" in found["happened"]
    assert_same(exported(tmp_path / "b.pb").variables, frozen.values)


def test_a_text_beside_the_bytes_is_the_same_graph(tmp_path, frozen, exported):
    (tmp_path / "g.pb").write_bytes(frozen.plain.SerializeToString())
    (tmp_path / "graph.pbtxt").write_text(text_format.MessageToString(unfrozen()), "utf-8")
    assert_same(exported(tmp_path).variables, frozen.values)


def test_quantised_weights_are_told(tmp_path, frozen, exported):
    quantised = TransformGraph(frozen.plain, ["x"], [OUTPUT], ["quantize_weights(minimum_size=30)"])
    (tmp_path / "g.pb").write_bytes(quantised.SerializeToString())
    export = exported(tmp_path)
    assert any("quantised weights" in text for text in export.warnings)
    assert "scores/bias" in export.variables


def test_a_damaged_file(tmp_path, frozen, out, run_extraction):
    (tmp_path / "g.pb").write_bytes(frozen.plain.SerializeToString()[:-20])
    assert run_extraction(tmp_path, out).error["class"] == "CorruptIndex"
