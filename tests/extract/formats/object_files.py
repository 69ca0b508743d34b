"""Object-based checkpoints for the tests, written by TensorFlow 1.15."""

from __future__ import annotations

import json
from typing import Any, Dict

import numpy
import tensorflow
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from stage_extract.selecting.object_graph import OBJECT_GRAPH_KEY

compat = tensorflow.compat.v1
keras = tensorflow.keras
layers = keras.layers
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def convolutions() -> Any:
    return keras.Sequential(
        [
            layers.InputLayer((9, 7, 3)),
            layers.Conv2D(5, 3, name="zebra"),
            layers.BatchNormalization(name="middle"),
            layers.Conv2D(4, 2, name="ant"),
            layers.Flatten(),
            layers.Dense(6, name="Alpha"),
        ]
    )


def save_keras(path: Any, build: Any = convolutions, train: bool = False) -> str:
    """Save as `save_weights` does in TensorFlow's own format."""
    with tensorflow.Graph().as_default(), compat.Session() as session:
        keras.backend.set_session(session)
        model = build()
        if train:
            model.compile("adam", "mse")
            batch = numpy.random.RandomState(3).rand(2, 9, 7, 3)
            model.fit(batch, numpy.zeros((2, 6)), verbose=0)
        else:
            session.run(compat.global_variables_initializer())
        model.save_weights(str(path), save_format="tf")
    return str(path)


def variable(values: Any, name: str) -> Any:
    return compat.Variable(values.astype("float32"), name=name, use_resource=True)


class Network(tensorflow.Module):
    """Objects as people write them, with names that have to be escaped."""

    def __init__(self) -> None:
        super().__init__()
        random = numpy.random.RandomState(7)
        self.second = variable(random.rand(3, 4), "net")
        self.first = variable(random.rand(4), "net/first")
        # Its name and shape are those of a slot.
        self.Momentum = variable(random.rand(3, 4), "net/Adam_7")
        setattr(self, "a.b/c", variable(random.rand(2), "odd"))


def save_objects(path: Any, **objects: Any) -> str:
    with tensorflow.Graph().as_default(), compat.Session() as session:
        made = {name: build() for name, build in objects.items()}
        checkpoint = tensorflow.train.Checkpoint(**made)
        optimizer = made.get("optimizer")
        if optimizer is not None:
            trained = made["net"].second
            keras_way = isinstance(optimizer, keras.optimizers.Optimizer)
            loss = tensorflow.reduce_sum(trained * trained)
            operation = (
                optimizer.get_updates(loss, [trained])
                if keras_way
                else optimizer.minimize(loss, var_list=[trained])
            )
            session.run(compat.global_variables_initializer())
            session.run(operation)
        session.run(compat.global_variables_initializer())
        return str(checkpoint.save(str(path), session=session))


def graph_of(out: Any) -> Dict[str, Any]:
    return json.loads((out / "graph.json").read_text("utf-8"))


def keys_of(graph: Dict[str, Any]) -> Dict[str, str]:
    listed = [*graph["variables"], *graph["skipped"]]
    return {one["name"]: one.get("key", one["name"]) for one in listed}


def rewrite(prefix: str, target: Any, save_bundle: Any, content: Any) -> str:
    """Write a checkpoint again with another object graph; None for none."""
    reader = tensorflow.train.load_checkpoint(prefix)
    arrays = {
        name: numpy.asarray(reader.get_tensor(name))
        for name in reader.get_variable_to_shape_map()
        if name != OBJECT_GRAPH_KEY
    }
    if content is not None:
        arrays[OBJECT_GRAPH_KEY] = numpy.array(content, object)
    return str(save_bundle(target, arrays))


def object_graph(prefix: str) -> TrackableObjectGraph:
    proto = TrackableObjectGraph()
    proto.ParseFromString(tensorflow.train.load_checkpoint(prefix).get_tensor(OBJECT_GRAPH_KEY))
    return proto
