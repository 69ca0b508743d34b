"""What people hand over that is no whole V2 checkpoint: each has its own error and leaves nothing.

All jobs run in this one process: none of them may end it.
"""

from __future__ import annotations

import os
import subprocess

import numpy
import pytest

GIT_LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
DATA = ".data-00000-of-00001"


def truncate_data(prefix):
    os.truncate(prefix + DATA, os.path.getsize(prefix + DATA) - 1)


def empty_data(prefix):
    os.truncate(prefix + DATA, 0)


def flip_byte(prefix):
    with open(prefix + DATA, "r+b") as file:
        file.seek(10)
        byte = file.read(1)[0]
        file.seek(10)
        file.write(bytes([byte ^ 1]))


def pointer_instead_of(suffix):
    def replace(prefix):
        with open(prefix + suffix, "wb") as file:
            file.write(GIT_LFS_POINTER)

    return replace


def remove_data(prefix):
    os.unlink(prefix + DATA)


def remove_index(prefix):
    os.unlink(prefix + ".index")


def rename_shard(prefix):
    os.rename(prefix + DATA, prefix + ".data-00000-of-00002")


def cut_index(prefix):
    os.truncate(prefix + ".index", os.path.getsize(prefix + ".index") // 2)


def empty_index(prefix):
    os.truncate(prefix + ".index", 0)


def damage_index(prefix):
    with open(prefix + ".index", "r+b") as file:
        file.seek(40)
        file.write(b"\xff\xff\xff")


def dangling_data(prefix):
    os.unlink(prefix + DATA)
    os.symlink("/nowhere/model.data", prefix + DATA)


def pipe_instead_of(suffix):
    def replace(prefix):
        if os.path.exists(prefix + suffix):
            os.unlink(prefix + suffix)
        os.mkfifo(prefix + suffix)

    return replace


def endless_graph(prefix):
    os.symlink("/dev/zero", prefix + ".meta")


@pytest.mark.parametrize(
    ("spoil", "error", "exit_code", "words"),
    [
        pytest.param(remove_data, "DataFileMissing", 31, "absent", id="index-without-data"),
        pytest.param(remove_index, "DataFileMissing", 31, ".index", id="data-without-index"),
        pytest.param(rename_shard, "DataFileMissing", 31, "1 of 1", id="shard-of-another-count"),
        pytest.param(truncate_data, "TruncatedData", 32, "ends after", id="data-one-byte-short"),
        pytest.param(empty_data, "TruncatedData", 32, "ends after 0 bytes", id="data-empty"),
        pytest.param(empty_index, "TruncatedData", 32, "an empty file", id="index-empty"),
        pytest.param(flip_byte, "CorruptTensor", 33, "'net/conv/kernel'", id="flipped-byte"),
        pytest.param(pointer_instead_of(DATA), "GitLfsPointer", 34, "git-LFS", id="lfs-data"),
        pytest.param(pointer_instead_of(".index"), "GitLfsPointer", 34, "git-LFS", id="lfs-index"),
        pytest.param(pointer_instead_of(".meta"), "GitLfsPointer", 34, "git-LFS", id="lfs-meta"),
        pytest.param(dangling_data, "NotReadable", 37, "No such file", id="dangling-link"),
        # Nobody writes into these pipes: they would be waited for.
        pytest.param(pipe_instead_of(".index"), "NotReadable", 37, "a pipe", id="index-is-a-pipe"),
        pytest.param(pipe_instead_of(".meta"), "NotReadable", 37, "a pipe", id="graph-is-a-pipe"),
        pytest.param(endless_graph, "NotReadable", 37, "a device", id="graph-is-a-device"),
        pytest.param(cut_index, "CorruptIndex", 43, "does not end", id="index-cut-off"),
        pytest.param(damage_index, "CorruptIndex", 43, "checksum", id="index-damaged"),
    ],
)
def test_damaged_checkpoint(checkpoint, out, run_extraction, spoil, error, exit_code, words):
    spoil(checkpoint)
    found = run_extraction(os.path.dirname(checkpoint), out).error
    assert (found["class"], found["exit_code"]) == (error, exit_code)
    assert words in found["happened"]
    assert all(found[part].endswith(".") for part in ("happened", "expected", "remedy"))
    assert found["traceback"] is None
    assert os.listdir(str(out)) == []


def test_missing_path(tmp_path, out, run_extraction):
    found = run_extraction(tmp_path / "gone" / "model.ckpt", out).error
    assert (found["class"], found["exit_code"]) == ("NoCheckpointFound", 30)
    assert "gone/model.ckpt" in found["happened"]


def test_empty_folder(tmp_path, out, run_extraction):
    found = run_extraction(out, tmp_path).error
    assert (found["class"], found["exit_code"]) == ("NoCheckpointFound", 30)
    assert "it holds nothing" in found["happened"]


def test_only_strings(tmp_path, out, save_bundle, run_extraction):
    save_bundle(tmp_path / "model", {"vocabulary": numpy.array([b"a", b"bc"], object)})
    found = run_extraction(tmp_path / "model", out).error
    assert (found["class"], found["exit_code"]) == ("EmptyCheckpoint", 41)
    assert os.listdir(str(out)) == []


def test_reserved_tensor_name(tmp_path, out, save_bundle, run_extraction):
    prefix = save_bundle(tmp_path / "model", {"__metadata__": numpy.arange(3.0)})
    found = run_extraction(prefix, out).error
    assert (found["class"], found["exit_code"]) == ("TensorNameReserved", 45)
    assert os.listdir(str(out)) == []


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [
        pytest.param(DATA, 0o000, id="data"),
        pytest.param(".index", 0o000, id="index"),
        pytest.param("", 0o000, id="folder"),
        pytest.param("", 0o400, id="folder-without-x"),
    ],
)
def test_unreadable(checkpoint, out, run_extraction, unprivileged, suffix, mode):
    path = checkpoint + suffix if suffix else os.path.dirname(checkpoint)
    parent = os.path.dirname(os.path.dirname(checkpoint))
    for folder in (parent, os.path.dirname(parent), os.path.dirname(os.path.dirname(parent))):
        os.chmod(folder, 0o755)
    os.chmod(str(out), 0o777)
    os.chmod(path, mode)
    for given in (os.path.dirname(checkpoint), checkpoint):
        with unprivileged():
            found = run_extraction(given, out).error
        assert (found["class"], found["exit_code"]) == ("NotReadable", 37)
        assert "Permission denied" in found["happened"]
    os.chmod(path, 0o755)
    assert os.listdir(str(out)) == []


def test_unwritable_output(checkpoint, out, run_extraction, unprivileged):
    for folder in (one for one in out.parents if "pytest" in str(one)):
        folder.chmod(0o755)
    out.chmod(0o555)
    with unprivileged():
        found = run_extraction(checkpoint, out).error
    assert (found["class"], found["exit_code"]) == ("OutputNotWritable", 47)


def test_missing_output_folder(checkpoint, out, run_extraction):
    assert run_extraction(checkpoint, out / "gone").error["class"] == "OutputNotWritable"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("only root may mount a small tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("elements", [20_000, 2_000_000])
def test_disk_full(tmp_path, small_disk, save_bundle, run_extraction, elements):
    prefix = save_bundle(tmp_path / "model", {"w": numpy.arange(elements, dtype="float32")})
    found = run_extraction(prefix, small_disk).error
    assert (found["class"], found["exit_code"]) == ("DiskFull", 38)
    assert "No space left" in found["happened"]
    assert os.listdir(str(small_disk)) == []


def test_a_nan_is_no_fault(tmp_path, out, save_bundle, run_extraction):
    values = numpy.array([1.0, numpy.nan, numpy.inf], "float32")
    prefix = save_bundle(tmp_path / "model", {"w": values})
    assert run_extraction(prefix, out).result["variables"] == 1
    assert (out / "variables.safetensors").read_bytes().endswith(values.tobytes())
