"""What goes wrong in practice, through the real command line.

Each case has a class and an exit code of its own, no traceback, and leaves nothing behind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
INDEX, DATA = "model.ckpt.index", "model.ckpt.data-00000-of-00001"
LFS_POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
# Fits no checkpoint: one matrix of another size.
STRANGER = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.odd = torch.nn.Linear(5, 7)
    def forward(self, x):
        return self.odd(x.mean(dim=(2, 3)))
"""
# A weight that is not a number, saved by TensorFlow itself.
SPOIL_WEIGHT = """
import os, sys
import numpy as np
import tensorflow as tf
prefix = sys.argv[1]
with tf.Session() as session:
    saver = tf.train.import_meta_graph(prefix + ".meta")
    saver.restore(session, prefix)
    kernel = next(v for v in tf.trainable_variables() if v.shape.ndims == 4)
    value = session.run(kernel)
    value[0, 0, 0, 0] = np.nan
    kernel.load(value, session)
    saver.save(session, prefix)
"""


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def empty_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def remove_data(folder: Path) -> None:
    (folder / DATA).unlink()


def truncate_data(folder: Path) -> None:
    content = (folder / DATA).read_bytes()
    (folder / DATA).write_bytes(content[: len(content) // 2])


def flip_one_byte(folder: Path) -> None:
    content = bytearray((folder / DATA).read_bytes())
    content[len(content) // 3] ^= 0x10
    (folder / DATA).write_bytes(content)


def put_lfs_pointers(folder: Path) -> None:
    for name in (INDEX, DATA):
        (folder / name).write_text(LFS_POINTER)


def put_pytorch_file(folder: Path) -> None:
    empty_folder(folder)
    with zipfile.ZipFile(folder / "model.ckpt", "w") as archive:
        archive.writestr("model/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("model/version", "3\n")


CASES = [
    pytest.param(remove_folder, [], 10, "CheckpointMissing", "ckpt", id="missing-path"),
    pytest.param(empty_folder, [], 30, "NoCheckpointFound", "ckpt", id="empty-folder"),
    pytest.param(remove_data, [], 31, "DataFileMissing", DATA, id="index-without-data"),
    # TensorFlow would abort the whole process on this one.
    pytest.param(truncate_data, [], 32, "TruncatedData", DATA, id="truncated-data"),
    pytest.param(flip_one_byte, [], 33, "CorruptTensor", "/", id="one-flipped-byte"),
    pytest.param(put_lfs_pointers, [], 34, "GitLfsPointer", "git lfs", id="git-lfs-pointer"),
    pytest.param(put_pytorch_file, [], 35, "NotTensorFlow", "PyTorch", id="pytorch-file"),
    pytest.param(None, ["--model", "unte"], 50, "UnknownModel", "unet", id="unknown-model"),
    pytest.param(None, ["--step", "99"], 39, "StepNotFound", "99", id="no-such-step"),
    pytest.param(
        None, ["--outputs", "logit:0"], 40, "EndpointNotFound", "logit:0", id="no-such-output"
    ),
]


@pytest.mark.parametrize(("spoil", "options", "exit_code", "name", "text"), CASES)
def test_bad_input(workplace, checkpoint, runtime, spoil, options, exit_code, name, text):
    if spoil is not None:
        spoil(checkpoint)
    before = workplace.names()
    done = workplace.run("ckpt", "--model", "unet", *options, "--runtime", runtime)
    assert done.returncode == exit_code, done.stderr
    assert f"Error: {name} (exit code {exit_code})" in done.stderr
    assert text in done.stderr.partition("Error:")[2]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert workplace.names() == before


def test_messages_name_the_hosts_paths_and_not_the_containers(workplace, checkpoint, runtime):
    remove_data(checkpoint)
    done = workplace.run("ckpt", "--model", "unet", "--runtime", runtime)
    message = done.stderr.partition("Error:")[2]
    assert os.fspath(checkpoint) in message
    assert "/in/" not in message


@pytest.mark.parametrize(
    ("free_kb", "codes"),
    [
        pytest.param(40, {38}, id="full-in-stage-1"),
        pytest.param(260, {23, 38, 59}, id="full-a-little-later"),
    ],
)
def test_no_room_on_the_disk(workplace, checkpoint, extract_python, load_python, free_kb, codes):
    (workplace.folder / "small").mkdir()
    command = [sys.executable, os.fspath(REPOSITORY / "orchestrate.py"), "ckpt", "--model", "unet"]
    mount = f"mount -t tmpfs -o size={free_kb}k tmpfs small"
    script = f'{mount} && "$@"; code=$?; ls -A small >&2; exit $code'
    shell = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh"]
    done = subprocess.run(
        [*shell, *command, "--runtime", "local", "--out", "small/out", "--quiet"],
        cwd=workplace.folder,
        env=dict(workplace.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 1 and "unshare" in done.stderr:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    assert done.returncode in codes, done.stderr
    assert "Error: DiskFull" in done.stderr
    # Nothing follows the message: `ls` found the disk empty.
    assert len(done.stderr.splitlines()) == 4


def test_tensors_that_do_not_fit_are_listed(workplace, checkpoint, runtime):
    (workplace.folder / "net.py").write_text(STRANGER)
    done = workplace.run("ckpt", "--model", "net.py:Net", "--runtime", runtime)
    assert done.returncode == 52, done.stderr
    assert "odd.weight" in done.stderr
    # What was found of the mapping is kept for people to complete.
    proposals = "ckpt-torch.proposed-mapping.csv"
    assert workplace.names() == ["ckpt", proposals, "net.py"]
    assert "odd.weight,?" in (workplace.folder / proposals).read_text()


def test_nan_in_a_weight_is_converted_and_reported(workplace, checkpoint, runtime, extract_python):
    subprocess.run(
        [extract_python, "-W", "ignore", "-c", SPOIL_WEIGHT, checkpoint / "model.ckpt"],
        check=True,
        capture_output=True,
    )
    done = workplace.run("ckpt", "--model", "unet", "--runtime", runtime, "--out", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    # TensorFlow's maximum drops NaN and torch's keeps it: that is no failure of the conversion.
    assert done.stdout.startswith("UNPROVEN  out\n")
    assert "NaN or infinity in the checkpoint's" in done.stdout
    (weight,) = workplace.manifest("out")["load"]["result"]["non_finite_weights"]
    assert weight["count"] == 1


@pytest.mark.docker
def test_a_container_out_of_memory(workplace, checkpoint):
    done = workplace.run(
        *("ckpt", "--model", "unet", "--runtime", "docker", "--memory-limit", "40m")
    )
    assert done.returncode == 16, done.stderr
    assert "Error: OutOfMemory" in done.stderr
    assert "--memory-limit" in done.stderr
    assert workplace.names() == ["ckpt"]


@pytest.mark.parametrize(
    ("host", "exit_code", "name"),
    [
        pytest.param("unix:///nowhere/docker.sock", 13, "EngineNotRunning", id="no-socket"),
        pytest.param("tcp://127.0.0.1:1", 13, "EngineNotRunning", id="nobody-listens"),
    ],
)
def test_an_engine_that_does_not_answer(workplace, checkpoint, host, exit_code, name):
    workplace.environment["DOCKER_HOST"] = host
    done = workplace.run("ckpt", "--model", "unet", "--runtime", "docker")
    assert done.returncode == exit_code, done.stderr
    assert f"Error: {name}" in done.stderr
    assert workplace.names() == ["ckpt"]


@pytest.mark.docker
def test_an_image_that_was_not_built_is_asked_for(workplace, checkpoint):
    # Images belong to exactly the sources they were built from: a copy with one more file has none.
    copy = workplace.folder / "program"
    copy.mkdir()
    for name in ("orchestrate.py", "orchestration", "stage_extract", "stage_load", "docker"):
        source = REPOSITORY / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
    (copy / "stage_extract" / "new.py").write_text("")
    done = subprocess.run(
        [sys.executable, copy / "orchestrate.py", "ckpt", "--model", "unet", "--runtime", "docker"],
        cwd=workplace.folder,
        env=dict(workplace.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 15, done.stderr
    assert "orchestrate.py build" in done.stderr
