from __future__ import annotations

import os

import numpy
import pytest
import tensorflow

from stage_extract.errors import CorruptIndex, CorruptTensor
from stage_extract.storage import slices as slices_module
from stage_extract.storage import v1_values
from stage_extract.storage.v1_reader import V1Reader

compat = tensorflow.compat.v1

# TensorFlow 1.15 saves all of these in V1; its CheckpointReader refuses the last five.
CHECKED_BY_READER = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8"]
DTYPES = [*CHECKED_BY_READER, "uint16", "complex64", "complex128", "bool", "float16"]


def save_v1(path, arrays, slices=None):
    """Save arrays with TensorFlow's SaveSlices; "name#1" is a further slice of "name"."""
    keys = list(arrays)
    with compat.Graph().as_default(), compat.Session() as session:
        holders = [compat.placeholder(arrays[key].dtype, arrays[key].shape) for key in keys]
        save = compat.raw_ops.SaveSlices(
            filename=os.fspath(path),
            tensor_names=[key.partition("#")[0] for key in keys],
            shapes_and_slices=[(slices or {}).get(key, "") for key in keys],
            data=holders,
        )
        session.run(save, {holder: arrays[key] for holder, key in zip(holders, keys)})
    return os.fspath(path)


def restored(pattern, name, dtype, slice_text=""):
    """Read a tensor with TensorFlow's op for V1."""
    with compat.Graph().as_default(), compat.Session() as session:
        return session.run(
            compat.raw_ops.RestoreSlice(
                file_pattern=pattern, tensor_name=name, shape_and_slice=slice_text, dt=dtype
            )
        )


def values_of(dtype, shape):
    random = numpy.random.RandomState(5)
    if dtype == "bool":
        return random.rand(*shape) > 0.5
    if dtype.startswith("complex"):
        return (random.randn(*shape) + 1j * random.randn(*shape)).astype(dtype)
    if dtype.startswith("float"):
        return random.randn(*shape).astype(dtype)
    limits = numpy.iinfo(dtype)
    values = random.randint(limits.min, limits.max, shape, dtype=dtype)
    values.flat[:2] = limits.min, limits.max
    return values


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 7), (), (3, 0, 2)], ids=["matrix", "scalar", "empty"])
def test_reads_every_type_bit_for_bit(tmp_path, dtype, shape):
    values = numpy.asarray(values_of(dtype, (5, 7))).flat[: int(numpy.prod(shape))].reshape(shape)
    path = save_v1(tmp_path / "model.ckpt-3", {"w": values, "z": numpy.float32(1)})
    reader = V1Reader([path])
    listed = [(variable.name, variable.dtype, variable.shape) for variable in reader.variables()]
    assert listed == [("w", dtype, shape), ("z", "float32", ())]
    read = reader.read("w")
    assert (read.dtype, read.shape) == (values.dtype, shape)
    assert read.tobytes() == values.tobytes()
    assert restored(path, "w", dtype).tobytes() == read.tobytes()
    # On an empty tensor of a V1 file TensorFlow's reader divides by zero and ends the process.
    if dtype in CHECKED_BY_READER and values.size:
        by_reader = compat.train.NewCheckpointReader(path).get_tensor("w")
        assert numpy.asarray(by_reader).tobytes() == read.tobytes()
    reader.close()


@pytest.mark.parametrize(
    ("name", "array_dtype"),
    [("qint8", "int8"), ("quint8", "uint8"), ("qint32", "int32")],
)
def test_reads_quantised_types(tmp_path, name, array_dtype):
    values = values_of(array_dtype, (3, 5))
    with compat.Graph().as_default(), compat.Session() as session:
        quantised = compat.bitcast(compat.constant(values), name)
        path = str(tmp_path / "model")
        session.run(
            compat.raw_ops.SaveSlices(
                filename=path, tensor_names=["w"], shapes_and_slices=[""], data=[quantised]
            )
        )
    reader = V1Reader([path])
    assert reader.info("w").dtype == name
    assert b"".join(map(bytes, reader.pieces("w"))) == values.tobytes()


def test_lists_strings(tmp_path):
    path = save_v1(tmp_path / "model", {"words": numpy.array([b"a", b"bc"], object), "z": X})
    assert [variable.dtype for variable in V1Reader([path]).variables()] == ["string", "float32"]


X = numpy.arange(6, dtype="float32").reshape(2, 3)


def test_reads_several_shards_of_a_partitioned_variable(tmp_path):
    whole = values_of("int16", (7, 5))
    first = save_v1(
        tmp_path / "model-00000-of-00002",
        {"emb": whole[:3], "a": X},
        {"emb": "7 5 0,3:-"},
    )
    second = save_v1(
        tmp_path / "model-00001-of-00002", {"emb": whole[3:], "b": 2 * X}, {"emb": "7 5 3,4:-"}
    )
    reader = V1Reader([first, second])
    assert [variable.name for variable in reader.variables()] == ["a", "b", "emb"]
    assert reader.read("emb").tobytes() == whole.tobytes()
    assert reader.read("b").tobytes() == (2 * X).tobytes()
    pattern = str(tmp_path / "model-?????-of-00002")
    assert restored(pattern, "emb", "int16", "7 5 0,7:-").tobytes() == whole.tobytes()
    with pytest.raises(CorruptIndex, match=r"'emb' do not fit: the slices end at 3 of 7"):
        V1Reader([first])
    with pytest.raises(CorruptIndex, match="overlap"):
        V1Reader([first, second, second])


@pytest.mark.parametrize("piece_size_bytes", [16, 64, 1 << 22])
@pytest.mark.parametrize("dtype", ["int8", "float64", "bool", "float16", "complex64"])
def test_merges_slices_along_two_axes(tmp_path, monkeypatch, piece_size_bytes, dtype):
    monkeypatch.setattr(slices_module, "PIECE_SIZE_BYTES", piece_size_bytes)
    monkeypatch.setattr(v1_values, "_STEP_NUMBERS", 3)
    whole = values_of(dtype, (5, 7))
    path = save_v1(
        tmp_path / "model",
        {"w": whole[:2, :3], "w#1": whole[2:, :3], "w#2": whole[:2, 3:], "w#3": whole[2:, 3:]},
        {"w": "5 7 0,2:0,3", "w#1": "5 7 2,3:0,3", "w#2": "5 7 0,2:3,4", "w#3": "5 7 2,3:3,4"},
    )
    assert V1Reader([path]).read("w").tobytes() == whole.tobytes()


def test_reads_tensors_of_many_blocks(tmp_path):
    # A block ends at 256 KiB: one holds hundreds of these, and each of the large ones has its own.
    arrays = {f"small_{place:04d}": numpy.float32(place) for place in range(2000)}
    arrays["large"] = values_of("int64", (100, 700))
    arrays["wide"] = values_of("float32", (300, 400))
    reader = V1Reader([save_v1(tmp_path / "model", arrays)])
    assert len(reader.variables()) == len(arrays)
    for name, values in arrays.items():
        assert reader.read(name).tobytes() == values.tobytes(), name


def test_every_flipped_byte_is_found(tmp_path):
    arrays = {"a": values_of("int32", (50, 3)), "b": values_of("float32", (300, 400))}
    path = save_v1(tmp_path / "model", arrays)
    with open(path, "rb") as file:
        whole = file.read()
    for place in [*range(0, len(whole), 1009), *range(len(whole) - 300, len(whole), 7)]:
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        with open(path, "wb") as file:
            file.write(damaged)
        try:
            reader = V1Reader([path])
            read = {name: reader.read(name) for name in arrays}
        except (CorruptIndex, CorruptTensor):
            continue
        # The padding of the footer, and the block of meta data that TensorFlow leaves empty.
        assert place > len(whole) - 150
        assert {name: values.tobytes() for name, values in read.items()} == {
            name: values.tobytes() for name, values in arrays.items()
        }
        assert len(reader.variables()) == 2
