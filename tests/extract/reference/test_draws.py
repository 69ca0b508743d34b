"""Values of integer and boolean inputs stay inside what the graph accepts."""

from __future__ import annotations

import numpy
import pytest
import tensorflow

compat = tensorflow.compat.v1


def table(rows, columns=4):
    return compat.get_variable(
        "table", [rows, columns], initializer=compat.random_normal_initializer()
    )


def embedding():
    ids = compat.placeholder("int32", [None, 400], name="x")
    compat.identity(compat.nn.embedding_lookup(table(11), ids), name="out")


def embedding_of_a_resource():
    ids = compat.placeholder("int64", [None, 400], name="x")
    weights = compat.get_variable("table", [11, 4], use_resource=True)
    compat.identity(compat.nn.embedding_lookup(weights, ids), name="out")


def embedding_after_casts():
    ids = compat.placeholder("int64", [None, 400], name="x")
    cast = compat.cast(compat.identity(ids), "int32")
    compat.identity(compat.nn.embedding_lookup(table(11), cast), name="out")


def partitioned_embedding():
    ids = compat.placeholder("int32", [None, 400], name="x")
    weights = compat.get_variable("table", [22, 4], partitioner=compat.fixed_size_partitioner(2))
    compat.identity(compat.nn.embedding_lookup(weights, ids), name="out")


def joined_embedding():
    ids = compat.placeholder("int32", [None, 400], name="x")
    weights = compat.get_variable("table", [11, 4], partitioner=compat.fixed_size_partitioner(2))
    compat.identity(compat.nn.embedding_lookup(weights.as_tensor(), ids), name="out")


def flattened_embedding():
    ids = compat.placeholder("int32", [None, 400], name="x")
    found = compat.gather(table(11), compat.reshape(ids, [-1]))
    compat.reshape(found, [-1, 400, 4], name="out")


def one_hot():
    ids = compat.placeholder("int32", [None, 400], name="x")
    compat.multiply(compat.one_hot(ids, 11), compat.reduce_sum(table(11)), name="out")


@pytest.mark.parametrize(
    "build",
    [
        embedding,
        embedding_of_a_resource,
        embedding_after_casts,
        joined_embedding,
        flattened_embedding,
        one_hot,
    ],
)
def test_integers_stay_inside_the_vocabulary(save_graph, run_reference, build):
    result, tensors = run_reference(save_graph(build), ["x:0"], ["out:0"])
    assert result.feeds[0].how == "integers from 0 to 10, seed 0"
    ids = tensors["x:0"]
    assert ids.shape == (2, 400)
    # 800 draws from 11 values: all of them occur.
    assert sorted(set(ids.reshape(-1).tolist())) == list(range(11))


def test_integers_stay_inside_a_partitioned_vocabulary(save_graph, run_reference):
    result, tensors = run_reference(save_graph(partitioned_embedding), ["x:0"], ["out:0"])
    assert result.state == "recorded"
    assert 0 <= tensors["x:0"].min() <= tensors["x:0"].max() < 22
    assert tensors["out:0"].shape == (2, 400, 4)


def test_sequence_lengths_lie_within_the_sequence(save_graph, run_reference):
    def build():
        x = compat.placeholder("float32", [None, None, 5], name="x")
        lengths = compat.placeholder("int32", [None], name="lengths")
        cell = compat.nn.rnn_cell.GRUCell(4)
        outputs, _ = compat.nn.dynamic_rnn(cell, x, lengths, dtype="float32")
        compat.identity(outputs, name="out")

    result, tensors = run_reference(save_graph(build), ["x:0", "lengths:0"], ["out:0"])
    assert result.feeds[1].how == "integers from 1 to 12, seed 1"
    lengths = tensors["lengths:0"]
    assert lengths.shape == (2,)
    for row, length in enumerate(lengths):
        assert (tensors["out:0"][row, length:] == 0).all()
        assert tensors["out:0"][row, :length].any()


def test_a_scalar_integer_is_a_batch_size_first(save_graph, run_reference):
    def build():
        x = compat.placeholder("float32", [None, 4, 5], name="x")
        batch = compat.placeholder("int32", [], name="batch_size")
        cell = compat.nn.rnn_cell.GRUCell(3)
        state = cell.zero_state(batch, "float32")
        outputs, _ = compat.nn.dynamic_rnn(cell, x, initial_state=state)
        compat.identity(outputs, name="out")

    result, tensors = run_reference(save_graph(build), ["x:0", "batch_size:0"], ["out:0"])
    assert result.feeds[1].how == "the integer 2, seed 1"
    assert tensors["batch_size:0"] == 2
    assert tensors["out:0"].shape == (2, 4, 3)


@pytest.mark.parametrize(
    ("dtype", "how"),
    [
        pytest.param("uint8", "integers from 0 to 255, seed 0", id="pixels"),
        pytest.param("bool", "true or false, seed 0", id="mask"),
        pytest.param("float64", "normal(0, 1), seed 0", id="double"),
        pytest.param("float16", "normal(0, 1), seed 0", id="half"),
    ],
)
def test_each_type_is_drawn_and_stored_as_itself(save_graph, run_reference, dtype, how):
    def build():
        x = compat.placeholder(dtype, [None, 30, 20, 3], name="x")
        compat.multiply(compat.cast(x, "float32"), compat.reduce_sum(table(3)), name="out")

    result, tensors = run_reference(save_graph(build), ["x:0"], ["out:0"])
    assert (result.feeds[0].dtype, result.feeds[0].how) == (dtype, how)
    if dtype in ("uint8",):
        assert tensors["x:0"].max() > 200
    assert len(numpy.unique(tensors["x:0"])) > 1


@pytest.mark.parametrize(
    "side",
    [
        pytest.param(10**6, id="more-than-any-memory"),
        pytest.param(10**12, id="more-than-numpy-counts"),
    ],
)
def test_an_input_too_large_to_be_drawn_is_no_fault_of_the_export(save_graph, run_reference, side):
    def build():
        x = compat.placeholder("float32", [None, side, side], name="x")
        compat.multiply(x, compat.get_variable("scale", []), name="out")

    result, tensors = run_reference(save_graph(build), ["x:0"], ["out:0"])
    assert tensors is None
    assert f"the input 'x:0' of shape [2, {side}, {side}] has" in result.reason
    assert "--input-shape" in result.reason
