"""`--reader both`: every tensor is read a second time by TensorFlow's own code, and compared."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy
import pytest
import tensorflow

from stage_extract.errors import ReadersDisagree
from stage_extract.formats.opening import open_model
from stage_extract.jobs import parse_job
from stage_extract.reader import VariableInfo
from stage_extract.reference.second_reading import second_reading_of
from stage_extract.storage.bundle_reader import BundleReader
from stage_extract.storage.comparing_reader import ComparingReader

REPOSITORY = Path(__file__).parents[3]
CONTRACT = REPOSITORY / "tests" / "contract"
CHECKPOINTS = CONTRACT / "checkpoints"
DTYPES = (
    "bfloat16",
    "bool",
    "complex64",
    "float16",
    "float32",
    "float64",
    "int16",
    "int32",
    "int64",
    "int8",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
)
V1_DTYPES = tuple(name for name in DTYPES if name not in ("bfloat16", "uint32", "uint64"))
KINDS = ("bare", "reader", "segmenter")


def bits(dtype, *shape):
    """An array of random bits of a type, so that NaN and subnormal numbers are among them."""
    numpy_dtype = tensorflow.as_dtype(dtype).as_numpy_dtype
    size_bytes = numpy.dtype(numpy_dtype).itemsize
    random = numpy.random.RandomState(size_bytes)
    count = int(numpy.prod(shape, dtype=int)) * size_bytes
    data = random.randint(0, 2 if dtype == "bool" else 256, count).astype("uint8")
    return numpy.frombuffer(data.tobytes(), numpy_dtype).reshape(shape)


def rows(array, start, stop):
    """A slice of the rows of an array, and what TensorFlow calls it."""
    text = " ".join(map(str, array.shape)) + f" {start},{stop - start}"
    return array[start:stop], text + ":-" * (array.ndim - 1)


@pytest.fixture
def every_type(tmp_path, save_bundle):
    """The prefix of a V2 checkpoint with every type, a scalar, nothing, and one cut in three."""
    arrays = {dtype: bits(dtype, 3, 5) for dtype in DTYPES}
    whole = bits("float32", 11, 2, 3)
    slices = {}
    for key, start, stop in (("cut", 0, 4), ("cut#1", 4, 8), ("cut#2", 8, 11)):
        arrays[key], slices[key] = rows(whole, start, stop)
    arrays["scalar"], arrays["nothing"] = bits("int64"), bits("float32", 0, 7)
    return save_bundle(tmp_path / "model.ckpt", arrays, slices)


def source_of(path):
    """The context of an open source, as a job opens it."""
    job = parse_job({"job": "1", "command": "inspect", "checkpoint": str(path)})
    return open_model(job, lambda warning: None)


def read_all(reader):
    return {
        info.name: b"".join(map(bytes, reader.pieces(info.name))) for info in reader.variables()
    }


def test_both_agree_on_every_type_and_cut(every_type):
    with source_of(every_type) as source:
        alone, both = source.open_reader(), source.open_reader()
        comparing = ComparingReader(both, second_reading_of(source))
        variables = comparing.variables()
        assert read_all(comparing) == read_all(alone)
        assert comparing.summary(variables) == {"compared": len(DTYPES) + 3, "read_once": []}
        comparing.close()
        comparing.close()
        alone.close()


def save_v1(path, arrays, slices):
    """Save arrays with TensorFlow's SaveSlices; "name#1" is a further slice of "name"."""
    compat = tensorflow.compat.v1
    with compat.Graph().as_default(), compat.Session() as session:
        save = compat.raw_ops.SaveSlices(
            filename=str(path),
            tensor_names=[key.partition("#")[0] for key in arrays],
            shapes_and_slices=[slices.get(key, "") for key in arrays],
            data=[tensorflow.constant(array) for array in arrays.values()],
        )
        session.run(save)
    return path


def v1_file(folder, save_bundle):
    """A V1 file of all types that V1 has, of which TensorFlow's CheckpointReader refuses some."""
    arrays = {dtype: bits(dtype, 3, 5) for dtype in V1_DTYPES}
    arrays["scalar"], arrays["nothing"] = bits("int64"), bits("float32", 0, 7)
    return save_v1(folder / "model.ckpt", arrays, {}), len(arrays)


def v1_shards(folder, save_bundle):
    """A V1 checkpoint in two shards, with a variable cut across them."""
    whole = bits("float32", 11, 2, 3)
    for shard, (start, stop) in enumerate(((0, 4), (4, 11))):
        part, text = rows(whole, start, stop)
        arrays = {"cut": part, f"w{shard}": bits("float64", 2 + shard)}
        save_v1(folder / f"export-0000{shard}-of-00002", arrays, {"cut": text})
    return folder / "export-00000-of-00002", 3


def v1_beside_v2(folder, save_bundle):
    """A V1 file where a V2 checkpoint with other values has the same prefix."""
    save_bundle(folder / "model.ckpt", {"float32": bits("float32", 5, 3)})
    return v1_file(folder, save_bundle)


def shards_elsewhere(folder, save_bundle):
    """A V2 checkpoint whose data lies in another folder."""
    save_bundle(folder / "model.ckpt", {"a": bits("float32", 2, 3), "b": bits("int8", 7)})
    (folder / "data").mkdir()
    shard = folder / "model.ckpt.data-00000-of-00001"
    shard.rename(folder / "data" / shard.name)
    return folder / "model.ckpt", 2


# Brackets and a backslash are signs of a pattern; the last byte is no UTF-8.
ODD_NAME = os.fsdecode(b"run[1] \\n \xff")


def v2_in_odd_folder(folder, save_bundle):
    """TensorFlow takes a prefix for a pattern, and cannot take every name."""
    (folder / "plain").mkdir()
    save_bundle(folder / "plain" / "model[2].ckpt", {"a": bits("float32", 2, 3)})
    (folder / "plain").rename(folder / ODD_NAME)
    return folder / ODD_NAME / "model[2].ckpt", 1


def v1_in_odd_folder(folder, save_bundle):
    """The same of the other format."""
    (folder / "plain").mkdir()
    path, count = v1_file(folder / "plain", save_bundle)
    (folder / "plain").rename(folder / ODD_NAME)
    return folder / ODD_NAME / path.name, count


def frozen_graph(folder, save_bundle):
    """A frozen graph of a layer with bias."""
    compat = tensorflow.compat.v1
    with compat.Graph().as_default() as graph:
        x = compat.placeholder("float32", [None, 5], name="x")
        kernel = compat.constant(bits("float32", 5, 3), name="kernel")
        bias = compat.constant([0.5, 0.25, 0.125], name="bias")
        compat.nn.bias_add(compat.matmul(x, kernel), bias, name="y")
    (folder / "frozen.pb").write_bytes(graph.as_graph_def().SerializeToString())
    return folder / "frozen.pb", 2


def saved_model(folder, save_bundle):
    """A SavedModel of a layer with bias."""
    compat = tensorflow.compat.v1
    with compat.Graph().as_default(), compat.Session() as session:
        x = compat.placeholder("float32", [None, 5], name="x")
        y = compat.layers.dense(x, 3)
        session.run(compat.global_variables_initializer())
        compat.saved_model.simple_save(session, str(folder / "saved"), {"x": x}, {"y": y})
    return folder / "saved", 2


@pytest.mark.parametrize(
    ("build", "options"),
    [
        pytest.param(v1_file, {}, id="v1"),
        pytest.param(v1_shards, {}, id="v1-shards"),
        pytest.param(v1_beside_v2, {"checkpoint_format": "V1"}, id="v1-beside-v2"),
        pytest.param(shards_elsewhere, {"data_folder": "data"}, id="shards-elsewhere"),
        pytest.param(v2_in_odd_folder, {}, id="v2-in-odd-folder"),
        pytest.param(v1_in_odd_folder, {}, id="v1-in-odd-folder"),
        pytest.param(frozen_graph, {}, id="frozen-graph"),
        pytest.param(saved_model, {}, id="saved-model"),
    ],
)
def test_both_agree_on_every_format(build, options, tmp_path, save_bundle, run_extraction, out):
    path, count = build(tmp_path, save_bundle)
    if "data_folder" in options:
        options = {"data_folder": str(tmp_path / options["data_folder"])}
    outcome = run_extraction(path, out, reader="both", **options)
    assert outcome.result["readers"] == {"compared": count, "read_once": []}
    assert outcome.result["variables"] == count


class Tampered(BundleReader):
    """A reader with a fault in one tensor, which `fault` puts into its bytes or description."""

    def __init__(self, reader, name, fault):
        self._reader, self._name, self._fault = reader, name, fault

    def variables(self):
        infos = self._reader.variables()
        return [info for info in infos if self._fault != "lost" or info.name != self._name]

    def info(self, name):
        info = self._reader.info(name)
        if name != self._name:
            return info
        if self._fault == "shape":
            return VariableInfo(name, info.dtype, info.shape[::-1])
        return VariableInfo(name, "int32", info.shape) if self._fault == "dtype" else info

    def pieces(self, name):
        data = bytearray(b"".join(map(bytes, self._reader.pieces(name))))
        if name == self._name and self._fault == "bit":
            data[-1] ^= 1
        if name == self._name and self._fault == "short":
            data.pop()
        if name == self._name and self._fault == "long":
            data.append(0)
        # In two pieces, of which the first is right.
        yield memoryview(data)[:2]
        yield memoryview(data)[2:]

    def close(self):
        self._reader.close()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param("bit", "byte 59 is 0x", id="one-bit"),
        pytest.param("short", "the first gives 59 bytes, the second 60", id="too-short"),
        pytest.param("long", "the second gives 60 bytes, the first more", id="too-long"),
        pytest.param("shape", r"float32 \[5, 3\] to the first, float32 \[3, 5\]", id="shape"),
        pytest.param("dtype", "int32", id="dtype"),
        pytest.param("lost", "only one of them finds it", id="lost"),
        pytest.param("none", None, id="without-a-fault"),
    ],
)
def test_a_reader_that_errs_is_found_out(every_type, fault, words):
    with source_of(every_type) as source:
        tampered = Tampered(source.open_reader(), "float32", fault)
        comparing = ComparingReader(tampered, second_reading_of(source))
        if words is None:
            assert len(read_all(comparing)) == len(DTYPES) + 3
            return
        with pytest.raises(ReadersDisagree, match=words) as caught:
            read_all(comparing)
        assert "'float32'" in caught.value.happened
        comparing.close()


def test_what_has_no_second_reading_is_named(every_type):
    with source_of(every_type) as source:
        reader = ComparingReader(source.open_reader(), None)
        variables = reader.variables()[:2]
        read_all(reader)
        names = [variable.name for variable in variables]
        assert reader.summary(variables) == {"compared": 0, "read_once": names}
        reader.close()


@pytest.mark.parametrize("name", KINDS)
def test_a_job_says_how_many_agree_and_exports_the_same(name, run_extraction, out):
    outcome = run_extraction(CHECKPOINTS / name, out, reader="both")
    golden = CONTRACT / "golden" / name
    written = (out / "variables.safetensors").read_bytes()
    assert written == (golden / "variables.safetensors").read_bytes()
    count = len(json.loads((golden / "graph.json").read_text())["variables"])
    assert outcome.result["readers"] == {"compared": count, "read_once": []}


def test_one_reading_says_nothing_of_two(run_extraction, out):
    outcome = run_extraction(CHECKPOINTS / "bare", out, reader="tf")
    assert "readers" not in outcome.result
