"""CudnnLSTM and CudnnGRU: one op, whose variables the restoring part of the graph names.

The op has no CPU kernel, so nothing is computed here; TensorFlow's own cells for CPUs, which read
the same variables, are in the other tables.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

import pytest
import tensorflow as tf
from tensorflow.contrib import cudnn_rnn

from stage_extract.reader import VariableInfo
from tests.extract.graph.graph_case import describe_meta
from tests.extract.graph.recurrent.case import axes_of, recurrent

v1 = tf.compat.v1
UNITS, INPUTS = 3, 5


def describe_cudnn(
    make: Any, shapes: Mapping[str, Tuple[int, ...]], **options: Any
) -> Mapping[str, Any]:
    """Describe a network of one such layer; `shapes` of what a GPU would have saved."""
    with tf.Graph().as_default():
        source = v1.placeholder(tf.float32, [None, 7, INPUTS], name="x")
        steps = tf.transpose(source, [1, 0, 2])
        outputs, _ = make(num_units=UNITS, name="net", **options)(steps)
        v1.layers.dense(tf.transpose(outputs, [1, 0, 2]), 2, name="logits")
        meta = v1.train.Saver().export_meta_graph()
    names = {**shapes, "logits/kernel": (3, 2), "logits/bias": (2,)}
    infos = [VariableInfo(name, "float32", shape) for name, shape in sorted(names.items())]
    return describe_meta(meta.SerializeToString(), infos).to_json()


def lstm_shapes(scope: str, inputs: int) -> Dict[str, Tuple[int, ...]]:
    cell = f"{scope}/cudnn_compatible_lstm_cell"
    return {f"{cell}/kernel": (inputs + UNITS, 4 * UNITS), f"{cell}/bias": (4 * UNITS,)}


def told(document: Mapping[str, Any]) -> List[Any]:
    """Give what differs between the layers of one op."""
    return [
        (
            layer["variables"].get("kernel"),
            layer["attributes"]["input_size"],
            layer["attributes"]["direction"],
            layer["input"],
            layer["output"],
        )
        for layer in recurrent(document)
    ]


def test_stack() -> None:
    scopes = [f"net/rnn/multi_rnn_cell/cell_{index}" for index in (0, 1)]
    shapes = {**lstm_shapes(scopes[0], INPUTS), **lstm_shapes(scopes[1], UNITS)}
    document = describe_cudnn(cudnn_rnn.CudnnLSTM, shapes, num_layers=2)
    kernels = [f"{scope}/cudnn_compatible_lstm_cell/kernel" for scope in scopes]
    assert told(document) == [
        (kernels[0], INPUTS, "forward", "x:0", None),
        (kernels[1], UNITS, "forward", None, "transpose_1:0"),
    ]
    first = recurrent(document)[0]
    assert first["reason"] == "its op gives no tensor with its outputs alone"
    assert axes_of(document, first) == {"kernel": "(IR)(GU)", "bias": "(GU)"}
    said = {key: first["attributes"][key] for key in ("cell", "gate_order", "forget_bias", "loop")}
    assert said == {
        "cell": "lstm_cudnn",
        "gate_order": "ijfo",
        "forget_bias": 0.0,
        "loop": "fused",
    }
    assert [one["kind"] for one in document["layers"]] == ["lstm", "lstm", "dense"]


def test_both_directions() -> None:
    scopes = [
        f"net/stack_bidirectional_rnn/cell_{index}/bidirectional_rnn/{way}"
        for index in (0, 1)
        for way in ("fw", "bw")
    ]
    inputs = [INPUTS, INPUTS, 2 * UNITS, 2 * UNITS]
    shapes: Dict[str, Tuple[int, ...]] = {}
    for scope, size in zip(scopes, inputs):
        shapes.update(lstm_shapes(scope, size))
    document = describe_cudnn(cudnn_rnn.CudnnLSTM, shapes, num_layers=2, direction="bidirectional")
    kernels = [f"{scope}/cudnn_compatible_lstm_cell/kernel" for scope in scopes]
    assert told(document) == [
        (kernels[0], INPUTS, "forward", "x:0", None),
        (kernels[1], INPUTS, "backward", "x:0", None),
        (kernels[2], 2 * UNITS, "forward", None, None),
        (kernels[3], 2 * UNITS, "backward", None, None),
    ]
    # One op stands for all.
    assert len({layer["op"] for layer in recurrent(document)}) == 1


def test_gru() -> None:
    cell = "net/rnn/multi_rnn_cell/cell_0/cudnn_compatible_gru_cell"
    expected = {
        "gate_kernel": f"{cell}/gates/kernel",
        "gate_bias": f"{cell}/gates/bias",
        "candidate_input_kernel": f"{cell}/candidate/input_projection/kernel",
        "candidate_input_bias": f"{cell}/candidate/input_projection/bias",
        "candidate_recurrent_kernel": f"{cell}/candidate/hidden_projection/kernel",
        "candidate_recurrent_bias": f"{cell}/candidate/hidden_projection/bias",
    }
    sizes = [(INPUTS + UNITS, 2 * UNITS), (2 * UNITS,), (INPUTS, UNITS), (UNITS,)]
    sizes += [(UNITS, UNITS), (UNITS,)]
    document = describe_cudnn(cudnn_rnn.CudnnGRU, dict(zip(expected.values(), sizes)), num_layers=1)
    (layer,) = recurrent(document)
    assert layer["variables"] == expected
    assert (layer["input"], layer["output"]) == ("x:0", "transpose_1:0")
    said = {key: layer["attributes"][key] for key in ("cell", "gate_order", "reset_after", "units")}
    assert said == {"cell": "gru_cudnn", "gate_order": "ru", "reset_after": True, "units": UNITS}
    assert axes_of(document, layer)["candidate_recurrent_kernel"] == "RU"


@pytest.mark.parametrize(
    "missing",
    [
        pytest.param("net/rnn/multi_rnn_cell/cell_0/cudnn_compatible_lstm_cell/bias", id="bias"),
        pytest.param(None, id="all"),
    ],
)
def test_without_its_variables_it_stays_what_it_was(missing: Any) -> None:
    shapes = lstm_shapes("net/rnn/multi_rnn_cell/cell_0", INPUTS)
    kept = {name: size for name, size in shapes.items() if missing and name != missing}
    document = describe_cudnn(
        cudnn_rnn.CudnnLSTM, {**kept, "net/opaque_kernel": (152,)}, num_layers=1
    )
    assert [one["kind"] for one in document["layers"]] == ["other", "dense"]
    assert document["layers"][0]["variables"] == {"operand_3": "net/opaque_kernel"}
