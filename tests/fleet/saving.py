"""Saves one graph again and again with other weights, in formats that people have (Python 3.7)."""

from __future__ import annotations

import os
from typing import Any, Callable, Iterable, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

# Where, and the seed of the weights.
Place = Tuple[str, int]
PREFIX_NAME = "model.ckpt"
TWO_DEVICES = tf.ConfigProto(device_count={"CPU": 2})


def drawn(name: str, shape: Iterable[int], random: np.random.RandomState) -> Any:
    """A value in the range of a trained variable's."""
    shape = tuple(shape)
    if "variance" in name or "Adam_1" in name:
        return random.uniform(0.5, 2.0, shape)
    if not shape:
        return 0.9
    return random.normal(0.0, 0.5, shape)


def draw_all(session: tf.Session, seed: int) -> None:
    """Give every variable of the graph another value."""
    random = np.random.RandomState(seed)
    for variable in tf.global_variables():
        dtype = variable.dtype.base_dtype.as_numpy_dtype
        value = drawn(variable.op.name, variable.shape.as_list(), random)
        variable.load(np.asarray(value).astype(dtype), session)


def save_checkpoints(build: Callable[[], Any], places: Iterable[Place], **options: Any) -> None:
    """Folders with a checkpoint, as a training script leaves them; `options` are the Saver's."""
    with tf.Graph().as_default(), tf.Session(config=TWO_DEVICES) as session:
        build()
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(**options)
        for folder, seed in places:
            draw_all(session, seed)
            os.makedirs(folder)
            # It would name the other folders, too, as earlier checkpoints of this run.
            saver.set_last_checkpoints([])
            saver.save(session, os.path.join(folder, PREFIX_NAME))


def save_models(build: Callable[[], Any], places: Iterable[Place]) -> None:
    """SavedModels that serve `words` -> `probabilities`."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        build()
        session.run(tf.global_variables_initializer())
        ends = [graph.get_tensor_by_name(name + ":0") for name in ("words", "probabilities")]
        signature = tf.saved_model.predict_signature_def({"words": ends[0]}, {"scores": ends[1]})
        saver = tf.train.Saver(sharded=True)
        for folder, seed in places:
            draw_all(session, seed)
            builder = tf.saved_model.Builder(folder)
            builder.add_meta_graph_and_variables(
                session, ["serve"], {"serving_default": signature}, saver=saver
            )
            builder.save()


def save_frozen(build: Callable[[], Any], places: Iterable[Place]) -> None:
    """Frozen graphs that end in `y`, a file each."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        build()
        session.run(tf.global_variables_initializer())
        definition = graph.as_graph_def()
        for path, seed in places:
            draw_all(session, seed)
            frozen = tf.graph_util.convert_variables_to_constants(session, definition, ["y"])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(frozen.SerializeToString())


def save_keras(build: Callable[[], Any], places: Iterable[Place]) -> None:
    """Whole models of Keras, an HDF5 file each."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.keras.backend.set_session(session)
        model = build()
        for path, seed in places:
            random = np.random.RandomState(seed)
            names = [variable.name for variable in model.weights]
            shapes = [value.shape for value in model.get_weights()]
            model.set_weights([drawn(*pair, random) for pair in zip(names, shapes)])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            model.save(path)
