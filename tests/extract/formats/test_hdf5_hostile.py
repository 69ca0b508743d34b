"""HDF5 files that lie, lead elsewhere, or are none: each has its error and leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy
import pytest

from stage_extract.reader_choice import PURE, READER_VARIABLE

REPOSITORY = Path(__file__).parents[3]


def make(path, fill):
    """Write a file of weights: one layer, whose group `fill` gets, with its one weight "w"."""
    with h5py.File(str(path), "w") as file:
        file.attrs["layer_names"] = [b"layer"]
        group = file.create_group("layer")
        group.attrs["weight_names"] = [b"w"]
        fill(group)
    return path


def external_link(group):
    with h5py.File(os.path.join(os.path.dirname(group.file.filename), "other.h5"), "w") as other:
        other["secret"] = numpy.arange(3.0)
    group["w"] = h5py.ExternalLink("other.h5", "/secret")


def soft_link(group):
    group["v"] = numpy.arange(3.0)
    group["w"] = h5py.SoftLink("/layer/v")


def external_storage(group):
    group.create_dataset("w", (16,), "uint8", external=[("/etc/passwd", 0, 16)])


def virtual(group):
    layout = h5py.VirtualLayout((3,), "float64")
    layout[:] = h5py.VirtualSource("other.h5", "secret", (3,))
    group.create_virtual_dataset("w", layout)


def huge(group):
    space = h5py.h5s.create_simple((2**30, 2**30))
    h5py.h5d.create(group.id, b"w", h5py.h5t.IEEE_F32LE, space)


def huge_in_chunks(group):
    group.create_dataset("w", (2**30, 2**20), "float32", chunks=(16, 16))


def bomb(group):
    values = numpy.zeros(2**26, "float32")
    group.create_dataset("w", data=values, chunks=(2**20,), compression="gzip", compression_opts=9)


def many_names_of_one(group):
    group["v"] = numpy.zeros(2**18)
    names = [f"w{number}" for number in range(2000)]
    del group.attrs["weight_names"]
    for part in range(0, 2000, 500):
        group.attrs[f"weight_names{part // 500}"] = [name.encode() for name in names[part:][:500]]
    for name in names:
        group[name] = group["v"]


def missing(group):
    del group


def group_instead(group):
    group.create_group("w")


def compound(group):
    group["w"] = numpy.zeros(3, [("a", "f4"), ("b", "i8")])


def references(group):
    group.create_dataset("w", (1,), h5py.special_dtype(ref=h5py.Reference))


def names_twice(group):
    group["w"] = numpy.arange(3.0)
    group.attrs["weight_names"] = [b"w", b"w"]


def names_are_numbers(group):
    group.attrs["weight_names"] = numpy.arange(3)


def names_are_one_text(group):
    group.attrs["weight_names"] = b"w"


def names_are_no_text(group):
    group.attrs["weight_names"] = [b"\xff\xfe"]


def own_group(group):
    group["w"] = group


def nothing(group):
    group.attrs["weight_names"] = numpy.array([])


HOSTILE = [
    pytest.param(external_link, "UnsupportedFormat", "reached by a link", id="external-link"),
    pytest.param(soft_link, "UnsupportedFormat", "reached by a link", id="soft-link"),
    pytest.param(external_storage, "UnsupportedFormat", "in other files", id="external-storage"),
    pytest.param(virtual, "UnsupportedFormat", "in other files", id="virtual"),
    pytest.param(huge, "TruncatedData", "[1073741824, 1073741824]", id="huge"),
    pytest.param(huge_in_chunks, "CorruptIndex", "far more than it holds", id="huge-chunks"),
    pytest.param(bomb, "CorruptIndex", "far more than it holds", id="bomb"),
    pytest.param(many_names_of_one, "CorruptIndex", "far more than it holds", id="one-for-many"),
    pytest.param(missing, "CorruptIndex", "holds no such array", id="missing"),
    pytest.param(group_instead, "CorruptIndex", "holds no such array", id="group"),
    pytest.param(own_group, "CorruptIndex", "holds no such array", id="cycle"),
    pytest.param(compound, "UnsupportedFormat", "element type", id="compound"),
    pytest.param(names_twice, "CorruptIndex", "'layer/w' twice", id="twice"),
    pytest.param(names_are_numbers, "CorruptIndex", "no text", id="numbers-as-names"),
    pytest.param(names_are_one_text, "CorruptIndex", "no list", id="one-name"),
    pytest.param(names_are_no_text, "CorruptIndex", "no UTF-8", id="no-utf-8"),
    pytest.param(nothing, "EmptyCheckpoint", "holds no weights", id="no-weights"),
    pytest.param(references, "EmptyCheckpoint", "None of the 1", id="references"),
]


@pytest.mark.parametrize(("fill", "error", "words"), HOSTILE)
def test_hostile_file(tmp_path, out, run_extraction, fill, error, words):
    path = make(tmp_path / "model.h5", fill)
    start_s = time.perf_counter()
    found = run_extraction(path, out).error
    assert time.perf_counter() - start_s < 5
    assert (found["class"], found["traceback"]) == (error, None), found
    assert words in found["happened"]
    assert os.listdir(str(out)) == []


def weights(group):
    group["w"] = numpy.arange(3000.0)


def test_a_layer_without_its_group(tmp_path, out, run_extraction):
    path = make(tmp_path / "model.h5", weights)
    with h5py.File(str(path), "r+") as file:
        file.attrs["layer_names"] = [b"layer", b"../gone"]
    assert "no group for it" in run_extraction(path, out).error["happened"]


def test_not_of_keras(tmp_path, out, run_extraction):
    path = make(tmp_path / "model.h5", weights)
    with h5py.File(str(path), "r+") as file:
        del file.attrs["layer_names"]
    found = run_extraction(path, out).error
    assert (found["class"], found["exit_code"]) == ("NotTensorFlow", 35)
    assert "layer_names" in found["happened"]


@pytest.mark.parametrize("size_bytes", [20, 200, 2000, 20000])
def test_cut_off(tmp_path, out, run_extraction, size_bytes):
    path = make(tmp_path / "model.h5", weights)
    os.truncate(str(path), size_bytes)
    found = run_extraction(path, out).error
    assert found["class"] in ("TruncatedData", "CorruptIndex")
    assert os.listdir(str(out)) == []


def test_any_flipped_byte_ends_in_an_error_or_an_export(tmp_path, out, run_extraction):
    path = make(tmp_path / "model.h5", lambda group: group.__setitem__("w", numpy.arange(40.0)))
    intact = path.read_bytes()
    for place in range(0, len(intact), len(intact) // 16):
        damaged = bytearray(intact)
        damaged[place] ^= 0xFF
        path.write_bytes(bytes(damaged))
        last = run_extraction(path, out).last
        if last["event"] == "failed":
            assert last["error"]["traceback"] is None, (place, last)
            assert os.listdir(str(out)) == []
        for name in os.listdir(str(out)):
            os.unlink(str(out / name))


@pytest.mark.parametrize("pure", [False, True], ids=["not-installed", "without-tensorflow"])
def test_without_h5py(tmp_path, out, run_extraction, monkeypatch, pure):
    if pure:
        monkeypatch.setenv(READER_VARIABLE, PURE)
    else:
        monkeypatch.setitem(sys.modules, "h5py", None)
    found = run_extraction(make(tmp_path / "model.h5", weights), out).error
    assert found["class"] == "UnsupportedFormat"
    assert "--reader tf" in found["remedy"]


END_THE_READER = """
import os, sys
from stage_extract.errors import CorruptIndex
from stage_extract.hdf5.process import HdfProcess

reader = HdfProcess(sys.argv[1])
os.kill(reader._process.pid, int(sys.argv[2]))
try:
    list(reader.pieces("/layer/w"))
except CorruptIndex:
    sys.exit(7)
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGSEGV, 7, id="a-crash-is-the-files-fault"),
        pytest.param(signal.SIGTERM, 143, id="an-order-to-go-is-followed"),
        pytest.param(signal.SIGUSR1, 138, id="so-is-that-of-a-time-limit"),
    ],
)
def test_how_the_process_that_reads_ends(tmp_path, number, code):
    def fill(group):
        group["w"] = numpy.arange(3.0)

    path = make(tmp_path / "weights.h5", fill)
    command = [sys.executable, "-W", "ignore", "-c", END_THE_READER, str(path), str(int(number))]
    assert subprocess.run(command, cwd=str(REPOSITORY), check=False).returncode == code
