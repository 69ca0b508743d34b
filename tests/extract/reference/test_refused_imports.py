"""Graphs that import_meta_graph refuses, or that are odd beside the network, are extracted."""

from __future__ import annotations

from typing import Any, Callable

import numpy
import pytest
import tensorflow

from tests.extract.saved_graph import extract

compat = tensorflow.compat.v1


def network() -> None:
    """Convolution, batch norm and scores, with labels beside."""
    x = compat.placeholder("float32", [None, 6, 5, 3], name="x")
    labels = compat.placeholder("float32", [None, 4], name="labels")
    hidden = compat.layers.conv2d(x, 7, 3, name="conv")
    hidden = compat.layers.batch_normalization(hidden, name="norm", fused=True)
    hidden = compat.layers.max_pooling2d(hidden, 2, 2, name="pool")
    scores = compat.layers.dense(compat.layers.flatten(hidden), 4, name="scores")
    compat.identity(labels, name="taught")
    compat.losses.mean_squared_error(labels, scores)


def node(meta: Any, name: str) -> Any:
    return next(one for one in meta.graph_def.node if one.name == name)


def own_op_on_the_labels(meta: Any) -> None:
    node(meta, "taught").op = "OwnOp"


def python_call_on_the_labels(meta: Any) -> None:
    node(meta, "taught").op = "PyFunc"


def pinned_to_gpus(meta: Any) -> None:
    for one in meta.graph_def.node:
        one.device = "/job:worker/replica:0/task:3/device:GPU:7"


def beside_nobody(meta: Any) -> None:
    for one in meta.graph_def.node:
        one.attr["_class"].list.s[:] = [b"loc:@nobody"]


def shapes_cut_off(meta: Any) -> None:
    for one in meta.graph_def.node:
        if "_output_shapes" in one.attr:
            del one.attr["_output_shapes"].list.shape[:]


def wrong_shapes(meta: Any) -> None:
    for one in meta.graph_def.node:
        if one.op in ("BiasAdd", "MaxPool", "Reshape"):
            del one.attr["_output_shapes"].list.shape[:]
            one.attr["_output_shapes"].list.shape.add().dim.add().size = 1 << 60


def without_saver(meta: Any) -> None:
    meta.ClearField("saver_def")


def without_definitions(meta: Any) -> None:
    """As a later TensorFlow writes it, and stripped of its op definitions."""
    meta.ClearField("meta_info_def")
    meta.graph_def.versions.producer = 1700
    node(meta, "norm/FusedBatchNormV3").attr["exponential_avg_factor"].f = 1.0
    node(meta, "pool/MaxPool").attr["explicit_paddings"].list.SetInParent()
    node(meta, "scores/MatMul").attr["grad_a"].b = False
    for one in meta.graph_def.node:
        if one.op == "VarHandleOp":
            one.attr["debug_name"].s = b"kernel/"


def broken_library(meta: Any) -> None:
    broken = meta.graph_def.library.function.add()
    broken.signature.name = "broken"
    broken.node_def.add(name="one", op="NoSuchOp", input=["nobody:out:0"])
    meta.graph_def.library.function.add().CopyFrom(broken)
    meta.graph_def.library.gradient.add(function_name="broken", gradient_func="nobody")


@pytest.mark.parametrize(
    "edit",
    [
        own_op_on_the_labels,
        python_call_on_the_labels,
        pinned_to_gpus,
        beside_nobody,
        shapes_cut_off,
        wrong_shapes,
        without_saver,
        without_definitions,
        broken_library,
    ],
)
def test_what_lies_beside_the_network_does_no_harm(edit: Callable[[Any], None], tmp_path: Any):
    extracted = extract(network, tmp_path, edit)
    document = extracted.description.to_json()
    assert (extracted.reference.state, extracted.reference.reason) == ("recorded", None)
    assert [one["kind"] for one in document["layers"]] == ["conv2d", "batch_norm", "dense"]
    assert [one["tensor"] for one in document["inputs"]] == ["x:0"]
    [(tensor, expected)] = extracted.expected.items()
    assert tensor == "scores/BiasAdd:0"
    numpy.testing.assert_allclose(extracted.tensors[tensor], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["variables", "trainable_variables"])
def test_a_broken_collection_is_left_out_and_told(name: str, tmp_path: Any) -> None:
    def edit(meta: Any) -> None:
        values = meta.collection_def[name].bytes_list.value
        values.append(b"\xff\xff\xff\xff")
        values.append(b"\x0a\xff\xff")
        meta.collection_def["foreign"].any_list.value.add(type_url="x/y", value=b"\xff")

    extracted = extract(network, tmp_path, edit)
    assert extracted.reference.state == "recorded"
    [warning] = extracted.description.warnings
    assert f"2 entries of the collection '{name}' are no variables" in warning


def becoming(op: str) -> Callable[[Any], None]:
    def edit(meta: Any) -> None:
        node(meta, "pool/MaxPool").op = op

    return edit


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        pytest.param(becoming("OwnOp"), "op OwnOp (node 'pool/MaxPool')", id="own-op"),
        pytest.param(becoming("_MklMaxPool"), "op _MklMaxPool (node 'pool/MaxPool')", id="mkl"),
        pytest.param(becoming("PyFunc"), "node 'pool/MaxPool' (op PyFunc)", id="python"),
        pytest.param(becoming("EagerPyFunc"), "node 'pool/MaxPool' (op EagerPyFunc)", id="eager"),
        pytest.param(becoming("CudnnRNN"), "node 'pool/MaxPool' (op CudnnRNN)", id="cudnn"),
        pytest.param(becoming("TPUReplicate"), "pool/MaxPool", id="tpu"),
        pytest.param(becoming("XlaLaunch"), "pool/MaxPool", id="xla"),
    ],
)
def test_the_export_is_complete_and_the_reason_names_the_op(
    edit: Callable[[Any], None], reason: str, tmp_path: Any
) -> None:
    extracted = extract(network, tmp_path, edit, outputs=("scores/BiasAdd:0",))
    assert extracted.reference.state == "absent"
    assert reason in (extracted.reference.reason or "")
    layers = extracted.description.to_json()["layers"]
    assert [one["kind"] for one in layers] == ["conv2d", "batch_norm", "dense"]


def test_a_graph_that_goes_in_a_circle_is_not_run(tmp_path: Any) -> None:
    def edit(meta: Any) -> None:
        node(meta, "pool/MaxPool").input[0] = "flatten/Reshape"

    chosen = {"inputs": ("x:0",), "outputs": ("scores/BiasAdd:0",)}
    extracted = extract(network, tmp_path, edit, **chosen)
    assert extracted.reference.state == "absent"
    assert "TensorFlow cannot import the graph" in (extracted.reference.reason or "")
    assert [one["kind"] for one in extracted.description.to_json()["layers"]] == ["dense"]
