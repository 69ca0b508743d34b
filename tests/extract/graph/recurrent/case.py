"""Builds recurrent networks, describes them, and computes each layer anew from its description."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

import numpy
import tensorflow as tf

from tests.extract.graph.graph_case import describe_meta, saved_variables
from tests.extract.graph.recurrent.numpy_cells import Result, run_layer

v1 = tf.compat.v1
KINDS = ("gru", "lstm")
# Names inside a loop depend on the wrapper.
_NAMES = ("final_state", "initial_state", "step_input", "step_output")
LENGTHS = [4, 7]
ROWS = len(LENGTHS)


class Built(NamedTuple):
    """What a wrapper was given and what it returned.

    Attributes:
        feeds: the sequence and what else is fed.
        outputs: what each layer's `output` must be equal to, None where it has none.
        others: what the network reads besides.
    """

    feeds: Sequence[Any]
    outputs: Sequence[Any]
    others: Sequence[Any] = ()


def sequence(time: Any = 7, features: int = 5) -> Any:
    """Give a sequence [N, T, features] of unknown batch size."""
    return v1.placeholder(tf.float32, [None, time, features], name="x")


def lengths() -> Any:
    """Give the lengths [N] of sequences."""
    return v1.placeholder(tf.int32, [None], name="lengths")


def check(build: Callable[[], Built], also: Sequence[str] = ()) -> Mapping[str, Any]:
    """Build a network with a dense layer on top, describe it, and compute its layers in numpy.

    Args:
        also: names of layers that are not recurrent, besides the one on top.

    Returns:
        graph.json's object.
    """
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        built = build()
        read = [one for one in (*built.outputs, *built.others) if one is not None]
        flat = [tf.reshape(one, [1, int(numpy.prod(_sizes(one)))]) for one in read]
        v1.layers.dense(tf.concat(flat, 1), 2, name="logits")
        meta = v1.train.Saver().export_meta_graph()
        document = describe_meta(meta.SerializeToString(), saved_variables()).to_json()
        assert [one["tensor"] for one in document["outputs"]] == ["logits/BiasAdd:0"]
        _assert_no_other_layer(document, [*also, "logits"])
        layers = recurrent(document)
        Comparison(session, built).compare(layers)
    return document


def _sizes(tensor: Any) -> List[int]:
    return [ROWS if size is None else size for size in tensor.shape.as_list()]


def recurrent(document: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    """Give the recurrent layers."""
    return [one for one in document["layers"] if one["kind"] in KINDS]


def _assert_no_other_layer(document: Mapping[str, Any], others: Sequence[str]) -> None:
    """Every variable of a cell has its role in recurrent layers alone."""
    assert [one["name"] for one in document["layers"] if one["kind"] not in KINDS] == others
    for layer in recurrent(document):
        for role, name in layer["variables"].items():
            entry = next(one for one in document["variables"] if one["name"] == name)
            assert (entry["role"], entry["op_kind"]) == (role, layer["kind"])
            assert layer["index"] in entry["layers"]


class Comparison:
    """Fetches what a description names, and compares it with numpy's results."""

    def __init__(self, session: Any, built: Built) -> None:
        self._session = session
        self._built = built
        draw = numpy.random.RandomState(9)
        self._feeds = {
            one: numpy.array(LENGTHS) if one.dtype.is_integer else draw.uniform(-1, 1, _sizes(one))
            for one in built.feeds
        }
        session.run(v1.global_variables_initializer())
        self._values = {}
        for variable in v1.global_variables():
            # Small, so that no gate is saturated; biases too, which otherwise start as zeros.
            value = draw.uniform(-0.7, 0.7, variable.shape.as_list()).astype(numpy.float32)
            variable.load(value, session)
            self._values.update(self._named(variable, value))

    def _named(self, variable: Any, value: Any) -> Dict[str, Any]:
        info = variable._get_save_slice_info()  # TensorFlow offers no public way to ask.
        if info is None:
            return {variable.op.name: value}
        before = self._values.get(info.full_name)
        return {info.full_name: value if before is None else numpy.concatenate([before, value])}

    def compare(self, layers: Sequence[Mapping[str, Any]]) -> None:
        """Compute every layer; compare its outputs, and what it leaves behind."""
        assert len(layers) == len(self._built.outputs)
        inside: Dict[str, Any] = {}
        for layer, expected in zip(layers, self._built.outputs):
            assert (layer["output"] is None) == (expected is None) == (layer["reason"] is not None)
            result = self._run(layer, inside)
            inside[layer["attributes"]["step_output"]] = result.outputs
            if expected is not None:
                computed = self._in_axes(layer, result.outputs)
                _assert_equal(self._fetch(layer["output"]), computed)
                _assert_equal(self._fetch(expected), computed)
            for name, tensor in (layer["attributes"]["final_state"] or {}).items():
                if tensor is not None:
                    _assert_equal(self._fetch(tensor), result.state[name])

    def _run(self, layer: Mapping[str, Any], inside: Mapping[str, Any]) -> Result:
        attributes = layer["attributes"]
        if layer["input"] is None:
            data = inside[attributes["step_input"]]
        else:
            data = self._in_axes(layer, self._fetch(layer["input"]))
        initial = attributes["initial_state"] or {}
        states = {name: self._fetch(tensor) for name, tensor in initial.items()}
        lengths = self._fetch(attributes["sequence_length"])
        return run_layer(layer, self._values, data, lengths, states)

    def _fetch(self, tensor: Any) -> Optional[Any]:
        return None if tensor is None else self._session.run(tensor, self._feeds)

    def _in_axes(self, layer: Mapping[str, Any], value: Any) -> Any:
        """Swap time and batch where the layer has time first; give a single step a time axis."""
        if layer["attributes"]["loop"] == "step":
            return value[:, None] if value.ndim == 2 else value[:, 0]
        return value.transpose(1, 0, 2) if layer["attributes"]["time_major"] else value


def _assert_equal(found: Any, expected: Any) -> None:
    assert numpy.abs(expected).max() > 1e-3
    numpy.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def attributes_of(layer: Mapping[str, Any]) -> Dict[str, Any]:
    """Give the attributes of a recurrent layer without the names of tensors."""
    return {key: value for key, value in layer["attributes"].items() if key not in _NAMES}


def axes_of(document: Mapping[str, Any], layer: Mapping[str, Any]) -> Dict[str, Any]:
    """Give role -> axes of a layer."""
    letters = {one["name"]: one["source_axes"] for one in document["variables"]}
    return {role: letters[name] for role, name in layer["variables"].items()}
