"""The committed exports: a fresh export of the committed checkpoint gives the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import safetensors.numpy
import tensorflow

REPOSITORY = Path(__file__).parents[2]
CONTRACT = REPOSITORY / "tests" / "contract"
NAMES = sorted(path.name for path in (CONTRACT / "golden").iterdir())
FILES = ("graph.json", "reference.safetensors", "variables.safetensors")


def run_worker(checkpoint, out, cores=None):
    """Export through the real worker process, as the host does, on some of the machine's cores."""
    job = {"job": "1", "command": "extract", "checkpoint": str(checkpoint), "out": str(out)}
    done = subprocess.run(
        [sys.executable, "-m", "stage_extract"],
        input=json.dumps(job).encode() + b"\n",
        capture_output=True,
        cwd=str(REPOSITORY),
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        preexec_fn=None if cores is None else lambda: os.sched_setaffinity(0, cores),
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_there_are_golden_exports():
    assert NAMES == ["bare", "reader", "segmenter"]


@pytest.mark.parametrize("name", NAMES)
def test_a_fresh_export_has_the_same_bytes(name, tmp_path):
    events = run_worker(CONTRACT / "checkpoints" / name, tmp_path)
    assert events[-1]["event"] == "done", events[-1]
    expected = CONTRACT / "golden" / name
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        path.name for path in expected.iterdir()
    )
    for file in FILES:
        if (expected / file).exists():
            assert (tmp_path / file).read_bytes() == (expected / file).read_bytes(), file


def test_the_number_of_cores_changes_nothing(tmp_path):
    one_core = sorted(os.sched_getaffinity(0))[:1]
    run_worker(CONTRACT / "checkpoints" / "segmenter", tmp_path, one_core)
    golden = CONTRACT / "golden" / "segmenter" / "reference.safetensors"
    assert (tmp_path / "reference.safetensors").read_bytes() == golden.read_bytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("file", FILES[1:])
def test_the_library_of_this_python_writes_the_same_bytes(name, file, tmp_path):
    golden = CONTRACT / "golden" / name / file
    if not golden.exists():
        pytest.skip(f"{name} has no {file}")
    content = golden.read_bytes()
    header_size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + header_size])
    metadata = header.pop("__metadata__")
    if "BF16" in {entry["dtype"] for entry in header.values()}:
        pytest.skip("numpy has no bfloat16, so the library cannot read the file with it")
    tensors = safetensors.numpy.load(content)
    assert sorted(tensors) == sorted(header)
    for tensor, entry in header.items():
        begin, end = (8 + header_size + offset for offset in entry["data_offsets"])
        assert tensors[tensor].tobytes() == content[begin:end]
        assert list(tensors[tensor].shape) == entry["shape"]
    assert list(metadata) == ["tf1_export"]


def test_the_golden_variables_are_the_checkpoints(tmp_path):
    reader = tensorflow.train.load_checkpoint(str(CONTRACT / "checkpoints/segmenter/model.ckpt"))
    tensors = safetensors.numpy.load_file(str(CONTRACT / "golden/segmenter/variables.safetensors"))
    assert "down/bn/moving_mean" in tensors
    assert not [name for name in tensors if "Adam" in name]
    for name, values in tensors.items():
        numpy.testing.assert_array_equal(values, reader.get_tensor(name))
