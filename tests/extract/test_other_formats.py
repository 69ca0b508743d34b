"""Files of other formats, under names of any kind: the error says what they are."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile

import numpy
import pytest
import tensorflow


def zip_with(*names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return content.getvalue()


def tar_archive():
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.ckpt.index"))
    return content.getvalue()


def numpy_file(save, *arrays):
    content = io.BytesIO()
    save(content, *arrays)
    return content.getvalue()


def meta_graph():
    graph = tensorflow.Graph()
    with graph.as_default():
        tensorflow.constant(1.0)
        return tensorflow.compat.v1.train.export_meta_graph().SerializeToString()


TORCH_MAGIC = 0x1950A86A20F9469CFC6C
ANY_FILE = [
    pytest.param(zip_with("archive/data.pkl", "archive/version"), "a PyTorch file", id="torch-zip"),
    pytest.param(pickle.dumps(TORCH_MAGIC, 2) + b"..", "a PyTorch file", id="torch-before-1.6"),
    pytest.param(pickle.dumps({"w": [1]}, 2), "a Python pickle", id="pickle"),
    pytest.param(numpy_file(numpy.save, numpy.arange(3)), "a NumPy array", id="npy"),
    pytest.param(numpy_file(numpy.savez, numpy.arange(3)), "a NumPy archive", id="npz"),
    pytest.param(zip_with("a")[:30], "a damaged zip archive", id="zip-cut-off"),
    pytest.param(
        b'\x20\0\0\0\0\0\0\0{"w":{"dtype":"F32"}}', "a safetensors file", id="safetensors"
    ),
    pytest.param(b"\n<!DOCTYPE html>\n<html>", "an HTML page", id="html"),
    pytest.param(b"step 1 loss 0.5\n", "a text file", id="text"),
    pytest.param(bytes(range(130, 250)), "of no format", id="noise"),
    pytest.param(meta_graph(), "a graph without weights", id="meta-graph"),
]


@pytest.mark.parametrize(("content", "words"), ANY_FILE)
@pytest.mark.parametrize("name", ["model.ckpt", "model.ckpt.index"])
def test_file_of_another_kind(tmp_path, out, run_extraction, name, content, words):
    (tmp_path / name).write_bytes(content)
    found = run_extraction(tmp_path / name, out).error
    if name.endswith(".index") and found["class"] == "CorruptIndex":
        # Nothing is known of it but its name.
        assert words in ("of no format", "a text file", "an HTML page")
    else:
        assert (found["class"], found["exit_code"]) == ("NotTensorFlow", 35)
        assert words in found["happened"]
    assert found["traceback"] is None
