"""The file format: exact bytes, the library as second reader, and headers that lie."""

from __future__ import annotations

import errno
import json
import os
import stat
import struct

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from stage_load.errors import DiskFull, ExportDamaged, OutputNotWritable
from stage_load.safetensors_header import ITEM_BYTES, HeaderError, parse_header, write_header
from stage_load.safetensors_reader import NUMPY_DTYPES, SafetensorsReader
from stage_load.safetensors_writer import SafetensorsWriter, WholeFile, write_text
from stage_load.tensors import FORMAT_DTYPES, TORCH_DTYPES, tensor_bytes


def test_exact_bytes(tmp_path):
    path = tmp_path / "a.safetensors"
    layout = [("b", "F32", (2,)), ("a", "U8", (3,))]
    with SafetensorsWriter(path, layout, {"format": "pt"}) as writer:
        # In any order.
        writer.write("a", memoryview(b"xyz"))
        writer.write("b", memoryview(np.array([1, 2], "<f4")).cast("B"))
    header = (
        b'{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        b'"a":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}'
    )
    header += b" " * (-len(header) % 8)
    assert path.read_bytes() == (
        struct.pack("<Q", len(header)) + header + struct.pack("<ff", 1, 2) + b"xyz"
    )


ARRAYS = {
    "enc/größe": np.arange(6, dtype=np.float32).reshape(2, 3),
    "scalar": np.array(-7, np.int64),
    "empty": np.zeros((0, 4), np.float16),
    "flags": np.array([True, False, True]),
    "double": np.array([[0.1, 0.2]]),
}


def test_the_library_reads_what_is_written(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in ARRAYS.items()}
    tensors["half"] = torch.tensor([1.5, -2.25], dtype=torch.bfloat16)
    # A transposed view is stored in the order of its shape, not of its memory.
    tensors["transposed"] = tensors["enc/größe"].T
    layout = [(name, FORMAT_DTYPES[t.dtype], tuple(t.shape)) for name, t in tensors.items()]
    with SafetensorsWriter(path, layout, {}) as writer:
        for name, tensor in tensors.items():
            writer.write(name, tensor_bytes(tensor))
    found = safetensors.torch.load_file(path)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def test_what_the_library_writes_is_read(tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors.numpy.save_file(ARRAYS, path, metadata={"note": "x"})
    with SafetensorsReader(path) as reader:
        assert reader.metadata == {"note": "x"}
        assert reader.entries.keys() == ARRAYS.keys()
        assert reader.largest_bytes == 24
        for name, array in ARRAYS.items():
            found = reader.read(name)
            assert found.dtype == array.dtype
            np.testing.assert_array_equal(found, array)


def test_bfloat16_is_widened_exactly(tmp_path):
    path = tmp_path / "a.safetensors"
    values = torch.tensor([1.5, -2.25, 3.0e38, float("inf")], dtype=torch.bfloat16)
    safetensors.torch.save_file({"a": values}, path)
    with SafetensorsReader(path) as reader:
        np.testing.assert_array_equal(reader.read("a"), values.float().numpy())


def test_every_dtype_is_known_to_all_sides():
    assert set(ITEM_BYTES) == set(NUMPY_DTYPES) == set(TORCH_DTYPES)
    for name, size in ITEM_BYTES.items():
        assert NUMPY_DTYPES[name].itemsize == size
        assert TORCH_DTYPES[name].itemsize == size


def entry(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


@pytest.mark.parametrize(
    ("header", "data_bytes", "message"),
    [
        pytest.param({"a": entry()}, 7, "file at", id="cut-short"),
        pytest.param({"a": entry()}, 9, "file at", id="too-long"),
        pytest.param({"a": entry(offsets=(0, 4))}, 4, "takes 8", id="too-few-bytes"),
        pytest.param({"a": entry(offsets=(8, 0))}, 8, "takes 8", id="backwards"),
        pytest.param({"a": entry(offsets=(-8, 0))}, 8, "not two positions", id="negative"),
        pytest.param({"a": entry(offsets=(0.0, 8.0))}, 8, "not two positions", id="floats"),
        pytest.param({"a": entry(offsets=(False, 8))}, 8, "not two positions", id="bool"),
        pytest.param({"a": entry(offsets=(0, 8, 8))}, 8, "not two positions", id="three"),
        pytest.param({"a": entry(dtype="F31")}, 8, "has the dtype 'F31'", id="dtype"),
        pytest.param({"a": entry(dtype=["F32"])}, 8, "has the dtype", id="dtype-list"),
        pytest.param({"a": entry(shape=(-2,))}, 8, "no list of sizes", id="negative-size"),
        pytest.param({"a": entry(shape=("2",))}, 8, "no list of sizes", id="text-size"),
        pytest.param({"a": entry(shape=([2],))}, 8, "no list of sizes", id="nested-size"),
        # The product of huge sizes must not wrap around to a small one.
        pytest.param({"a": entry(shape=(2**32, 2**32, 2))}, 8, "takes", id="overflow"),
        pytest.param({"a": entry(more=1)}, 8, "exactly dtype", id="more-keys"),
        pytest.param({"a": [1, 2]}, 8, "exactly dtype", id="no-object"),
        pytest.param({"a": entry(), "b": entry()}, 8, "overlaps", id="overlap"),
        pytest.param({"a": entry(), "b": entry(offsets=(12, 20))}, 20, "hole", id="hole"),
        pytest.param({"a": entry(offsets=(8, 16))}, 16, "hole", id="hole-at-the-start"),
        pytest.param({"__metadata__": {"a": 1}}, 0, "no object of texts", id="metadata"),
        pytest.param([], 0, "no JSON object", id="list"),
    ],
)
def test_a_lying_header_is_refused(header, data_bytes, message, tmp_path):
    text = json.dumps(header).encode()
    with pytest.raises(HeaderError, match=message):
        parse_header(text, 8 + len(text) + data_bytes)
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(data_bytes))
    with pytest.raises(ExportDamaged, match=r"a\.safetensors"):
        SafetensorsReader(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "the file has 0 bytes", id="empty"),
        pytest.param(b"\x01\x02", "the file has 2 bytes", id="two-bytes"),
        pytest.param(struct.pack("<Q", 100_000_001) + b"{}", "more than 100000000", id="huge"),
        pytest.param(struct.pack("<Q", 2**64 - 1), "more than 100000000", id="largest"),
        pytest.param(struct.pack("<Q", 50) + b"{}", "it is cut short", id="header-cut"),
        pytest.param(struct.pack("<Q", 2) + b"{,", "is no JSON", id="no-json"),
        pytest.param(struct.pack("<Q", 2) + b"\xff\xfe", "not UTF-8", id="no-utf-8"),
        pytest.param(struct.pack("<Q", 200_000) + b"[" * 200_000, "nested too deeply", id="nested"),
        pytest.param(
            struct.pack("<Q", 17) + b'{"a":[1],"a":[1]}', "'a' comes twice", id="name-twice"
        ),
    ],
)
def test_a_damaged_start_is_refused(content, message, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ExportDamaged, match=message):
        SafetensorsReader(path)


def test_a_file_that_shrinks_while_it_is_read(tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors.numpy.save_file({"a": np.ones(100, np.float32)}, path)
    with SafetensorsReader(path) as reader:
        os.truncate(path, path.stat().st_size - 4)
        with pytest.raises(ExportDamaged, match="ends within tensor 'a'"):
            reader.read("a")


def test_missing_file(tmp_path):
    with pytest.raises(ExportDamaged, match="No such file"):
        SafetensorsReader(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        pytest.param(lambda writer: None, "never written", id="nothing"),
        pytest.param(lambda writer: writer.write("a", memoryview(b"12")), "not 3", id="too-short"),
    ],
)
def test_an_unfinished_file_does_not_appear(write, message, tmp_path):
    with (
        pytest.raises(ValueError, match=message),
        SafetensorsWriter(tmp_path / "a.safetensors", [("a", "U8", (3,))], {}) as writer,
    ):
        write(writer)
    assert list(tmp_path.iterdir()) == []


def write_twice(path):
    with SafetensorsWriter(path, [("a", "U8", (1,))], {}) as writer:
        writer.write("a", memoryview(b"1"))
        writer.write("a", memoryview(b"2"))


def test_a_tensor_is_written_once(tmp_path):
    with pytest.raises(KeyError):
        write_twice(tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o002], ids=oct)
def test_permissions_follow_the_umask(mask, tmp_path):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param(errno.ENOSPC, DiskFull, id="no-room"),
        pytest.param(errno.EDQUOT, DiskFull, id="quota"),
        pytest.param(errno.EIO, OutputNotWritable, id="disk-error"),
    ],
)
def test_a_failing_disk(number, expected, tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(expected, match=os.strerror(number)):
        write_text(tmp_path / "a.txt", "x")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_shows_before_anything_is_written(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", fail)
    with pytest.raises(DiskFull, match=f"of {8 + 56 + 12} bytes"):
        SafetensorsWriter(tmp_path / "a.safetensors", [("a", "F32", (3,))], {})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder(tmp_path):
    with pytest.raises(OutputNotWritable, match="No such file"):
        WholeFile(tmp_path / "absent" / "a.txt")


def test_the_header_is_aligned_and_roundtrips():
    layout = [("w" * length, "F64", (length,)) for length in range(1, 9)]
    start, entries = write_header(layout, {"k": "v"})
    assert len(start) % 8 == 0
    header = parse_header(start[8:], len(start) + entries[-1].end)
    assert tuple(header.entries.values()) == entries
    assert header.data_begin == len(start)
