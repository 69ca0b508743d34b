"""Graphs that no TensorFlow would run: an answer with a reason, never a crash and never a hang."""

from __future__ import annotations

from typing import Any, Callable, Mapping

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from stage_extract.graph.graphdef import parse_graph
from stage_extract.graph.loops import loop_frames
from stage_extract.reader import VariableInfo
from tests.extract.graph import networks
from tests.extract.graph.graph_case import describe_meta, described, kinds, tensors

KERNEL = [VariableInfo("w", "float32", (9, 4))]


class Maker:
    """Puts nodes into a MetaGraphDef one by one; nothing checks them."""

    def __init__(self) -> None:
        self.meta = meta_graph_pb2.MetaGraphDef()

    def node(self, name: str, op: str, *inputs: str, **attributes: Any) -> Any:
        node = self.meta.graph_def.node.add(name=name, op=op, input=inputs)
        for key, value in attributes.items():
            if isinstance(value, list):
                node.attr[key].list.i.extend(value)
            elif isinstance(value, int):
                node.attr[key].i = value
            elif isinstance(value, bytes):
                node.attr[key].s = value
        return node

    def describe(self, variables: Any = KERNEL) -> Mapping[str, Any]:
        return describe_meta(self.meta.SerializeToString(), variables).to_json()


def network() -> Maker:
    """Give x * w, which is the graph that the cases below spoil."""
    maker = Maker()
    maker.node("x", "Placeholder").attr["dtype"].type = 1
    maker.node("w", "VariableV2")
    maker.node("product", "MatMul", "x", "w")
    return maker


def cycle() -> Maker:
    maker = network()
    maker.node("a", "Add", "product", "b")
    maker.node("b", "Add", "a", "product")
    maker.node("end", "Tanh", "b")
    return maker


def identity_cycle() -> Maker:
    maker = network()
    maker.node("a", "Identity", "b")
    maker.node("b", "Identity", "a")
    maker.node("end", "MatMul", "product", "a")
    return maker


def own_input() -> Maker:
    maker = network()
    maker.node("end", "MatMul", "end", "w")
    return maker


def missing_node() -> Maker:
    maker = network()
    maker.node("end", "Add", "product", "nowhere:3")
    return maker


def no_operands() -> Maker:
    maker = network()
    for op in (
        "Conv2D",
        "MatMul",
        "BiasAdd",
        "Rsqrt",
        "Merge",
        "Switch",
        "Mul",
        "Reshape",
        "Gather",
    ):
        maker.node(f"bare_{op}", op)
        maker.node(f"reads_{op}", op, "w")
        maker.node(f"reads_data_{op}", op, "product", "w")
    return maker


def missing_predicate() -> Maker:
    maker = network()
    maker.node("branch", "Switch", "product", "nowhere")
    maker.node("end", "Merge", "branch", "branch:1")
    return maker


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(cycle, id="cycle"),
        pytest.param(identity_cycle, id="cycle-of-identities"),
        pytest.param(own_input, id="node-reads-itself"),
        pytest.param(missing_node, id="missing-node"),
        pytest.param(no_operands, id="no-operands"),
        pytest.param(missing_predicate, id="missing-predicate"),
    ],
)
def test_broken_edges_are_survived(make: Callable[[], Maker]) -> None:
    document = make().describe()
    assert tensors(document["inputs"]) == ["x:0"]
    product = next(layer for layer in document["layers"] if layer["op"] == "product")
    assert (product["kind"], product["variables"]) == ("dense", {"kernel": "w"})


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        pytest.param({}, "no 4 sizes", id="no-strides"),
        pytest.param({"strides": [1]}, "no 4 sizes", id="one-stride"),
        pytest.param({"strides": [1, 0, -3, 1]}, "no 4 sizes", id="stride-of-zero"),
        pytest.param({"strides": [1, 1, 1, 1], "padding": b"BOTH"}, "'BOTH'", id="padding"),
        pytest.param(
            {"strides": [1, 1, 1, 1], "padding": b"EXPLICIT", "explicit_paddings": [1]},
            "8 sizes",
            id="explicit-padding",
        ),
        pytest.param(
            {"strides": [1, 1, 1, 1], "data_format": b"NCHW_VECT_C"}, "NCHW_VECT_C", id="format"
        ),
    ],
)
def test_absurd_convolution_is_other_with_the_reason(attributes: Any, reason: str) -> None:
    maker = Maker()
    maker.node("x", "Placeholder")
    maker.node("w", "VariableV2")
    maker.node("c", "Conv2D", "x", "w", **attributes)
    document = maker.describe([VariableInfo("w", "float32", (3, 3, 4, 5))])
    assert kinds(document) == ["other"]
    assert reason in document["layers"][0]["reason"]


def test_kernel_of_another_rank_is_other() -> None:
    maker = Maker()
    maker.node("x", "Placeholder")
    maker.node("w", "VariableV2")
    maker.node("c", "Conv2D", "x", "w", strides=[1, 1, 1, 1], padding=b"SAME")
    document = maker.describe([VariableInfo("w", "float32", (3, 4))])
    assert "2 axes instead of 4" in document["layers"][0]["reason"]


def test_huge_constant_is_not_made() -> None:
    # A fill of 10**15 elements is one number in the file.
    maker = network()
    constant = maker.node("huge", "Const")
    constant.attr["value"].tensor.dtype = 1
    for _ in range(3):
        constant.attr["value"].tensor.tensor_shape.dim.add(size=100_000)
    constant.attr["value"].tensor.float_val.append(1.0)
    maker.node("end", "Mul", "product", "huge")
    nodes = {node["name"]: node for node in maker.describe()["nodes"]}
    assert nodes["huge"]["attributes"]["value"] is None
    assert nodes["huge"]["attributes"]["value_reason"] == (
        "a constant of shape [100000, 100000, 100000]"
    )


def test_constants_that_double_are_not_made() -> None:
    maker = network()
    maker.node("d0", "Const").attr["value"].tensor.CopyFrom(tf.make_tensor_proto([1, 2]))
    maker.node("axis", "Const").attr["value"].tensor.CopyFrom(tf.make_tensor_proto(0))
    for step in range(1, 200):
        maker.node(f"d{step}", "ConcatV2", f"d{step - 1}", f"d{step - 1}", "axis")
    maker.node("end", "Reshape", "product", "d199")
    assert kinds(maker.describe()) == ["dense"]


def test_not_a_number_in_a_constant_stays_json() -> None:
    maker = network()
    values = [1.5, float("nan"), float("inf"), float("-inf")]
    maker.node("c", "Const").attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values))
    maker.node("end", "Add", "product", "c")
    nodes = {node["name"]: node for node in maker.describe()["nodes"]}
    assert nodes["c"]["attributes"]["value"] == [1.5, "NaN", "Infinity", "-Infinity"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "no nodes", id="empty"),
        pytest.param(b"no protocol buffer at all", "no MetaGraphDef", id="text"),
        pytest.param(network().meta.SerializeToString()[:-7], "no MetaGraphDef", id="cut-off"),
    ],
)
def test_unreadable_meta_is_said_and_layers_are_guessed(content: bytes, words: str) -> None:
    variables = [VariableInfo("d/kernel", "float32", (9, 4))]
    description = describe_meta(content, variables)
    assert words in description.to_json()["source"]["graph_reason"]
    assert "guessed" in description.warnings[0]
    assert kinds(description.to_json()) == ["dense"]


def test_two_nodes_of_one_name_are_refused() -> None:
    maker = network()
    maker.node("product", "MatMul", "x", "w")
    assert "'product'" in maker.describe()["source"]["graph_reason"]


def test_collection_of_anything_is_survived() -> None:
    def edit(meta: Any) -> None:
        meta.collection_def["variables"].bytes_list.value.append(b"\xff\xff nonsense")
        meta.collection_def["predictions"].node_list.value.append("nowhere:0")
        meta.collection_def["outputs"].int64_list.value.append(3)

    document = described(networks.autoencoder, edit=edit).to_json()
    assert tensors(document["outputs"]) == ["decoded/BiasAdd:0"]


def chain(op: str, length: int) -> Maker:
    maker = network()
    last = "product"
    for step in range(length):
        maker.node(f"n{step}", op, last)
        last = f"n{step}"
    return maker


@pytest.mark.parametrize("op", [pytest.param("Tanh", id="deep"), pytest.param("Identity", id="id")])
def test_deep_graph_is_no_recursion(op: str) -> None:
    document = chain(op, 20_000).describe()
    assert tensors(document["outputs"]) == ["n19999:0"]
    assert len(document["nodes"]) == 20_003


def test_names_that_are_no_text_are_survived() -> None:
    maker = network()
    node = maker.node("end", "Tanh", "product")
    node.attr["note"].s = b"\xff\xfe"
    nodes = {one["name"]: one for one in maker.describe()["nodes"]}
    assert nodes["end"]["attributes"]["note"] == "\\xff\\xfe"


def test_a_loop_that_is_entered_from_inside_of_it_comes_to_an_end() -> None:
    maker = network()
    maker.node("loop", "Enter", "loop", frame_name=b"f")
    maker.node("end", "MatMul", "product", "loop")
    frames = loop_frames(parse_graph(maker.meta.graph_def))
    assert frames == {"loop": "f", "end": "f"}
