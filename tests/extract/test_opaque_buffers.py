"""cuDNN's buffer stays out where the checkpoint holds what it is made from."""

from __future__ import annotations

import pytest
import tensorflow
from tensorflow.contrib import cudnn_rnn

from stage_extract.graph.meta_file import MetaFile
from stage_extract.reader import VariableInfo
from stage_extract.selecting.optimizer_graph import optimizer_hints
from stage_extract.selecting.selection import OPAQUE_BUFFER, select

compat = tensorflow.compat.v1
CELL = "net/rnn/multi_rnn_cell/cell_0/cudnn_compatible_lstm_cell"
KERNEL = VariableInfo(f"{CELL}/kernel", "float32", (8, 12))
BIAS = VariableInfo(f"{CELL}/bias", "float32", (12,))
BUFFER = VariableInfo("net/opaque_kernel", "float32", (120,))


@pytest.fixture(scope="module")
def hints(tmp_path_factory):
    """What the graph of a CudnnLSTM says."""
    path = str(tmp_path_factory.mktemp("cudnn") / "model.meta")
    with compat.Graph().as_default():
        x = compat.placeholder("float32", [7, None, 5])
        cudnn_rnn.CudnnLSTM(1, 3, name="net")(x)
        compat.train.Saver().export_meta_graph(path)
    return optimizer_hints(MetaFile(path))


def test_a_buffer_that_is_made_from_others_stays_out(hints):
    selection = select([BIAS, KERNEL, BUFFER], hints, keep_optimizer=False)
    assert selection.kept == (BIAS, KERNEL)
    (left_out,) = selection.skipped
    assert (left_out.variable, left_out.category) == (BUFFER, OPAQUE_BUFFER)
    assert left_out.reason == f"cuDNN's own arrangement of {CELL}/bias and what belongs to it"


def test_a_buffer_that_stands_alone_is_kept(hints):
    selection = select([KERNEL, BUFFER], hints, keep_optimizer=False)
    assert selection.kept == (KERNEL, BUFFER)
