"""Which Keras models may be rebuilt: those whose configuration names nothing but Keras' own parts.

A configuration is data, but Keras makes Python objects of it, and a Lambda layer holds Python code.
"""

from __future__ import annotations

import inspect
import json
from typing import Any, FrozenSet, Iterator, Mapping, Tuple

from google.protobuf import json_format
from tensorflow.core.framework import node_def_pb2
from tensorflow.python.keras import constraints, initializers, regularizers
from tensorflow.python.keras.engine.base_layer import Layer
from tensorflow.python.keras.engine.network import Network
from tensorflow.python.keras.layers import serialization

from stage_extract.graph.graphdef import GraphUnreadable
from stage_extract.reference.effects import stays_inside

_MODELS = frozenset(("Model", "Network", "Sequential"))
_WITH_CODE = frozenset(("Lambda",))
_KERAS_LAYERS = ("tensorflow.python.keras.layers.", "tensorflow.python.keras.engine.")
# Its wrappers keep Python functions.
_WRAPPERS_WITH_CODE = "tensorflow.python.keras.layers.rnn_cell_wrapper"
_WRAPPED_OP = "TensorFlowOpLayer"


def _classes(module: Any, base: type) -> Iterator[str]:
    for name, value in vars(module).items():
        if inspect.isclass(value) and issubclass(value, base):
            yield name


def _layers() -> Iterator[str]:
    # Keras adds models and layers of others to this module while it builds.
    for name, value in vars(serialization).items():
        if not inspect.isclass(value) or not issubclass(value, Layer):
            continue
        if issubclass(value, Network) or value.__module__.startswith(_WRAPPERS_WITH_CODE):
            continue
        if value.__module__.startswith(_KERAS_LAYERS) and name not in _WITH_CODE:
            yield name


def known_classes() -> FrozenSet[str]:
    """Give the names of the classes that a configuration may name."""
    return _MODELS | frozenset(
        (
            *_layers(),
            *serialization._DESERIALIZATION_TABLE,
            *_classes(initializers, initializers.Initializer),
            *_classes(regularizers, regularizers.Regularizer),
            *_classes(constraints, constraints.Constraint),
        )
    )


def read_config(text: str) -> Mapping[str, Any]:
    """Decode a model's configuration and make sure that it is safe to build.

    Args:
        text: JSON, as Keras stores it in the attribute model_config.

    Raises:
        GraphUnreadable: it is no such JSON, or it names code or a class that is not Keras' own.
    """
    try:
        config: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GraphUnreadable(f"its model_config is no JSON ({error})") from error
    named = config.get("class_name") if isinstance(config, dict) else None
    if not isinstance(named, str) or named not in _MODELS:
        raise GraphUnreadable(f"its model is a {named!r}, which Keras of TensorFlow 1.15 lacks")
    checked: Mapping[str, Any] = config
    known = known_classes()
    for place, entry in _entries(checked):
        _check(place, entry, known)
    return checked


def _entries(config: Any) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    """Give every object of a configuration that names a class, with the name of its layer."""
    pending = [("", config)]
    while pending:
        place, value = pending.pop()
        if isinstance(value, dict):
            inner = value.get("config")
            if isinstance(inner, dict) and isinstance(inner.get("name"), str):
                place = inner["name"]
            if "class_name" in value:
                yield place, value
            pending += [(place, one) for one in value.values()]
        elif isinstance(value, list):
            pending += [(place, one) for one in value]


def _check(place: str, entry: Mapping[str, Any], known: FrozenSet[str]) -> None:
    name = entry["class_name"]
    if isinstance(name, str) and name in _WITH_CODE:
        raise GraphUnreadable(
            f"its layer {place!r} is a {name}, which holds Python code, and none is run"
        )
    if not isinstance(name, str) or name not in known:
        raise GraphUnreadable(
            f"its layer {place!r} needs the class {name!r}, which is not one of Keras of "
            "TensorFlow 1.15"
        )
    if name == _WRAPPED_OP:
        _check_wrapped_op(place, entry.get("config"))


def _check_wrapped_op(place: str, config: Any) -> None:
    """Refuse an op that reaches outside: TensorFlow computes some while a graph is built."""
    described = config.get("node_def") if isinstance(config, dict) else None
    try:
        node = json_format.ParseDict(described, node_def_pb2.NodeDef())
    except (json_format.ParseError, AttributeError, TypeError, ValueError) as error:
        raise GraphUnreadable(f"the op of its layer {place!r} cannot be read") from error
    if not stays_inside(node):
        raise GraphUnreadable(
            f"its layer {place!r} is the op {node.op}, which is not known or may read or write "
            "outside the graph"
        )
