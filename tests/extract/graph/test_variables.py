"""From graph nodes to the names of a checkpoint: parts, renamed and resource variables."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping

import pytest
import tensorflow as tf

from stage_extract.reader import VariableInfo
from tests.extract.graph.graph_case import describe_built, describe_meta, kinds

v1 = tf.compat.v1
layers = v1.layers


def rows(features: int = 10) -> Any:
    return v1.placeholder(tf.float32, [None, features], name="x")


def entry(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next(one for one in document["variables"] if one["name"] == name)


def described_as(variables: List[VariableInfo], saver: Any) -> Mapping[str, Any]:
    """Describe the current graph with what a checkpoint of that saver would hold."""
    return describe_meta(saver.export_meta_graph().SerializeToString(), variables).to_json()


@pytest.mark.parametrize(
    ("shape", "axis", "parts"),
    [
        pytest.param([10, 4], 0, 3, id="rows"),
        pytest.param([10, 9], 1, 2, id="columns"),
    ],
)
def test_partitioned_kernel_is_one_variable(shape: List[int], axis: int, parts: int) -> None:
    def build() -> None:
        partitioner = v1.fixed_size_partitioner(parts, axis=axis)
        kernel = v1.get_variable("kernel", shape, partitioner=partitioner)
        tf.matmul(rows(shape[0]), kernel)

    document = describe_built(build)
    assert kinds(document) == ["dense"]
    variable = entry(document, "kernel")
    assert (variable["role"], variable["source_axes"]) == ("kernel", "IO")
    assert variable["partitions"] == {
        "axis": axis,
        "names": [f"kernel/part_{part}" for part in range(parts)],
    }


def test_one_part_only_is_the_whole() -> None:
    def build() -> None:
        with v1.variable_scope("net", partitioner=v1.fixed_size_partitioner(1)):
            layers.dense(rows(), 4, name="d")

    document = describe_built(build)
    assert entry(document, "net/d/kernel")["partitions"] == {
        "axis": 0,
        "names": ["net/d/kernel/part_0"],
    }


def test_twelve_parts_are_in_numerical_order() -> None:
    def build() -> None:
        kernel = v1.get_variable("k", [24, 4], partitioner=v1.fixed_size_partitioner(12))
        tf.matmul(rows(24), kernel)

    names = entry(describe_built(build), "k")["partitions"]["names"]
    assert names == [f"k/part_{part}" for part in range(12)]


def test_parts_saved_one_by_one_are_variables_of_their_own() -> None:
    with tf.Graph().as_default():
        kernel = v1.get_variable("k", [10, 4], partitioner=v1.fixed_size_partitioner(2))
        tf.matmul(rows(), kernel)
        parts = {part.op.name: part for part in kernel}
        for part in parts.values():
            part._set_save_slice_info(None)
        variables = [VariableInfo(name, "float32", (5, 4)) for name in parts]
        document = described_as(variables, v1.train.Saver(parts))
    assert kinds(document) == ["other"]
    assert [one["layers"] for one in document["variables"]] == [[0], [0]]
    assert "joined" in document["variables"][0]["reason"]


def lookup(strategy: str) -> Mapping[str, Any]:
    def build() -> None:
        table = v1.get_variable("table", [50, 4], partitioner=v1.fixed_size_partitioner(3))
        identifiers = v1.placeholder(tf.int64, [None], name="x")
        layers.dense(
            tf.nn.embedding_lookup(table, identifiers, partition_strategy=strategy), 3, name="d"
        )

    return describe_built(build)


def test_lookup_in_consecutive_parts_is_one_embedding() -> None:
    document = lookup("div")
    assert kinds(document) == ["embedding", "dense"]
    assert entry(document, "table")["role"] == "embedding"
    assert document["layers"][0]["output"] == "embedding_lookup/Reshape_1:0"


def test_lookup_in_interleaved_parts_is_no_plain_table() -> None:
    # Row i of the ids is another row of the joined table.
    document = lookup("mod")
    assert set(kinds(document)) == {"other", "dense"}
    assert entry(document, "table")["role"] is None


def test_saver_may_rename_variables() -> None:
    with tf.Graph().as_default():
        kernel = v1.get_variable("inner/w", [10, 4])
        tf.matmul(rows(), kernel)
        saver = v1.train.Saver({"published/kernel": kernel})
        document = described_as([VariableInfo("published/kernel", "float32", (10, 4))], saver)
    assert entry(document, "published/kernel")["role"] == "kernel"
    assert document["layers"][0]["variables"] == {"kernel": "published/kernel"}


def exchanged(variables: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"a": variables["b"], "b": variables["a"]}


def shifted(variables: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"a": variables["b"], "b": variables["c"]}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        pytest.param(exchanged, {"a": "b:0", "b": "a:0"}, id="exchanged"),
        pytest.param(shifted, {"a": "b:0", "b": "c:0"}, id="shifted"),
    ],
)
def test_the_saver_that_wrote_the_file_decides_over_equal_names(
    keys: Callable[[Mapping[str, Any]], Mapping[str, Any]], expected: Mapping[str, str]
) -> None:
    with tf.Graph().as_default():
        kernels = {name: v1.get_variable(name, [10, 10]) for name in "abc"}
        net = rows()
        for kernel in kernels.values():
            net = tf.matmul(net, kernel)
        # Another Saver, which did not write the file, knows every variable by its own name.
        v1.train.Saver()
        saved = keys(kernels)
        infos = [VariableInfo(name, "float32", (10, 10)) for name in saved]
        document = described_as(infos, v1.train.Saver(saved))
    nodes = {
        node["variable"]: f"{node['name']}:0" for node in document["nodes"] if node.get("variable")
    }
    assert nodes == expected


def test_own_name_comes_before_that_of_an_averaging_saver() -> None:
    with tf.Graph().as_default():
        kernel = v1.get_variable("w", [10, 4])
        tf.matmul(rows(), kernel)
        average = tf.train.ExponentialMovingAverage(0.9)
        average.apply([kernel])
        saver = v1.train.Saver(average.variables_to_restore())
        names = ("w", "w/ExponentialMovingAverage")
        document = described_as([VariableInfo(name, "float32", (10, 4)) for name in names], saver)
    assert document["layers"][0]["variables"] == {"kernel": "w"}
    assert entry(document, "w/ExponentialMovingAverage")["layers"] == []


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda kernel: kernel, id="direct"),
        pytest.param(tf.identity, id="identity"),
        pytest.param(lambda kernel: tf.cast(tf.cast(kernel, tf.float16), tf.float32), id="cast"),
        pytest.param(
            lambda kernel: tf.cond(
                v1.placeholder(tf.bool, name="is_training"),
                lambda: tf.identity(kernel),
                lambda: tf.identity(kernel),
            ),
            id="switch-and-merge",
        ),
    ],
)
@pytest.mark.parametrize(
    "resource", [pytest.param(False, id="reference"), pytest.param(True, id="resource")]
)
def test_kernel_is_found_behind_what_hands_it_on(read: Any, resource: bool) -> None:
    def build() -> None:
        kernel = v1.get_variable("w", [10, 4], use_resource=resource)
        tf.matmul(rows(), read(kernel))

    assert describe_built(build)["layers"][0]["variables"] == {"kernel": "w"}


def test_trainable_is_said_for_each_variable() -> None:
    def build() -> None:
        layers.batch_normalization(layers.dense(rows(), 4, name="d"), name="n")

    found: Dict[str, Any] = {
        one["name"]: one["trainable"] for one in describe_built(build)["variables"]
    }
    assert found == {
        "d/bias": True,
        "d/kernel": True,
        "n/beta": True,
        "n/gamma": True,
        "n/moving_mean": False,
        "n/moving_variance": False,
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("unread", "the inference graph does not read it", id="unread"),
        pytest.param("elsewhere", "the graph has no variable of this name", id="not-in-the-graph"),
    ],
)
def test_variable_without_a_layer_says_why(name: str, reason: str) -> None:
    with tf.Graph().as_default():
        layers.dense(rows(), 4, name="d")
        v1.get_variable("unread", [3])
        infos = [
            VariableInfo("d/bias", "float32", (4,)),
            VariableInfo("d/kernel", "float32", (10, 4)),
            VariableInfo("elsewhere", "float32", (2,)),
            VariableInfo("unread", "float32", (3,)),
        ]
        document = described_as(infos, v1.train.Saver())
    assert entry(document, name)["reason"] == reason
    assert entry(document, name)["evidence"] is None


def tiled(order: str) -> Mapping[str, Any]:
    """A kernel [6, 9] in four parts of all sizes, joined in an order of rows or columns."""
    sizes = {(0, 0): (2, 4), (0, 4): (2, 5), (2, 0): (4, 4), (2, 4): (4, 5)}
    with tf.Graph().as_default():
        parts = {}
        for number, (offset, shape) in enumerate(sizes.items()):
            part = v1.get_variable(f"k/part_{number}", shape)
            part._set_save_slice_info(
                v1.Variable.SaveSliceInfo("k", [6, 9], list(offset), list(shape))
            )
            parts[offset] = part
        rows_first = [[parts[0, 0], parts[0, 4]], [parts[2, 0], parts[2, 4]]]
        columns_first = [[parts[0, 0], parts[2, 0]], [parts[0, 4], parts[2, 4]]]
        if order == "rows":
            kernel = tf.concat([tf.concat(row, 1) for row in rows_first], 0)
        elif order == "columns":
            kernel = tf.concat([tf.concat(column, 0) for column in columns_first], -1)
        else:
            kernel = tf.concat([tf.concat(row[::-1], 1) for row in rows_first], 0)
        tf.matmul(rows(6), kernel)
        saver = v1.train.Saver({"k": list(parts.values())})
        return described_as([VariableInfo("k", "float32", (6, 9))], saver)


@pytest.mark.parametrize("order", ["rows", "columns"])
def test_parts_along_two_axes_are_one_kernel(order: str) -> None:
    document = tiled(order)
    assert kinds(document) == ["dense"]
    assert document["layers"][0]["variables"] == {"kernel": "k"}
    # There is no word for two axes, and one would be wrong.
    assert entry(document, "k")["partitions"] is None


def test_parts_in_other_places_are_no_kernel() -> None:
    document = tiled("exchanged")
    assert kinds(document) != ["dense"]
    assert entry(document, "k")["role"] is None
