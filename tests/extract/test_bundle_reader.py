from __future__ import annotations

import glob
import os

import numpy
import pytest
import tensorflow

from stage_extract.errors import CorruptTensor, TruncatedData
from stage_extract.finding.locate import locate
from stage_extract.formats.registry import open_source
from stage_extract.jobs import ExtractOptions
from stage_extract.storage import slices as slices_module
from stage_extract.storage.bundle_index import read_bundle_index

BFLOAT16 = tensorflow.bfloat16.as_numpy_dtype


def open_reader(path):
    return open_source(locate(path, None), ExtractOptions()).open_reader()


def read_by_tensorflow(prefix):
    reader = tensorflow.compat.v1.train.NewCheckpointReader(prefix)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_equal_to_tensorflow(prefix):
    reader = open_reader(prefix)
    expected = read_by_tensorflow(prefix)
    assert [variable.name for variable in reader.variables()] == sorted(expected)
    for variable in reader.variables():
        array = numpy.asarray(expected[variable.name])
        read = reader.read(variable.name)
        assert (read.dtype, read.shape) == (array.dtype, array.shape), variable.name
        assert read.tobytes() == array.tobytes(), variable.name
    reader.close()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "int16", "int32"])
def test_reads_numbers(tmp_path, save_bundle, dtype):
    values = numpy.arange(-17, 18).reshape(5, 7).astype(dtype)
    assert_equal_to_tensorflow(save_bundle(tmp_path / "model", {"w": values}))


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(numpy.array([[True, False, True]]), id="bool"),
        pytest.param(numpy.array([1 + 2j, 3 - 4j], "complex64"), id="complex64"),
        pytest.param(numpy.array([1 + 2j], "complex128"), id="complex128"),
        pytest.param(numpy.array([2**63 + 5, 1], "uint64"), id="uint64"),
        pytest.param(numpy.array([2**32 - 1, 1], "uint32"), id="uint32"),
        pytest.param(numpy.array([65535, 1, 3], "uint16"), id="uint16"),
        pytest.param(numpy.array([-(2**62), 1], "int64"), id="int64"),
        pytest.param(numpy.array([255, 0], "uint8"), id="uint8"),
        pytest.param(numpy.array([[1.5, -3.0, 1e30]]).astype(BFLOAT16), id="bfloat16"),
        pytest.param(numpy.float32(3.25), id="scalar"),
        pytest.param(numpy.zeros((3, 0, 2), "float32"), id="empty"),
        pytest.param(numpy.array([numpy.nan, numpy.inf, -0.0], "float32"), id="nan-and-infinity"),
    ],
)
def test_reads_every_kind_of_tensor_bit_for_bit(tmp_path, save_bundle, values):
    prefix = save_bundle(tmp_path / "model", {"w": values, "z": numpy.float64(1)})
    expected = numpy.asarray(values)
    if expected.dtype == BFLOAT16:
        # numpy alone does not have the type: its bits are given.
        expected = expected.view(numpy.uint16)
    read = open_reader(prefix).read("w")
    assert (read.dtype, read.shape) == (expected.dtype, expected.shape)
    assert read.tobytes() == expected.tobytes()


@pytest.mark.parametrize("piece_size_bytes", [7, 64, 1 << 22])
@pytest.mark.parametrize(
    ("shape", "axis", "sizes"),
    [
        pytest.param((11, 5), 0, (4, 4, 3), id="rows"),
        pytest.param((3, 10), 1, (2, 5, 3), id="columns"),
        pytest.param((2, 3, 9, 4), 2, (1, 8), id="inner-axis"),
        pytest.param((13,), 0, (13,), id="one-part"),
        pytest.param((0, 6), 1, (2, 4), id="no-rows"),
        pytest.param((200, 3), 0, (64, 64, 72), id="starts-of-two-bytes"),
    ],
)
def test_merges_partitioned_variables(
    tmp_path, save_bundle, monkeypatch, piece_size_bytes, shape, axis, sizes
):
    monkeypatch.setattr(slices_module, "PIECE_SIZE_BYTES", piece_size_bytes)
    whole = numpy.random.RandomState(1).rand(*shape).astype("float32")
    arrays, slices, start = {}, {}, 0
    for part, size in enumerate(sizes):
        key = f"emb#{part}" if part else "emb"
        bounds = ["-"] * len(shape)
        bounds[axis] = f"{start},{size}"
        arrays[key] = numpy.take(whole, range(start, start + size), axis)
        slices[key] = f"{' '.join(map(str, shape))} {':'.join(bounds)}"
        start += size
    arrays["other"] = numpy.arange(3, dtype="int32")
    prefix = save_bundle(tmp_path / "model", arrays, slices)
    assert_equal_to_tensorflow(prefix)
    assert open_reader(prefix).read("emb").tobytes() == whole.tobytes()


# Boxes of the whole, by start and stop of each axis.
TILINGS = [
    pytest.param((7, 5), [((0, 3), (0, 2)), ((0, 3), (2, 5)), ((3, 7), (0, 2)), ((3, 7), (2, 5))],
                 id="grid"),
    # No straight cut separates these.
    pytest.param((3, 4), [((0, 1), (0, 3)), ((0, 2), (3, 4)), ((2, 3), (1, 4)), ((1, 3), (0, 1)),
                          ((1, 2), (1, 3))], id="pinwheel"),
    pytest.param((2, 3, 5), [((0, 2), (0, 1), (0, 5)), ((0, 1), (1, 3), (0, 4)),
                             ((0, 1), (1, 3), (4, 5)), ((1, 2), (1, 3), (0, 5))],
                 id="three-axes"),
    pytest.param((2, 1, 3, 1, 2, 2, 1, 2),
                 [((0, 2), (0, 1), (0, 3), (0, 1), (0, 2), (0, 2), (0, 1), (1, 2)),
                  ((0, 2), (0, 1), (1, 3), (0, 1), (0, 2), (0, 2), (0, 1), (0, 1)),
                  ((0, 2), (0, 1), (0, 1), (0, 1), (0, 2), (1, 2), (0, 1), (0, 1)),
                  ((0, 2), (0, 1), (0, 1), (0, 1), (0, 2), (0, 1), (0, 1), (0, 1))],
                 id="eight-axes"),
]  # fmt: skip


@pytest.mark.parametrize("piece_size_bytes", [3, 40, 1 << 22])
@pytest.mark.parametrize("dtype", ["float32", "int8", "complex64"])
@pytest.mark.parametrize(("shape", "boxes"), TILINGS)
def test_merges_variables_cut_along_several_axes(
    tmp_path, save_bundle, monkeypatch, piece_size_bytes, dtype, shape, boxes
):
    monkeypatch.setattr(slices_module, "PIECE_SIZE_BYTES", piece_size_bytes)
    count = numpy.prod(shape)
    whole = numpy.random.RandomState(4).permutation(count).reshape(shape).astype(dtype)
    arrays, slices = {}, {}
    for place, box in enumerate(boxes):
        key = f"w#{place}" if place else "w"
        arrays[key] = whole[tuple(slice(*bounds) for bounds in box)]
        extents = ":".join(f"{start},{stop - start}" for start, stop in box)
        slices[key] = f"{' '.join(map(str, shape))} {extents}"
    prefix = save_bundle(tmp_path / "model", arrays, slices)
    reader = open_reader(prefix)
    assert [variable.shape for variable in reader.variables()] == [shape]
    assert reader.read("w").tobytes() == whole.tobytes()
    if dtype == "float32":
        assert_equal_to_tensorflow(prefix)


def test_lists_and_reads_twelve_thousand_variables(tmp_path):
    # Their entries fill several blocks of the index. TensorFlow is slow at saving so many at once.
    compat = tensorflow.compat.v1
    names = [f"layer_{place:05d}/weights" for place in range(12000)]
    parts = [str(tmp_path / f"part-{place}") for place in range(12)]
    with compat.Graph().as_default(), compat.Session() as session:
        value = compat.placeholder("int16", [])
        some_names = compat.placeholder("string", [1000])
        prefix = compat.placeholder("string", [])
        save = compat.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=some_names,
            shape_and_slices=[""] * 1000,
            tensors=[value] * 1000,
        )
        for place, part in enumerate(parts):
            chosen = names[1000 * place : 1000 * (place + 1)]
            session.run(save, {value: place, some_names: chosen, prefix: part})
        merge = compat.raw_ops.MergeV2Checkpoints(
            checkpoint_prefixes=parts, destination_prefix=str(tmp_path / "model")
        )
        session.run(merge)
    reader = open_reader(str(tmp_path / "model"))
    assert [variable.name for variable in reader.variables()] == names
    assert [int(reader.read(name)) for name in names] == [place // 1000 for place in range(12000)]


@pytest.mark.parametrize(
    ("parts", "axis"),
    [
        pytest.param(4, 0, id="rows"),
        pytest.param(2, 1, id="columns"),
        # One part is stored like a plain tensor.
        pytest.param(1, 0, id="one-part"),
    ],
)
def test_reads_variables_partitioned_by_get_variable(tmp_path, parts, axis):
    compat = tensorflow.compat.v1
    with compat.Graph().as_default(), compat.Session() as session:
        partitioner = compat.fixed_size_partitioner(parts, axis=axis)
        compat.get_variable("emb", [11, 3], partitioner=partitioner)
        compat.get_variable("plain", [2, 3])
        session.run(compat.global_variables_initializer())
        prefix = compat.train.Saver().save(session, str(tmp_path / "model"), global_step=3)
    reader = open_reader(prefix)
    assert [variable.name for variable in reader.variables()] == ["emb", "plain"]
    assert_equal_to_tensorflow(prefix)


def test_reads_several_shards(tmp_path, save_bundle):
    compat = tensorflow.compat.v1
    values = [numpy.arange(5 + shard, dtype="float32") for shard in range(3)]
    parts = [
        save_bundle(tmp_path / f"part-{shard}", {f"w{shard}": array})
        for shard, array in enumerate(values)
    ]
    with compat.Graph().as_default(), compat.Session() as session:
        merge = compat.raw_ops.MergeV2Checkpoints(
            checkpoint_prefixes=parts, destination_prefix=str(tmp_path / "model")
        )
        session.run(merge)
    assert len(glob.glob(str(tmp_path / "model.data-*-of-00003"))) == 3
    assert_equal_to_tensorflow(str(tmp_path / "model"))


def test_reads_tensors_larger_than_a_piece(tmp_path, save_bundle, monkeypatch):
    monkeypatch.setattr(slices_module, "PIECE_SIZE_BYTES", 1000)
    arrays = {"exact": numpy.arange(500, dtype="int32"), "odd": numpy.arange(333, dtype="float64")}
    reader = open_reader(save_bundle(tmp_path / "model", arrays))
    assert [len(piece) for piece in reader.pieces("exact")] == [1000, 1000]
    assert [len(piece) for piece in reader.pieces("odd")] == [1000, 1000, 664]
    for name, array in arrays.items():
        assert reader.read(name).tobytes() == array.tobytes()


def flip_byte(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x10]))


def damaged_tensors(reader):
    damaged = []
    for variable in reader.variables():
        try:
            reader.read(variable.name)
        except CorruptTensor as error:
            damaged.append((variable.name, error.happened))
    return damaged


def test_every_flipped_byte_is_found_and_blamed_on_its_tensor(checkpoint):
    path = checkpoint + ".data-00000-of-00001"
    reader = open_reader(checkpoint)
    index = read_bundle_index(checkpoint + ".index")
    for name, tensor in index.tensors.items():
        extent = tensor.extents[0]
        for offset in range(extent.offset, extent.offset + extent.size_bytes, 97):
            flip_byte(path, offset)
            ((damaged, happened),) = damaged_tensors(reader)
            assert damaged == name
            assert repr(name) in happened
            flip_byte(path, offset)
    assert damaged_tensors(reader) == []


def test_flipped_byte_in_a_slice_names_the_whole_variable(tmp_path, save_bundle):
    whole = numpy.random.RandomState(2).rand(4, 6).astype("float32")
    prefix = save_bundle(
        tmp_path / "model",
        {"emb": whole[:, :2], "emb#1": whole[:, 2:]},
        {"emb": "4 6 -:0,2", "emb#1": "4 6 -:2,4"},
    )
    flip_byte(prefix + ".data-00000-of-00001", 60)
    with pytest.raises(CorruptTensor, match="'emb'"):
        open_reader(prefix).read("emb")


def test_a_shard_that_shrinks_while_it_is_read_is_an_error(checkpoint):
    reader = open_reader(checkpoint)
    os.truncate(checkpoint + ".data-00000-of-00001", 40)
    with pytest.raises(TruncatedData, match="ends after 40 bytes"):
        reader.read("net/dense/kernel")


def test_close_gives_back_the_files(checkpoint):
    before = len(os.listdir("/proc/self/fd"))
    reader = open_reader(checkpoint)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    reader.close()
    assert len(os.listdir("/proc/self/fd")) == before
