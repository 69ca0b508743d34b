"""Functions and control flow v2: described as plain nodes, and computed as TensorFlow does."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List, Sequence

import numpy
import pytest
import tensorflow as tf
from tensorflow.python.framework import function

from tests.extract.graph.graph_case import kinds
from tests.extract.saved_graph import extract

v1 = tf.compat.v1


@pytest.fixture
def version_2() -> Iterator[None]:
    """tf.cond and tf.while_loop make If and While."""
    v1.enable_control_flow_v2()
    v1.enable_resource_variables()
    yield
    v1.disable_resource_variables()
    v1.disable_control_flow_v2()


@pytest.fixture(params=["reference", "resource"])
def kind_of_variable(request: Any) -> Iterator[None]:
    """Variables are those of TensorFlow 1, or handles of resources."""
    if request.param == "resource":
        v1.enable_resource_variables()
    yield
    v1.disable_resource_variables()


def weights(name: str, *sizes: int) -> Any:
    return v1.get_variable(name, sizes)


def image() -> Any:
    return v1.placeholder("float32", [None, 4, 6, 3], name="x")


def rows(features: int = 5) -> Any:
    return v1.placeholder("float32", [None, features], name="x")


def training() -> Any:
    return v1.placeholder("bool", [], name="is_training")


def scores(tensor: Any) -> None:
    v1.layers.dense(v1.layers.flatten(tensor), 7, name="scores")


def batch_norm_of_keras_in_branches() -> None:
    norm = tf.keras.layers.BatchNormalization(name="norm")
    hidden = v1.layers.conv2d(image(), 5, 3, name="conv")
    is_training = training()
    scores(tf.cond(is_training, lambda: norm(hidden, training=True), lambda: norm(hidden, False)))


def batch_norm_with_a_flag() -> None:
    hidden = v1.layers.conv2d(image(), 5, 3, name="conv")
    scores(v1.layers.batch_normalization(hidden, training=training(), name="norm"))


def whole_layers_in_branches() -> None:
    x, is_training = rows(), training()

    def made(name: str) -> Callable[[], Any]:
        return lambda: tf.nn.relu(x @ weights(name, 5, 4))

    scores(tf.cond(is_training, made("train"), made("infer")))


def nested_branches() -> None:
    x, is_training = rows(), training()
    kernel = weights("kernel", 5, 4)

    def inner() -> Any:
        return tf.cond(tf.reduce_sum(x) > 1e6, lambda: x[:, :4] * 2.0, lambda: x @ kernel)

    scores(tf.cond(is_training, lambda: x[:, :4] + 1.0, inner))


def a_branch_that_reads_nothing() -> None:
    x, is_training = rows(), training()
    factor = tf.cond(is_training, lambda: tf.constant(0.5), lambda: tf.constant(2.0))
    scores(x * factor)


def a_kernel_in_a_loop() -> None:
    x = rows()
    kernel = weights("kernel", 5, 5)
    looped = tf.while_loop(
        lambda turn, _: turn < 3, lambda turn, h: (turn + 1, tf.tanh(h @ kernel)), [0, x]
    )
    scores(looped[1])


def a_branch_in_a_loop() -> None:
    x = rows()
    kernel = weights("kernel", 5, 5)

    def step(turn: Any, h: Any) -> Any:
        return turn + 1, tf.cond(turn < 1, lambda: tf.tanh(h @ kernel), lambda: h + 1.0)

    scores(tf.while_loop(lambda turn, _: turn < 3, step, [0, x])[1])


def a_loop_in_a_loop_in_a_branch() -> None:
    x, is_training = rows(), training()
    kernel = weights("kernel", 5, 5)

    def inner(h: Any) -> Any:
        turn = tf.while_loop(lambda k, _: k < 2, lambda k, g: (k + 1, tf.tanh(g @ kernel)), [0, h])
        return turn[1]

    def outer() -> Any:
        return tf.while_loop(lambda k, _: k < 2, lambda k, h: (k + 1, inner(h) + 0.5), [0, x])[1]

    scores(tf.cond(is_training, lambda: x, outer))


def values_that_change_places() -> None:
    x = rows()
    swapped = tf.while_loop(
        lambda turn, a, b: turn < 3, lambda turn, a, b: (turn + 1, b, a), [0, x, x * 2.0]
    )
    scores(swapped[1])


def a_function() -> None:
    x, kernel = rows(), weights("kernel", 5, 4)

    @tf.function
    def layer(data: Any) -> Any:
        return tf.nn.relu(data @ kernel)

    scores(tf.reshape(layer(x), [-1, 4]))


def a_function_with_several_results() -> None:
    x, kernel = rows(), weights("kernel", 5, 4)

    @tf.function
    def layer(data: Any) -> Any:
        made = data @ kernel
        return tf.nn.relu(made), tf.nn.top_k(made, 2).values, made * 9.0

    first, second, _ = layer(x)
    scores(tf.concat([first, second], 1))


def functions_in_functions() -> None:
    x = rows()
    inner_kernel, outer_kernel = weights("inner", 5, 4), weights("outer", 4, 6)

    @tf.function
    def inner(data: Any) -> Any:
        return tf.nn.relu(data @ inner_kernel)

    @tf.function
    def outer(data: Any) -> Any:
        return tf.cond(tf.reduce_sum(data) > 0.0, lambda: inner(data), lambda: inner(-data)) @ (
            outer_kernel
        )

    scores(outer(x))


def a_function_that_calls_one_twice() -> None:
    x, kernel = rows(), weights("kernel", 5, 5)

    @tf.function
    def layer(data: Any) -> Any:
        return tf.tanh(data @ kernel)

    scores(layer(layer(x)))


def a_function_named_as_an_op() -> None:
    @function.Defun(tf.float32, tf.float32)
    def layer(data: Any, kernel: Any) -> Any:
        return tf.nn.relu(tf.matmul(tf.reshape(data, [-1, 5]), tf.reshape(kernel, [5, 4])))

    scores(tf.reshape(layer(rows(), v1.get_variable("kernel", [5, 4])), [-1, 4]))


def a_function_in_an_old_loop() -> None:
    x, kernel = rows(), weights("kernel", 5, 5)

    @tf.function
    def layer(data: Any) -> Any:
        return tf.tanh(data @ kernel) * tf.constant(0.5)

    v1.disable_control_flow_v2()
    looped = tf.while_loop(lambda k, _: k < 3, lambda k, h: (k + 1, layer(h)), [0, x])
    scores(looped[1])


def a_function_in_an_old_branch() -> None:
    x, kernel = rows(), weights("kernel", 5, 5)
    is_training = training()

    @tf.function
    def layer(data: Any) -> Any:
        return tf.tanh(data @ kernel) * tf.constant(0.5)

    v1.disable_control_flow_v2()
    scores(tf.cond(is_training, lambda: x, lambda: layer(x)))


def a_recurrent_cell(cell: Any) -> Callable[[], None]:
    def build() -> None:
        x = v1.placeholder("float32", [None, 6, 3], name="x")
        v1.get_variable_scope().set_use_resource(True)
        outputs, _ = v1.nn.dynamic_rnn(cell(4), x, dtype="float32")
        scores(outputs)

    return build


def a_bidirectional_layer_of_keras() -> None:
    x = v1.placeholder("float32", [None, 6, 3], name="x")
    layer = tf.keras.layers.LSTM(4, recurrent_activation="sigmoid", return_sequences=True)
    scores(tf.keras.layers.Bidirectional(layer)(x))


@pytest.mark.parametrize(
    ("build", "layers"),
    [
        pytest.param(batch_norm_of_keras_in_branches, "conv2d batch_norm dense", id="keras-norm"),
        pytest.param(batch_norm_with_a_flag, "conv2d batch_norm dense", id="norm-with-a-flag"),
        pytest.param(whole_layers_in_branches, "dense dense", id="layers-in-branches"),
        pytest.param(nested_branches, "dense dense", id="nested-branches"),
        pytest.param(a_branch_that_reads_nothing, "dense", id="a-branch-that-reads-nothing"),
        pytest.param(a_kernel_in_a_loop, "other dense", id="a-kernel-in-a-loop"),
        pytest.param(a_branch_in_a_loop, "other dense", id="a-branch-in-a-loop"),
        pytest.param(a_loop_in_a_loop_in_a_branch, "other dense", id="loops-in-a-branch"),
        pytest.param(values_that_change_places, "dense", id="values-that-change-places"),
        pytest.param(a_function, "dense dense", id="a-function"),
        pytest.param(a_function_with_several_results, "dense dense", id="several-results"),
        pytest.param(functions_in_functions, "dense dense dense dense", id="nested-functions"),
        pytest.param(a_function_that_calls_one_twice, "dense dense dense", id="called-twice"),
        pytest.param(a_function_named_as_an_op, "dense dense", id="named-as-an-op"),
        pytest.param(a_function_in_an_old_loop, "other dense", id="in-an-old-loop"),
        pytest.param(a_function_in_an_old_branch, "dense dense", id="in-an-old-branch"),
        pytest.param(a_recurrent_cell(v1.nn.rnn_cell.BasicLSTMCell), "lstm dense", id="lstm"),
        pytest.param(a_recurrent_cell(v1.nn.rnn_cell.GRUCell), "gru dense", id="gru"),
        pytest.param(a_bidirectional_layer_of_keras, "lstm lstm dense", id="bidirectional"),
    ],
)
def test_layers_and_values(build: Callable[[], None], layers: str, version_2: Any, tmp_path: Any):
    extracted = extract(build, tmp_path)
    document = extracted.description.to_json()
    assert (extracted.reference.state, extracted.reference.reason) == ("recorded", None)
    assert extracted.description.warnings == ()
    # What a loop or an untaken branch computes has no value to record; nothing else is missing.
    assert [
        one for one in extracted.reference.warnings if "layer tensors are not in" not in one
    ] == []
    assert kinds(document) == layers.split()
    assert list(extracted.expected) == ["scores/BiasAdd:0"]
    for tensor, value in extracted.expected.items():
        assert numpy.abs(value).max() > 1e-3
        numpy.testing.assert_array_equal(extracted.tensors[tensor], value)


@pytest.mark.parametrize(
    ("build", "layers"),
    [
        pytest.param(batch_norm_with_a_flag, "conv2d batch_norm dense", id="norm-with-a-flag"),
        pytest.param(whole_layers_in_branches, "dense dense", id="layers-in-branches"),
        pytest.param(nested_branches, "dense dense", id="nested-branches"),
        pytest.param(a_branch_in_a_loop, "other dense", id="a-branch-in-a-loop"),
        pytest.param(a_loop_in_a_loop_in_a_branch, "other dense", id="loops-in-a-branch"),
    ],
)
def test_switch_and_merge_before_a_reader(
    build: Callable[[], None], layers: str, kind_of_variable: Any, tmp_path: Any
) -> None:
    """Control flow of TensorFlow 1, with the variables made outside of it and read inside."""
    extracted = extract(build, tmp_path)
    assert (extracted.reference.state, extracted.reference.reason) == ("recorded", None)
    assert kinds(extracted.description.to_json()) == layers.split()
    for tensor, value in extracted.expected.items():
        assert numpy.abs(value).max() > 1e-3
        numpy.testing.assert_allclose(extracted.tensors[tensor], value, rtol=1e-5)


def test_a_loop_of_version_2_is_the_layer_that_one_of_version_1_is(tmp_path: Any) -> None:
    """The same cell, its sequences, state and lengths found under other names."""

    def build() -> None:
        x = v1.placeholder("float32", [None, 6, 3], name="x")
        lengths = v1.placeholder("int32", [None], name="lengths")
        cell = v1.nn.rnn_cell.BasicLSTMCell(4)
        outputs, _ = v1.nn.dynamic_rnn(cell, x, lengths, dtype="float32")
        scores(outputs)

    found = []
    for version in (1, 2):
        if version == 2:
            v1.enable_control_flow_v2()
        folder = tmp_path / str(version)
        folder.mkdir()
        try:
            extracted = extract(build, folder)
        finally:
            v1.disable_control_flow_v2()
        assert extracted.reference.state == "recorded"
        [layer, _] = extracted.description.to_json()["layers"]
        attributes = {
            key: value for key, value in layer["attributes"].items() if not key.startswith("step")
        }
        found.append((layer["input"], layer["output"], attributes))
    for key in ("initial_state", "final_state"):
        assert set(found[0][2].pop(key) or ()) == set(found[1][2].pop(key) or ())
    assert found[0] == found[1]


def graph_of_functions() -> None:
    x = rows()

    @function.Defun(tf.float32, func_name="double")
    def double(data: Any) -> Any:
        return data + data

    @function.Defun(tf.float32, func_name="layer")
    def layer(data: Any) -> Any:
        return double(data) * 3.0

    scores(tf.reshape(layer(x), [-1, 5]))


def functions_of(meta: Any) -> Dict[str, Any]:
    return {one.signature.name: one for one in meta.graph_def.library.function}


def calling_itself(meta: Any) -> None:
    [call] = [one for one in functions_of(meta)["double"].node_def if one.op.startswith("Add")]
    call.op = "double"
    del call.input[1:]


def missing(meta: Any) -> None:
    kept = [one for one in meta.graph_def.library.function if one.signature.name != "layer"]
    call = next(one for one in meta.graph_def.node if one.op == "layer")
    call.op = "PartitionedCall"
    call.attr["f"].func.name = "layer"
    del meta.graph_def.library.function[:]
    meta.graph_def.library.function.extend(kept)


def reading_nothing(meta: Any) -> None:
    functions_of(meta)["layer"].node_def[0].input[:] = ["nobody:out:0"]


def given_too_much(meta: Any) -> None:
    call = next(one for one in meta.graph_def.node if one.op == "layer")
    call.input.append("x")


def twice_the_same_node(meta: Any) -> None:
    layer = functions_of(meta)["layer"]
    layer.node_def.add().CopyFrom(layer.node_def[0])


def doubling(meta: Any) -> None:
    """f0 calls f1 twice, f1 calls f2 twice …: 2^60 nodes."""
    layer = functions_of(meta)["layer"]
    double = functions_of(meta)["double"]
    for level in range(60):
        made = layer if level == 0 else meta.graph_def.library.function.add()
        made.CopyFrom(double)
        made.signature.name = "layer" if level == 0 else f"level{level}"
        [addition] = [one for one in made.node_def if one.op.startswith("Add")]
        first, second = made.node_def.add(), made.node_def.add()
        for place, call in enumerate((first, second)):
            call.name = f"call{place}"
            call.op = f"level{level + 1}" if level < 59 else "double"
            call.input.append(double.signature.input_arg[0].name)
        output = double.signature.output_arg[0].name
        addition.input[:] = [f"call{place}:{output}:0" for place in (0, 1)]


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        pytest.param(calling_itself, "the function 'double' calls itself", id="calls-itself"),
        pytest.param(missing, "the function 'layer' is not in the file", id="missing"),
        pytest.param(
            reading_nothing, "reads 'nobody:out:0', which is not in it", id="reads-nothing"
        ),
        pytest.param(given_too_much, "gives 'layer' 2 tensors instead of 1", id="given-too-much"),
        pytest.param(twice_the_same_node, "'layer' has two nodes", id="twice-the-same-node"),
        pytest.param(doubling, "too large or nested too deeply", id="doubling"),
    ],
)
def test_what_cannot_be_written_out_stays_a_call(
    edit: Callable[[Any], None], told: str, tmp_path: Any
) -> None:
    extracted = extract(graph_of_functions, tmp_path, edit)
    document = extracted.description.to_json()
    assert [one["name"] for one in document["layers"]] == ["scores"]
    [warning] = extracted.description.warnings
    assert told in warning
    assert extracted.reference.state == "absent"
    assert told in (extracted.reference.reason or "")


def test_output_names_are_those_of_tensorflow() -> None:
    """A function's tensor "node:name:0" means the output that TensorFlow says it does."""
    from tensorflow.python.framework import op_def_registry

    from stage_extract.graph.op_outputs import SEVERAL_OUTPUTS

    dir(tf.contrib)
    left_out = ("BoostedTrees", "CudnnRNNBackprop", "Parse", "RetrieveTPU", "Sdca", "Xla")
    registered: Dict[str, Sequence[Any]] = {}
    for name, definition in op_def_registry.get_registered_ops().items():
        if len(definition.output_arg) > 1:
            outputs: List[Any] = [
                (one.name, one.number_attr or one.type_list_attr) for one in definition.output_arg
            ]
            registered[name] = outputs
    listed = {name: [tuple(one) for one in outputs] for name, outputs in SEVERAL_OUTPUTS.items()}
    assert {name: registered.get(name) for name in listed} == listed
    missing = [name for name in registered if name not in listed]
    assert [name for name in missing if not name.startswith(left_out)] == []
