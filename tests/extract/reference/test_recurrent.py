"""The reference run holds what recurrent layers give, which lies behind their loops."""

from __future__ import annotations

import numpy
import pytest
import tensorflow
from tensorflow.contrib import rnn

from stage_extract.graph.describe import describe
from stage_extract.graph.meta_file import MetaFile
from stage_extract.jobs import ExtractOptions
from stage_extract.reader import VariableInfo
from stage_extract.reference.filling import RestoringFiller
from stage_extract.reference.record import record
from tests.extract.reference.conftest import read_safetensors

compat = tensorflow.compat.v1
cells = compat.nn.rnn_cell


def stacked():
    """Two cells in one loop: the lower one's outputs stay inside."""
    x = compat.placeholder("float32", [None, 4, 3], name="x")
    both = cells.MultiRNNCell([cells.GRUCell(5), cells.LSTMCell(6, num_proj=2)])
    return compat.nn.dynamic_rnn(both, x, dtype="float32")[0]


def bidirectional():
    x = compat.placeholder("float32", [None, 4, 3], name="x")
    lengths = compat.placeholder("int32", [None], name="lengths")
    pair = [cells.BasicLSTMCell(size) for size in (5, 6)]
    outputs, _ = compat.nn.bidirectional_dynamic_rnn(*pair, x, lengths, dtype="float32")
    return tensorflow.concat(outputs, 2)


def fused():
    x = compat.placeholder("float32", [4, None, 3], name="x")
    return rnn.LSTMBlockFusedCell(5)(x, dtype="float32")[0]


def trained():
    """Gradients of a loop read its tensors too."""
    x = compat.placeholder("float32", [None, 4, 3], name="x")
    outputs, _ = compat.nn.dynamic_rnn(cells.BasicLSTMCell(5), x, dtype="float32")
    labels = compat.placeholder("float32", [None, 4, 5])
    loss = compat.losses.mean_squared_error(labels, outputs)
    compat.train.GradientDescentOptimizer(0.1).minimize(loss)
    return outputs


@pytest.mark.parametrize(
    ("build", "recorded"),
    [
        pytest.param(stacked, ["rnn/transpose_1:0"], id="stacked"),
        pytest.param(
            bidirectional,
            ["bidirectional_rnn/fw/fw/transpose_1:0", "ReverseSequence:0"],
            id="bidirectional",
        ),
        pytest.param(fused, ["lstm_fused_cell/BlockLSTM:6"], id="fused"),
        pytest.param(trained, ["rnn/transpose_1:0"], id="trained"),
    ],
)
def test_outputs_of_recurrent_layers_are_recorded(build, recorded, save_graph, tmp_path):
    saved = save_graph(lambda: compat.layers.dense(build(), 2, name="top"))
    variables = [
        VariableInfo(name, value.dtype.name, value.shape) for name, value in saved.values.items()
    ]
    description = describe(MetaFile(saved.meta_path), variables, ExtractOptions())
    assert not any(one["kind"] == "other" for one in description.to_json()["layers"])
    path = tmp_path / "reference.safetensors"
    result = record(
        MetaFile(saved.meta_path),
        RestoringFiller(saved.prefix),
        description,
        ExtractOptions(),
        str(path),
    )
    assert (result.state, result.reason) == ("recorded", None)
    assert all(layer.recorded for layer in result.layers)
    named = [layer.tensor for layer in result.layers]
    assert [name for name in named if not name.startswith("top")] == recorded
    tensors = read_safetensors(path)
    assert all(numpy.abs(tensors[name]).max() > 0 for name in recorded)
