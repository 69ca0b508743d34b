"""The reference run as a whole, on graphs that TensorFlow 1.15 saved."""

from __future__ import annotations

import numpy
import pytest
import tensorflow

from stage_extract.errors import EndpointNotFound
from stage_extract.reference import recording
from stage_extract.reference.session import ReferenceSession

compat = tensorflow.compat.v1


def dense(x, name, size, **kwargs):
    """A dense layer of raw ops: a kernel, a bias."""
    rows = int(x.shape[-1])
    kernel = compat.get_variable(
        f"{name}/kernel", [rows, size], initializer=compat.random_normal_initializer(), **kwargs
    )
    bias = compat.get_variable(f"{name}/bias", [size], initializer=compat.ones_initializer())
    return compat.nn.bias_add(compat.matmul(x, kernel), bias, name=f"{name}/BiasAdd")


def two_layers():
    x = compat.placeholder("float32", [None, 5], name="x")
    hidden = compat.nn.relu(dense(x, "first", 7))
    dense(hidden, "second", 3)


def expected_two_layers(saved, x):
    first = x @ saved.values["first/kernel"] + saved.values["first/bias"]
    return first, numpy.maximum(first, 0) @ saved.values["second/kernel"] + saved.values[
        "second/bias"
    ]


def test_inputs_outputs_and_layers_are_what_the_network_computes(save_graph, run_reference):
    saved = save_graph(two_layers)
    layers = ["first/BiasAdd:0", "second/BiasAdd:0"]
    result, tensors = run_reference(saved, ["x:0"], ["second/BiasAdd:0"], layers=layers, seed=11)
    assert sorted(tensors) == ["first/BiasAdd:0", "second/BiasAdd:0", "x:0"]
    x = numpy.random.RandomState(11).normal(size=(2, 5)).astype("float32")
    numpy.testing.assert_array_equal(tensors["x:0"], x)
    first, second = expected_two_layers(saved, x)
    numpy.testing.assert_allclose(tensors["first/BiasAdd:0"], first, rtol=1e-5)
    numpy.testing.assert_allclose(tensors["second/BiasAdd:0"], second, rtol=1e-5)
    assert result.to_json() == {
        "state": "recorded",
        "reason": None,
        "seed": 11,
        "feeds": [
            {"tensor": "x:0", "dtype": "float32", "shape": [2, 5], "how": "normal(0, 1), seed 11"}
        ],
        "outputs": ["second/BiasAdd:0"],
        "layers": [
            {"layer": 0, "tensor": "first/BiasAdd:0", "recorded": True, "reason": None},
            {"layer": 1, "tensor": "second/BiasAdd:0", "recorded": True, "reason": None},
        ],
        "deterministic": True,
        "size_bytes": 4 * (2 * 5 + 2 * 7 + 2 * 3),
    }


def test_equal_input_gives_equal_bytes(save_graph, run_reference, tmp_path):
    saved = save_graph(two_layers)
    written = []
    for seed in (3, 3, 4):
        run_reference(saved, ["x:0"], ["second/BiasAdd:0"], seed=seed)
        written.append((tmp_path / "reference.safetensors").read_bytes())
    assert written[0] == written[1]
    assert written[0] != written[2]


@pytest.mark.parametrize(
    ("size_mb", "recorded"),
    [
        # 2 rows: x and the output take 8 bytes and 4 MB, the layers 2 MB, 12 MB and 1.04 MB.
        pytest.param(32, ["small", "large", "last"], id="all-fit"),
        pytest.param(8, ["small", "last"], id="a-large-layer-is-left-out"),
        pytest.param(7, ["small"], id="forward-order-decides"),
        pytest.param(6, ["last"], id="a-later-layer-that-fits-is-taken"),
    ],
)
def test_layers_are_recorded_up_to_the_limit(save_graph, run_reference, size_mb, recorded):
    sizes = {"small": 250_000, "large": 1_500_000, "last": 130_000, "out": 500_000}

    def build():
        x = compat.placeholder("float32", [None, 1], name="x")
        scale = compat.get_variable("scale", [], initializer=compat.ones_initializer())
        for name, size in sizes.items():
            compat.multiply(compat.tile(x, [1, size]), scale, name=name)

    saved = save_graph(build)
    layers = ["small:0", "large:0", "last:0"]
    # The layers are no part of the output's way here: what counts is their sizes.
    result, tensors = run_reference(saved, ["x:0"], ["out:0"], layers=layers, reference_mb=size_mb)
    assert sorted(tensors) == sorted(["x:0", "out:0", *(f"{name}:0" for name in recorded)])
    assert [record.tensor for record in result.layers if record.recorded] == [
        f"{name}:0" for name in recorded
    ]
    left_out = [record for record in result.layers if not record.recorded]
    for entry in left_out:
        size = 8 * sizes[entry.tensor[:-2]]
        assert entry.reason == f"its {size} bytes exceed what --reference-mb {size_mb} leaves"
    assert len(result.warnings) == bool(left_out)


def test_outputs_that_exceed_the_limit_leave_no_reference(save_graph, run_reference):
    saved = save_graph(two_layers)
    result, tensors = run_reference(saved, ["x:0"], ["second/BiasAdd:0"], reference_mb=0)
    assert (result.state, tensors) == ("absent", None)
    assert result.reason == (
        "inputs and outputs take 64 bytes, more than the 0 MB of --reference-mb"
    )


def test_a_random_graph_is_refused_with_its_first_random_op(save_graph, run_reference):
    def build():
        x = compat.placeholder("float32", [None, 5], name="x")
        hidden = dense(x, "first", 7)
        noisy = hidden + compat.random_normal([7], name="noise")
        dense(compat.nn.dropout(noisy, rate=0.5, name="drop"), "second", 3)

    result, tensors = run_reference(save_graph(build), ["x:0"], ["second/BiasAdd:0"])
    assert (result.state, result.deterministic, tensors) == ("absent", False, None)
    assert result.reason == (
        "two runs on the same input differ at 'second/BiasAdd:0': the first random or stateful op "
        "before it is 'noise/RandomStandardNormal' (op RandomStandardNormal)"
    )


def test_dropout_that_keeps_everything_is_not_random(save_graph, run_reference):
    def build():
        x = compat.placeholder("float32", [None, 5], name="x")
        rate = compat.placeholder("float32", [], name="rate")
        dense(compat.nn.dropout(dense(x, "first", 7), rate=rate), "second", 3)

    result, tensors = run_reference(
        save_graph(build), ["x:0"], ["second/BiasAdd:0"], switches={"rate:0": 0.0}
    )
    assert (result.state, result.deterministic) == ("recorded", True)
    assert tensors["second/BiasAdd:0"].shape == (2, 3)


@pytest.mark.parametrize(
    ("switch", "declared"),
    [
        pytest.param(True, [], id="scalar"),
        pytest.param(True, [1], id="declared-with-one-axis"),
        pytest.param(False, [], id="false"),
    ],
)
def test_switches_choose_the_branch(save_graph, run_reference, switch, declared):
    def build():
        x = compat.placeholder("float32", [None, 5], name="x")
        flag = compat.placeholder("bool", declared, name="flag")
        taken = compat.cond(compat.reshape(flag, []), lambda: x * 3.0, lambda: x - 1.0)
        weight = compat.get_variable("weight", [5], initializer=compat.ones_initializer())
        compat.multiply(taken, weight, name="out")

    _, tensors = run_reference(save_graph(build), ["x:0"], ["out:0"], switches={"flag:0": switch})
    x = tensors["x:0"]
    numpy.testing.assert_array_equal(tensors["out:0"], x * 3 if switch else x - 1)


def test_a_layer_in_a_branch_not_taken_has_no_value_and_costs_nothing_else(
    save_graph, run_reference
):
    def build():
        x = compat.placeholder("float32", [None, 5], name="x")
        flag = compat.placeholder("bool", [], name="flag")
        weight = compat.get_variable("weight", [5], initializer=compat.ones_initializer())
        chosen = compat.cond(
            flag,
            lambda: compat.multiply(x, weight, name="taken"),
            lambda: compat.subtract(x, weight, name="other"),
        )
        compat.identity(chosen, name="out")

    layers = ["cond/taken:0", "cond/other:0"]
    result, tensors = run_reference(
        save_graph(build), ["x:0"], ["out:0"], switches={"flag:0": True}, layers=layers
    )
    assert [record.recorded for record in result.layers] == [True, False]
    assert result.layers[1].reason.startswith("TensorFlow gives it no value here: ")
    numpy.testing.assert_array_equal(tensors["cond/taken:0"], tensors["out:0"])


def test_a_layer_inside_a_loop_is_left_out_with_the_loop(save_graph, run_reference):
    def build():
        x = compat.placeholder("float32", [None, 4, 3], name="x")
        cell = compat.nn.rnn_cell.BasicLSTMCell(6)
        outputs, _ = compat.nn.dynamic_rnn(cell, x, dtype="float32")
        compat.identity(outputs, name="out")

    layer = "rnn/while/basic_lstm_cell/MatMul:0"
    result, tensors = run_reference(save_graph(build), ["x:0"], ["out:0"], layers=[layer])
    assert tensors["out:0"].shape == (2, 4, 6)
    assert not result.layers[0].recorded
    assert result.layers[0].reason == (
        "it is computed inside the loop 'rnn/while/while_context', once a step"
    )


def test_nan_is_recorded_and_said(save_graph, run_reference):
    def build():
        x = compat.placeholder("float32", [None, 5], name="x")
        start = compat.constant_initializer([1.0, float("nan"), 2.0, 3.0, 4.0])
        weight = compat.get_variable("weight", [5], initializer=start)
        compat.add(compat.multiply(x, weight, name="scaled"), 1.0, name="out")

    result, tensors = run_reference(save_graph(build), ["x:0"], ["out:0"], layers=["scaled:0"])
    assert (result.state, result.deterministic) == ("recorded", True)
    assert numpy.isnan(tensors["out:0"]).sum() == 2
    assert result.reason == "output 'out:0': it holds NaN or infinity"
    assert result.layers[0].recorded
    assert result.layers[0].reason == "it holds NaN or infinity"
    assert result.warnings == [
        "The reference run holds NaN or infinity, first in 'scaled:0'; "
        "it is recorded as TensorFlow computed it."
    ]


def test_inputs_are_drawn_again_without_negative_numbers_when_that_avoids_nan(
    save_graph, run_reference
):
    def build():
        x = compat.placeholder("float32", [None, 5], name="x")
        weight = compat.get_variable("weight", [5], initializer=compat.ones_initializer())
        compat.multiply(compat.sqrt(x), weight, name="out")

    result, tensors = run_reference(save_graph(build), ["x:0"], ["out:0"])
    assert result.feeds[0].how == "uniform in [0, 1), seed 0"
    assert result.reason is None
    numpy.testing.assert_allclose(tensors["out:0"], numpy.sqrt(tensors["x:0"]), rtol=1e-6)


def test_a_tensor_in_the_middle_of_the_graph_can_be_the_input(save_graph, run_reference):
    def build():
        queue = compat.train.input_producer(compat.zeros([6, 5]), shuffle=False)
        x = compat.reshape(queue.dequeue(), [1, 5], name="fed")
        dense(x, "first", 7)

    saved = save_graph(build)
    result, tensors = run_reference(saved, ["fed:0"], ["first/BiasAdd:0"])
    kernel, bias = saved.values["first/kernel"], saved.values["first/bias"]
    numpy.testing.assert_allclose(
        tensors["first/BiasAdd:0"], tensors["fed:0"] @ kernel + bias, rtol=1e-5
    )
    assert result.feeds[0].shape == (1, 5)


def test_a_placeholder_with_default_keeps_it(save_graph, run_reference):
    def build():
        x = compat.placeholder("float32", [None, 5], name="x")
        factor = compat.placeholder_with_default(4.0, [], name="factor")
        weight = compat.get_variable("weight", [5], initializer=compat.ones_initializer())
        compat.multiply(x * factor, weight, name="out")

    _, tensors = run_reference(save_graph(build), ["x:0"], ["out:0"])
    numpy.testing.assert_array_equal(tensors["out:0"], tensors["x:0"] * 4)


def test_a_user_shape_overrules(save_graph, run_reference):
    saved = save_graph(two_layers)
    shapes = {"x:0": (9, 5)}
    result, _ = run_reference(saved, ["x:0"], ["second/BiasAdd:0"], input_shapes=shapes)
    assert result.feeds[0].shape == (9, 5)


def test_a_user_shape_for_no_input_is_an_error_that_lists_the_inputs(save_graph, run_reference):
    saved = save_graph(two_layers)
    with pytest.raises(EndpointNotFound, match=r"'y:0'.*Expected one of: x:0"):
        run_reference(saved, ["x:0"], ["second/BiasAdd:0"], input_shapes={"y:0": (9, 5)})


# What makes a run impossible, and the text that says so.
def needs_labels():
    x = compat.placeholder("float32", [None, 5], name="x")
    labels = compat.placeholder("float32", [None, 3], name="labels")
    compat.subtract(dense(x, "first", 3), labels, name="out")


def calls_python():
    x = compat.placeholder("float32", [None, 5], name="x")
    called = compat.py_func(lambda value: value, [dense(x, "first", 3)], "float32", name="call")
    compat.identity(called, name="out")


def grouped():
    x = compat.placeholder("float32", [None, 8, 8, 6], name="x")
    kernel = compat.get_variable("kernel", [2, 2, 3, 4])
    image = compat.nn.conv2d(x, kernel, padding="SAME", name="conv")
    compat.identity(image, name="out")


def string_input():
    x = compat.placeholder("string", [None], name="x")
    weight = compat.get_variable("weight", [], initializer=compat.ones_initializer())
    compat.multiply(compat.string_to_number(x), weight, name="out")


def string_output():
    x = compat.placeholder("float32", [None, 5], name="x")
    compat.as_string(dense(x, "first", 3), name="out")


def untrained_local():
    x = compat.placeholder("float32", [None, 5], name="x")
    local = compat.Variable(numpy.ones(5, "float32"), name="counter", collections=["mine"])
    weight = compat.get_variable("weight", [5], initializer=compat.ones_initializer())
    compat.multiply(x, local.read_value() * weight, name="out")


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        pytest.param(
            needs_labels,
            "the outputs need the placeholder 'labels', which is not among",
            id="labels",
        ),
        pytest.param(
            calls_python, "node 'call' (op PyFunc) calls a Python function", id="python-function"
        ),
        pytest.param(
            grouped,
            "TensorFlow cannot run the graph on x:0 [2, 8, 8, 6]: node 'conv' (op Conv2D):",
            id="grouped-on-cpu",
        ),
        pytest.param(
            string_input, "the input 'x:0' is of type string, which cannot be drawn", id="string-in"
        ),
        pytest.param(
            string_output, "output 'out:0': its type string cannot be stored", id="string-out"
        ),
        pytest.param(
            untrained_local,
            "the outputs need the variable 'counter', which is not in the checkpoint",
            id="variable-not-saved",
        ),
    ],
)
def test_a_graph_that_cannot_run_says_why(save_graph, run_reference, build, reason):
    result, tensors = run_reference(save_graph(build), ["x:0"], ["out:0"])
    assert (result.state, result.deterministic, tensors) == ("absent", None, None)
    assert reason in result.reason


def test_the_last_refusal_is_quoted_when_no_proposal_runs(save_graph, run_reference):
    def build():
        x = compat.placeholder("float32", [None, None, None, 2], name="x")
        kernel = compat.get_variable("kernel", [3, 3, 2, 4])
        image = compat.nn.conv2d(x, kernel, padding="SAME")
        # 2,310 pixels an example: 33 by 70, which nothing in the graph tells.
        compat.add(compat.reshape(image, [2, 33, 70, 4]), 1.0, name="out")

    saved = save_graph(build)
    result, _ = run_reference(saved, ["x:0"], ["out:0"])
    assert result.state == "absent"
    assert "proposed inputs; the first was x:0 [2, 16, 17, 2]: node 'Reshape'" in result.reason
    assert "the last was x:0" in result.reason
    assert result.reason.endswith("complete shapes can be given with --input-shape")
    shapes = {"x:0": (2, 33, 70, 2)}
    result, tensors = run_reference(saved, ["x:0"], ["out:0"], input_shapes=shapes)
    assert tensors["out:0"].shape == (2, 33, 70, 4)


def test_no_path_of_this_machine_gets_into_a_reason(save_graph, run_reference):
    result, _ = run_reference(save_graph(grouped), ["x:0"], ["out:0"])
    assert "/" not in result.reason.replace("gradients/", "")


def test_values_are_fetched_in_groups_and_twice(save_graph, run_reference, monkeypatch):
    fetched = []
    fetch = ReferenceSession.fetch

    def spy(self, feeds, tensors):
        fetched.append(list(tensors))
        return fetch(self, feeds, tensors)

    monkeypatch.setattr(ReferenceSession, "fetch", spy)
    # Two rows of 7 float32 fill a group; those of 3 do not fit beside them.
    monkeypatch.setattr(recording, "FETCH_GROUP_BYTES", 60)
    saved = save_graph(two_layers)
    layers = ["first/BiasAdd:0"]
    _, tensors = run_reference(saved, ["x:0"], ["second/BiasAdd:0"], layers=layers)
    groups = [["first/BiasAdd:0"], ["second/BiasAdd:0"]]
    assert fetched == [groups[0], groups[0], groups[1], groups[1]]
    first, second = expected_two_layers(saved, tensors["x:0"])
    numpy.testing.assert_allclose(tensors["first/BiasAdd:0"], first, rtol=1e-5)
    numpy.testing.assert_allclose(tensors["second/BiasAdd:0"], second, rtol=1e-5)


@pytest.mark.parametrize("output", ["second/BiasAdd:0", "drop/dropout/mul_1:0"])
def test_a_dropout_of_fixed_rate_is_left_out_and_said(save_graph, run_reference, output):
    def build():
        x = compat.placeholder("float32", [None, 5], name="x")
        first = compat.identity(dense(x, "first", 7), name="before")
        dense(compat.nn.dropout(first, rate=0.5, name="drop/dropout"), "second", 3)

    rewrite = {"node": "drop/dropout/mul_1", "op": "Mul", "becomes": "before:0", "rate": 0.5}
    saved = save_graph(build)
    result, tensors = run_reference(saved, ["x:0"], [output], rewrites=[rewrite])
    first = tensors["x:0"] @ saved.values["first/kernel"] + saved.values["first/bias"]
    second = first @ saved.values["second/kernel"] + saved.values["second/bias"]
    expected = second if output.startswith("second") else first
    numpy.testing.assert_allclose(tensors[output], expected, rtol=1e-4, atol=1e-5)
    assert result.warnings == [
        "The dropout that ends in 'drop/dropout/mul_1:0' has a fixed rate: the reference run "
        "leaves it out, as inference does."
    ]


def test_a_dropout_in_a_branch_is_left_to_its_switch(save_graph, run_reference):
    def build():
        x = compat.placeholder("float32", [None, 5], name="x")
        flag = compat.placeholder("bool", [], name="flag")
        first = dense(x, "first", 7)
        dropped = compat.layers.dropout(first, 0.5, training=flag, name="drop")
        dense(dropped, "second", 3)

    merge = {"op": "Merge", "node": "drop/cond/Merge", "becomes": "x:0", "rate": 0.5}
    switched = {"switches": {"flag:0": False}, "rewrites": [merge]}
    result, _ = run_reference(save_graph(build), ["x:0"], ["second/BiasAdd:0"], **switched)
    assert (result.state, result.warnings) == ("recorded", [])


def test_outputs_that_agree_twice_by_chance_are_found_random(
    save_graph, run_reference, monkeypatch
):
    def build():
        x = compat.placeholder("float32", [None, 5], name="x")
        weight = compat.get_variable("weight", [5], initializer=compat.ones_initializer())
        noise = compat.random_normal([5], name="noise")
        compat.add(x * weight, noise, name="out")

    fetch, kept = ReferenceSession.fetch, {}

    def lucky(self, feeds, tensors):
        return dict(kept.setdefault("values", fetch(self, feeds, tensors)))

    monkeypatch.setattr(ReferenceSession, "fetch", lucky)
    result, tensors = run_reference(save_graph(build), ["x:0"], ["out:0"])
    assert (result.state, result.deterministic, tensors) == ("absent", False, None)
    assert "'noise/RandomStandardNormal'" in result.reason
