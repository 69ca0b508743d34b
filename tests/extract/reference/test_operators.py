"""Ops that TensorFlow does not know: contrib's are registered when needed, others are named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from stage_extract.graph.meta_file import MetaFile
from stage_extract.reference import operators
from stage_extract.reference.record import read_graph
from stage_extract.reference.result import ReferenceUnavailable

compat = tensorflow.compat.v1
REPOSITORY = Path(__file__).parents[3]


def replace_op(meta_path, name, op):
    """Give one node of a saved graph another op type."""
    meta = meta_graph_pb2.MetaGraphDef.FromString(Path(meta_path).read_bytes())
    for node in meta.graph_def.node:
        if node.name == name:
            node.op = op
    Path(meta_path).write_bytes(meta.SerializeToString())


def two_images():
    x = compat.placeholder("float32", [2, 6, 5, 3], name="x")
    scale = compat.get_variable("scale", [], initializer=compat.ones_initializer())
    compat.add(x, compat.multiply(x, scale), name="special")
    compat.identity(compat.get_default_graph().get_tensor_by_name("special:0"), name="out")


def test_a_custom_op_is_named_with_its_node(save_graph, run_reference):
    saved = save_graph(two_images)
    replace_op(saved.meta_path, "special", "DeformableConvolution")
    result, tensors = run_reference(saved, ["x:0"], ["out:0"])
    assert (result.state, tensors) == ("absent", None)
    assert result.reason == (
        "the graph needs op DeformableConvolution (node 'special'), which is not part of "
        "TensorFlow and its contrib; a custom op's library is not stored in a checkpoint"
    )


def test_a_custom_op_that_the_outputs_do_not_need_is_no_obstacle(save_graph, run_reference):
    def build():
        two_images()
        compat.negative(compat.get_default_graph().get_tensor_by_name("out:0"), name="extra")

    saved = save_graph(build)
    replace_op(saved.meta_path, "extra", "DeformableConvolution")
    result, _ = run_reference(saved, ["x:0"], ["out:0"])
    assert result.state == "recorded"


def test_contrib_is_imported_only_for_an_op_that_needs_it(monkeypatch):
    imported = []
    monkeypatch.setattr(operators.importlib, "import_module", imported.append)
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="x", op="Relu")
    operators.register_ops(graph_def)
    assert imported == []
    graph_def.node.add(name="y", op="OpOfContrib")
    with pytest.raises(ReferenceUnavailable, match="op OpOfContrib \\(node 'y'\\)"):
        operators.register_ops(graph_def)
    assert imported == ["tensorflow.contrib"]


def test_functions_of_the_graph_are_known_and_looked_into():
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="x", op="MyFunction")
    function = graph_def.library.function.add()
    function.signature.name = "MyFunction"
    function.node_def.add(name="inner", op="Relu")
    assert operators.unregistered_ops(graph_def) == {}
    function.node_def.add(name="odd", op="NotKnown")
    assert operators.unregistered_ops(graph_def) == {"NotKnown": "MyFunction/odd"}


def normalized():
    x = compat.placeholder("float32", [None, 6, 5, 3], name="x")
    ones, zeros = compat.ones_initializer(), compat.zeros_initializer()
    statistics = [
        compat.get_variable(name, [3], initializer=start)
        for name, start in (("gamma", ones), ("beta", zeros), ("mean", zeros), ("variance", ones))
    ]
    y, _, _ = compat.nn.fused_batch_norm(x, *statistics, is_training=False, name="norm")
    compat.identity(y, name="out")


@pytest.mark.parametrize(
    ("value", "state"),
    [
        pytest.param(1.0, "recorded", id="default"),
        # Another value changes what is computed: this TensorFlow cannot run the graph.
        pytest.param(0.5, "absent", id="not-the-default"),
    ],
)
def test_an_attribute_of_a_later_tensorflow(save_graph, run_reference, value, state):
    saved = save_graph(normalized)
    meta = meta_graph_pb2.MetaGraphDef.FromString(Path(saved.meta_path).read_bytes())
    for op in meta.meta_info_def.stripped_op_list.op:
        if op.name == "FusedBatchNormV3":
            attribute = op.attr.add(name="exponential_avg_factor", type="float")
            attribute.default_value.f = 1.0
    for node in meta.graph_def.node:
        if node.op == "FusedBatchNormV3":
            node.attr["exponential_avg_factor"].f = value
    Path(saved.meta_path).write_bytes(meta.SerializeToString())
    result, _ = run_reference(saved, ["x:0"], ["out:0"])
    assert result.state == state
    if state == "absent":
        assert "TensorFlow cannot import the graph: " in result.reason
        assert "exponential_avg_factor" in result.reason


RUN_WITH_CONTRIB_OP = """
import sys, warnings
warnings.simplefilter("ignore")
from stage_extract.reference import operators
from tensorflow.core.framework import graph_pb2
graph_def = graph_pb2.GraphDef()
graph_def.node.add(name="sampled", op="Resampler")
assert operators.unregistered_ops(graph_def) == {"Resampler": "sampled"}
assert not [name for name in sys.modules if "contrib.resampler" in name]
operators.register_ops(graph_def)
assert operators.unregistered_ops(graph_def) == {}
"""


def test_a_real_op_of_contrib_becomes_known():
    # In a process of its own: once contrib is imported it stays.
    done = subprocess.run(
        [sys.executable, "-c", RUN_WITH_CONTRIB_OP],
        cwd=str(REPOSITORY),
        stderr=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_meta_that_is_no_protocol_buffer_leaves_no_reference(save_graph, run_reference, tmp_path):
    path = tmp_path / "broken.meta"
    path.write_bytes(b"\xff" * 40)
    with pytest.raises(ReferenceUnavailable, match=r"the \.meta file cannot be read: "):
        read_graph(MetaFile(str(path)))


def test_an_op_of_cudnn_is_said_to_need_a_gpu(save_graph, run_reference):
    saved = save_graph(two_images)
    replace_op(saved.meta_path, "special", "CudnnRNN")
    result, _ = run_reference(saved, ["x:0"], ["out:0"])
    assert result.state == "absent"
    assert result.reason == (
        "node 'special' (op CudnnRNN) runs on GPUs alone, and the reference run has none: today's "
        "GPUs do not run TensorFlow 1.15"
    )
