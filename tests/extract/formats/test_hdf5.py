"""HDF5 files of Keras: the names, values and order of the weights."""

from __future__ import annotations

import json

import h5py
import numpy
import pytest

from stage_extract.hdf5 import pieces
from stage_extract.hdf5.file import HdfFile
from stage_extract.hdf5.layout import Weight, read_layout
from tests.extract.formats import keras_files


def graph_of(out):
    return json.loads((out / "graph.json").read_text("utf-8"))


MODELS = {
    build.__name__: build
    for build in (
        keras_files.sequential,
        keras_files.branches,
        keras_files.nested,
        keras_files.recurrent,
        keras_files.upsampling,
    )
}


@pytest.mark.parametrize(
    ("name", "whole"),
    [*((name, True) for name in MODELS), ("sequential", False), ("nested", False)],
)
def test_every_weight_leaves_bit_for_bit(
    tmp_path, out, run_extraction, read_safetensors, name, whole
):
    saved = keras_files.save(tmp_path / "model.h5", MODELS[name], whole)
    result = run_extraction(saved.path, out).result
    tensors = read_safetensors(out / "variables.safetensors")
    assert set(tensors) == set(saved.weights)
    for key, expected in saved.weights.items():
        assert (tensors[key].dtype, tensors[key].shape) == (expected.dtype, expected.shape)
        assert tensors[key].tobytes() == expected.tobytes(), key
    assert result["checkpoint"]["prefix"] == "model.h5"
    source = graph_of(out)["source"]
    assert (source["checkpoint_format"], source["graph"]) == ("HDF5", "keras" if whole else None)


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".keras", ""])
def test_the_bytes_tell_the_format_and_not_the_name(tmp_path, out, run_extraction, suffix):
    saved = keras_files.save(tmp_path / "model.h5", keras_files.nested, whole=False)
    path = tmp_path / f"weights{suffix}"
    saved.path.rename(path)
    assert run_extraction(path, out).result["variables"] == len(saved.weights)
    assert run_extraction(tmp_path, out).result["checkpoint"]["prefix"] == path.name


def test_layers_without_a_graph_are_guessed_in_the_order_of_the_file(tmp_path, out, run_extraction):
    def build():
        names = ["zebra", "middle", "ant"]
        convolutions = [keras_files.layers.Conv2D(2 + len(one), 3, name=one) for one in names]
        dense = keras_files.layers.Dense(5, name="Alpha")
        flat = [keras_files.layers.Flatten(), dense]
        return keras_files.keras.Sequential(
            [keras_files.layers.InputLayer((9, 9, 2)), *convolutions, *flat]
        )

    saved = keras_files.save(tmp_path / "model.h5", build, whole=False)
    run_extraction(saved.path, out)
    found = [(one["name"], one["kind"], one["evidence"]) for one in graph_of(out)["layers"]]
    assert found == [
        ("zebra", "conv2d", "guessed"),
        ("middle", "conv2d", "guessed"),
        ("ant", "conv2d", "guessed"),
        ("Alpha", "dense", "guessed"),
    ]


def test_weights_of_one_name_get_the_name_of_their_layer(tmp_path, out, run_extraction):
    saved = keras_files.save(tmp_path / "model.h5", keras_files.nested, whole=False)
    with h5py.File(str(saved.path), "r+") as file:
        for layer in ("dense_2", "dense_1"):
            names = [name.decode() for name in file[layer].attrs["weight_names"]]
            for name in names:
                short = name.rpartition("/")[2]
                file[layer].move(name, short)
            del file[layer].attrs["weight_names"]
            file[layer].attrs["weight_names"] = [b"kernel:0", b"bias:0"]
    run_extraction(saved.path, out)
    names = {one["name"] for one in graph_of(out)["variables"]}
    assert {f"dense_{number}/{part}" for number in (1, 2) for part in ("kernel", "bias")} <= names


@pytest.mark.parametrize("keep", [False, True])
def test_the_optimizer_is_known_by_its_place_in_the_file(tmp_path, out, run_extraction, keep):
    saved = keras_files.save(tmp_path / "model.h5", keras_files.nested, train=True)
    result = run_extraction(saved.path, out, keep_optimizer=keep).result
    skipped = graph_of(out)["skipped"]
    slots = 2 * 8
    assert result["variables"] == len(saved.weights) + (slots + 1 if keep else 0)
    assert len(skipped) == (0 if keep else slots + 1)
    assert {one["category"] for one in skipped} == (
        set() if keep else {"optimizer_slot", "step_counter"}
    )


def test_a_weight_that_is_called_like_a_slot_belongs_to_its_layer(tmp_path, out, run_extraction):
    def build():
        return keras_files.keras.Sequential(
            [keras_files.layers.Dense(4, input_shape=(3,), name="training/Adam/x")]
        )

    saved = keras_files.save(tmp_path / "model.h5", build, whole=False)
    assert run_extraction(saved.path, out).result["variables"] == len(saved.weights) == 2


def write_weights(path, **arrays):
    with h5py.File(str(path), "w") as file:
        file.attrs["layer_names"] = [b"layer"]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.2.4"
        group = file.create_group("layer")
        group.attrs["weight_names"] = [name.encode() for name in arrays]
        for name, (values, options) in arrays.items():
            group.create_dataset(name, data=values, **options)
    return path


RANDOM = numpy.random.RandomState(5)
STORED = [
    pytest.param(RANDOM.rand(3, 5).astype(">f4"), {}, id="big-endian"),
    pytest.param(RANDOM.rand(3, 5).astype("float16"), {}, id="float16"),
    pytest.param(RANDOM.rand(3, 5), {}, id="float64"),
    pytest.param(RANDOM.randint(0, 9, (3, 5)).astype(">i8"), {}, id="big-endian-int64"),
    pytest.param(RANDOM.rand(3, 5) > 0.5, {}, id="bool"),
    pytest.param((RANDOM.rand(3) + 1j).astype("complex64"), {}, id="complex64"),
    pytest.param(numpy.float32(2.5), {}, id="scalar"),
    pytest.param(numpy.zeros((0, 3), "float32"), {}, id="empty"),
    pytest.param(RANDOM.rand(30, 7), {"chunks": (4, 3)}, id="chunks"),
    pytest.param(
        RANDOM.rand(30, 7),
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
        id="compressed",
    ),
    pytest.param(RANDOM.rand(30, 7), {"compression": "lzf"}, id="lzf"),
    # Read in parts along each of its axes.
    pytest.param(RANDOM.rand(5, 11, 13), {}, id="pieces"),
]


@pytest.mark.parametrize(("values", "options"), STORED)
def test_stored_in_any_way(
    tmp_path, out, run_extraction, read_safetensors, monkeypatch, values, options
):
    monkeypatch.setattr(pieces, "PIECE_SIZE_BYTES", 64)
    path = write_weights(tmp_path / "model.h5", weight=(values, options))
    run_extraction(path, out)
    found = read_safetensors(out / "variables.safetensors")["weight"]
    assert found.dtype.name == values.dtype.name
    assert found.shape == values.shape
    assert found.tobytes() == values.astype(values.dtype.newbyteorder("<")).tobytes()


def test_a_text_is_listed_and_left_out(tmp_path, out, run_extraction):
    values = numpy.array([b"cat", b"horse"])
    path = write_weights(tmp_path / "model.h5", labels=(values, {}), kernel=(RANDOM.rand(2, 3), {}))
    assert run_extraction(path, out).result["variables"] == 1
    assert [(one["name"], one["category"]) for one in graph_of(out)["skipped"]] == [
        ("labels", "string")
    ]


def test_names_that_keras_cut_into_several_attributes(tmp_path):
    path = tmp_path / "model.h5"
    layers = [f"{number:04}-{'x' * 90}" for number in range(900)]
    with h5py.File(str(path), "w") as file:
        for part in range(3):
            names = layers[part * 300 : (part + 1) * 300]
            file.attrs[f"layer_names{part}"] = [name.encode() for name in names]
        for place, layer in enumerate(layers):
            group = file.create_group(layer)
            group.attrs["weight_names0"] = [b"a:0"]
            group.attrs["weight_names1"] = [b"b:0"]
            group["a:0"] = numpy.float32(place)
            group["b:0"] = numpy.float32(-place)
    file = HdfFile(str(path))
    weights = read_layout(file).weights
    file.close()
    assert [one.layer for one in weights] == [layer for layer in layers for _ in range(2)]
    assert weights[2] == Weight(f"{layers[1]}/a", layers[1], f"{layers[1]}/a:0", "float32", ())


def with_backend(path, backend, version=b"2.2.4", values=None):
    write_weights(path, kernel=(RANDOM.rand(3, 3, 2, 4) if values is None else values, {}))
    with h5py.File(str(path), "r+") as file:
        file.attrs["backend"] = backend
        file.attrs["keras_version"] = version
    return path


def test_kernels_of_theano_are_refused(tmp_path, out, run_extraction):
    error = run_extraction(with_backend(tmp_path / "model.h5", b"theano"), out).error
    assert (error["class"], error["exit_code"]) == ("UnsupportedFormat", 36)
    assert "Theano" in error["happened"]
    assert "which turns them" in error["remedy"]


def test_other_backends_and_kernels_are_the_same_in_tensorflow(tmp_path, out, run_extraction):
    path = with_backend(tmp_path / "model.h5", b"cntk")
    assert run_extraction(path, out).warnings == []
    path = with_backend(tmp_path / "dense.h5", b"theano", values=RANDOM.rand(3, 4))
    assert run_extraction(path, out).warnings == []


def test_keras_1_is_told(tmp_path, out, run_extraction):
    path = with_backend(tmp_path / "model.h5", b"tensorflow", b"1.2.2")
    assert any("Keras 1.2.2 wrote" in text for text in run_extraction(path, out).warnings)


def test_weights_of_keras_1_have_roles(tmp_path, out, run_extraction):
    path = tmp_path / "model.h5"
    arrays = {
        "block1_conv1": {"block1_conv1_W_1:0": (3, 3, 2, 5), "block1_conv1_b_1:0": (5,)},
        "bn": {f"bn_{part}:0": (5,) for part in ("gamma", "beta", "running_mean", "running_std")},
        "fc1": {"fc1_W_1:0": (7, 4), "fc1_b_1:0": (4,)},
    }
    with h5py.File(str(path), "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in arrays]
        for layer, weights in arrays.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in weights]
            for name, shape in weights.items():
                group[name] = RANDOM.rand(*shape).astype("float32")
    run_extraction(path, out)
    layers = graph_of(out)["layers"]
    assert [(one["name"], one["kind"]) for one in layers] == [
        ("block1_conv1", "conv2d"),
        ("bn", "batch_norm"),
        ("fc1", "dense"),
    ]
    assert layers[1]["variables"]["moving_variance"] == "bn_running_std"
