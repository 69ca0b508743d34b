from __future__ import annotations

import json
import struct

import numpy
import pytest
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from stage_extract.errors import HeaderTooLarge, TensorNameReserved
from stage_extract.writing import safetensors_writer
from stage_extract.writing.safetensors_writer import TensorEntry, encode_header, write_safetensors

NAMES = {
    "bool": "BOOL",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
}


def write(path, arrays, metadata=None):
    entries = [
        TensorEntry(name, NAMES[array.dtype.name], array.shape, array.nbytes)
        for name, array in arrays.items()
    ]

    def pieces(name):
        data = arrays[name].tobytes()
        for start in range(0, len(data), 10):
            yield memoryview(data)[start : start + 10]

    return write_safetensors(str(path), entries, metadata or {}, pieces)


METADATA = {"tf1_export": '{"format":"tf1-export","version":1}'}


@pytest.mark.parametrize(
    "arrays",
    [
        pytest.param({"w": numpy.arange(15, dtype="float32").reshape(3, 5)}, id="one"),
        pytest.param({}, id="none"),
        pytest.param({"s": numpy.array(2.5, "float64")}, id="scalar"),
        pytest.param({"e": numpy.zeros((0, 7), "int16")}, id="empty"),
        pytest.param(
            {f"n{index}": numpy.arange(index, dtype="int32") for index in range(9)}, id="many"
        ),
        pytest.param({'a"b\\c\n\t\x01\x7f/é/漢/😀': numpy.arange(3, dtype="uint8")}, id="odd-name"),
        # The library sorts by falling size of the element, then by name; so do these.
        pytest.param(
            {
                "z": numpy.arange(3, dtype="int64"),
                "a": numpy.arange(5, dtype="float32"),
                "b": numpy.arange(7, dtype="float16"),
            },
            id="several-types",
        ),
    ],
)
@pytest.mark.parametrize("metadata", [None, METADATA], ids=["no-metadata", "metadata"])
def test_bytes_are_those_of_the_library(tmp_path, arrays, metadata):
    size_bytes = write(tmp_path / "ours", arrays, metadata)
    safetensors.numpy.save_file(arrays, str(tmp_path / "theirs"), metadata)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert size_bytes == (tmp_path / "ours").stat().st_size


@pytest.mark.parametrize("dtype", sorted(NAMES))
def test_the_library_reads_every_type(tmp_path, dtype):
    array = numpy.arange(-4, 8).reshape(3, 4).astype(dtype)
    write(tmp_path / "file", {"w": array, "x": numpy.ones(3, "int8")}, METADATA)
    read = safetensors.numpy.load_file(str(tmp_path / "file"))
    assert read["w"].dtype == array.dtype
    assert numpy.array_equal(read["w"], array)
    with safe_open(str(tmp_path / "file"), "numpy") as file:
        assert file.metadata() == METADATA


def test_types_that_numpy_lacks_keep_their_bits(tmp_path):
    # 1.0 and -2.0 as bfloat16; safetensors 0.4.5 cannot hand them to NumPy, but accepts the file.
    bits = struct.pack("<HH", 0x3F80, 0xC000)
    entry = TensorEntry("w", "BF16", (2,), 4)
    write_safetensors(str(tmp_path / "file"), [entry], {}, lambda name: iter([memoryview(bits)]))
    with safe_open(str(tmp_path / "file"), "numpy") as file:
        part = file.get_slice("w")
    assert (part.get_dtype(), part.get_shape()) == ("BF16", [2])
    assert (tmp_path / "file").read_bytes().endswith(bits)


def test_data_follows_the_given_order_and_starts_aligned():
    entries = [TensorEntry("b", "BOOL", (3,), 3), TensorEntry("a", "F32", (2,), 8)]
    header = encode_header(entries, {})
    (size,) = struct.unpack("<Q", header[:8])
    assert len(header) == 8 + size
    assert len(header) % 8 == 0
    assert json.loads(header[8:].decode()) == {
        "b": {"dtype": "BOOL", "shape": [3], "data_offsets": [0, 3]},
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [3, 11]},
    }


def test_the_reserved_name_is_refused_because_no_reader_could_load_it(tmp_path):
    # The library itself writes such a file, and then cannot read it.
    safetensors.numpy.save_file({"__metadata__": numpy.ones(2)}, str(tmp_path / "theirs"))
    with pytest.raises(SafetensorError):
        safetensors.numpy.load_file(str(tmp_path / "theirs"))
    with pytest.raises(TensorNameReserved, match="__metadata__"):
        write(tmp_path / "ours", {"__metadata__": numpy.ones(2)})
    assert not (tmp_path / "ours").exists()


def test_header_limit(tmp_path, monkeypatch):
    assert safetensors_writer.MAX_HEADER_SIZE_BYTES == 100_000_000
    arrays = {f"name-{index:04d}": numpy.ones(1, "float32") for index in range(50)}
    size = len(encode_header([TensorEntry(n, "F32", (1,), 4) for n in arrays], {})) - 8
    monkeypatch.setattr(safetensors_writer, "MAX_HEADER_SIZE_BYTES", size)
    write(tmp_path / "fits", arrays)
    monkeypatch.setattr(safetensors_writer, "MAX_HEADER_SIZE_BYTES", size - 1)
    with pytest.raises(HeaderTooLarge, match="50 tensors"):
        write(tmp_path / "does-not", arrays)
    assert [path.name for path in tmp_path.iterdir()] == ["fits"]


def test_two_metadata_keys_are_refused():
    # The library would write them in another order at each save.
    with pytest.raises(ValueError, match="2 metadata keys"):
        encode_header([], {"a": "1", "b": "2"})


@pytest.mark.parametrize("size_bytes", [3, 5])
def test_pieces_must_have_the_size_that_the_header_says(tmp_path, size_bytes):
    entry = TensorEntry("w", "U8", (4,), 4)
    data = memoryview(bytes(size_bytes))
    with pytest.raises(ValueError, match=f"{size_bytes} bytes, but the header says 4"):
        write_safetensors(str(tmp_path / "file"), [entry], {}, lambda name: iter([data]))
    assert list(tmp_path.iterdir()) == []
