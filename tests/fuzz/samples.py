"""Small real files of every format, written by TensorFlow 1.15 itself.

    python3.7 tests/fuzz/samples.py FOLDER

Makes a folder a format below FOLDER. Runs once before the fuzzing; nothing of it is kept.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import warnings
import zipfile
from typing import Any, Callable, Dict

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tensorflow

import numpy

compat = tensorflow.compat.v1
compat.logging.set_verbosity(compat.logging.ERROR)


def _network(trained: bool) -> Any:
    """A convolution, a batch norm, a partitioned table, a dense layer; as trained, or as used."""
    image = compat.placeholder("float32", [None, 4, 5, 3], name="image")
    words = compat.placeholder("int32", [None, 2], name="words")
    table = compat.get_variable(
        "table", [7, 3], partitioner=compat.fixed_size_partitioner(2), use_resource=True
    )
    seen = compat.layers.conv2d(image, 6, [2, 3], name="conv")
    seen = compat.nn.relu(compat.layers.batch_normalization(seen, name="norm"))
    flat = compat.layers.flatten(seen)
    word = compat.reduce_mean(compat.nn.embedding_lookup(table.as_tensor(), words), 1)
    scores = compat.layers.dense(compat.concat([flat, word], 1), 4, name="scores")
    result = compat.nn.softmax(scores, name="result")
    if trained:
        step = compat.train.get_or_create_global_step()
        loss = compat.reduce_mean(compat.square(result))
        compat.train.AdamOptimizer().minimize(loss, global_step=step)
    return image, words, result


def _session(save: Callable[[Any, Any], None], trained: bool = False) -> None:
    with compat.Graph().as_default(), compat.Session() as session:
        compat.set_random_seed(3)
        ends = _network(trained)
        session.run(compat.global_variables_initializer())
        save(session, ends)


def _checkpoint(folder: str, version: int, sharded: bool = False, trained: bool = False) -> None:
    def save(session: Any, ends: Any) -> None:
        saver = compat.train.Saver(write_version=version, sharded=sharded)
        saver.save(session, os.path.join(folder, "model.ckpt"), global_step=20)

    _session(save, trained)


def v2(folder: str) -> None:
    _checkpoint(folder, compat.train.SaverDef.V2)


def v2_trained(folder: str) -> None:
    _checkpoint(folder, compat.train.SaverDef.V2, trained=True)


def v2_sharded(folder: str) -> None:
    """Two devices, so that the saver writes two shards."""
    with compat.Graph().as_default():
        for number in range(2):
            with compat.device(f"/cpu:{number}"):
                compat.get_variable(f"part{number}", [3, 5 + number])
        options = compat.ConfigProto(device_count={"CPU": 2})
        with compat.Session(config=options) as session:
            session.run(compat.global_variables_initializer())
            compat.train.Saver(sharded=True).save(session, os.path.join(folder, "model.ckpt"))


def v1(folder: str) -> None:
    _checkpoint(folder, compat.train.SaverDef.V1)


def v1_sharded(folder: str) -> None:
    _checkpoint(folder, compat.train.SaverDef.V1, sharded=True)


def _saved_model(folder: str, as_text: bool) -> None:
    def save(session: Any, ends: Any) -> None:
        builder = compat.saved_model.Builder(os.path.join(folder, "saved"))
        image, words, result = ends
        signature = compat.saved_model.predict_signature_def(
            {"image": image, "words": words}, {"result": result}
        )
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save(as_text=as_text)

    _session(save)


def saved_model(folder: str) -> None:
    _saved_model(folder, as_text=False)


def saved_model_text(folder: str) -> None:
    _saved_model(folder, as_text=True)


def _frozen(folder: str, name: str, as_text: bool) -> None:
    def save(session: Any, ends: Any) -> None:
        graph = session.graph.as_graph_def()
        frozen = compat.graph_util.convert_variables_to_constants(session, graph, ["result"])
        compat.train.write_graph(frozen, folder, name, as_text=as_text)

    _session(save)


def frozen_graph(folder: str) -> None:
    _frozen(folder, "frozen.pb", as_text=False)


def frozen_graph_text(folder: str) -> None:
    _frozen(folder, "frozen.pbtxt", as_text=True)


def session_bundle(folder: str) -> None:
    """What TensorFlow Serving read before SavedModels: V1 shards and export.meta."""

    def save(session: Any, ends: Any) -> None:
        saver = compat.train.Saver(write_version=compat.train.SaverDef.V1, sharded=True)
        saver.save(session, os.path.join(folder, "export"), meta_graph_suffix="meta")

    _session(save)


def _keras(folder: str, save: Callable[[Any, str], None], name: str) -> None:
    with compat.Graph().as_default(), compat.Session().as_default():
        layers = compat.keras.layers
        model = compat.keras.Sequential(
            [layers.Conv2D(3, 2, input_shape=(5, 4, 2)), layers.Flatten(), layers.Dense(6)]
        )
        save(model, os.path.join(folder, name))


def keras_hdf5(folder: str) -> None:
    _keras(folder, lambda model, path: model.save(path), "model.h5")


def keras_weights(folder: str) -> None:
    _keras(folder, lambda model, path: model.save_weights(path), "weights.h5")


def object_based(folder: str) -> None:
    _keras(folder, lambda model, path: model.save_weights(path, save_format="tf"), "model")


def _archived(folder: str) -> str:
    inside = os.path.join(folder, "inside")
    os.makedirs(inside)
    v2(inside)
    return inside


def archive_tar(folder: str) -> None:
    inside = _archived(folder)
    with tarfile.open(os.path.join(folder, "model.tar"), "w") as archive:
        archive.add(inside, "model")
    shutil.rmtree(inside)


def archive_tar_gz(folder: str) -> None:
    inside = _archived(folder)
    with tarfile.open(os.path.join(folder, "model.tar.gz"), "w:gz") as archive:
        archive.add(inside, "model")
    shutil.rmtree(inside)


def archive_zip(folder: str) -> None:
    inside = _archived(folder)
    with zipfile.ZipFile(os.path.join(folder, "model.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(os.listdir(inside)):
            archive.write(os.path.join(inside, name), "model/" + name)
    shutil.rmtree(inside)


FORMATS: Dict[str, Callable[[str], None]] = {
    "V2": v2,
    "V2, of a training": v2_trained,
    "V2, sharded": v2_sharded,
    "V1": v1,
    "V1, sharded": v1_sharded,
    "SavedModel": saved_model,
    "SavedModel, text": saved_model_text,
    "frozen graph": frozen_graph,
    "frozen graph, text": frozen_graph_text,
    "session bundle": session_bundle,
    "Keras HDF5": keras_hdf5,
    "Keras weights": keras_weights,
    "object-based": object_based,
    "tar": archive_tar,
    "tar.gz": archive_tar_gz,
    "zip": archive_zip,
}


def main() -> None:
    """Command line."""
    numpy.random.seed(5)
    for name, make in FORMATS.items():
        folder = os.path.join(sys.argv[1], name)
        os.makedirs(folder)
        make(folder)


if __name__ == "__main__":
    main()
