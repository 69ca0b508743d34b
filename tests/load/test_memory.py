"""How much memory a conversion takes beside torch itself, measured on a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.load.export_maker import ExportMaker
from tests.load.networks import write_model

ROOT = Path(__file__).parents[2]
MEGABYTE = 1 << 20
ALLOWANCE_BYTES = 64 * MEGABYTE

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak is read from /proc, which is not here"
)

SOURCE = """
from torch import nn


def make():
    return nn.ModuleList(nn.Conv2d(64, width, 5, bias=False) for width in {widths})
"""

SELF_REFERRING = """
from torch import nn


def make():
    model = nn.ModuleList(nn.Conv2d(64, width, 5, bias=False) for width in {widths})
    model.itself = [model]
    return model
"""

IDLE = """
import torch
for line in open("/proc/self/status"):
    if line.startswith("VmHWM:"):
        print(int(line.split()[1]) * 1024)
"""


def python(*arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        **options,
    ).stdout


def load_job(widths, source, folder):
    """Write an export of convolutions [5, 5, 64, width]: the sizes in bytes, and the job line."""
    maker = ExportMaker()
    for index, width in enumerate(widths):
        kernel = np.full((5, 5, 64, width), index, np.float32)
        maker.layer("conv2d", f"conv{index}", {"kernel": kernel})
    sizes = [array.nbytes for array in maker.arrays.values()]
    export = maker.write(folder / "export")
    model = write_model(folder, source.format(widths=widths))
    out = folder / "out"
    out.mkdir()
    options = {"model": f"{model}:make", "device": "cpu", "prove": False}
    job = {"job": "1", "command": "load", "export": str(export), "out": str(out)}
    return sizes, json.dumps({**job, "options": options}) + "\n"


def run_jobs(*lines):
    """Do jobs in one worker; their last events."""
    events = map(json.loads, python("-m", "stage_load", input="".join(lines)).splitlines())
    done = [event for event in events if event["event"] == "done"]
    assert len(done) == len(lines)
    return done


@pytest.fixture(scope="module")
def idle_bytes():
    return int(python("-c", IDLE))


@pytest.mark.parametrize(
    "widths",
    [
        pytest.param((6400, 3200, 6401), id="three-large"),
        pytest.param(tuple(range(640, 664)), id="many-middling"),
    ],
)
def test_peak_memory(widths, tmp_path, idle_bytes):
    sizes, job = load_job(widths, SOURCE, tmp_path)
    (done,) = run_jobs(job)
    allowed = idle_bytes + sum(sizes) + max(sizes) + ALLOWANCE_BYTES
    assert done["peak_memory_bytes"] <= allowed
    # The model itself has to be there, so the measurement measures something.
    assert done["peak_memory_bytes"] > sum(sizes)


def test_a_model_that_refers_to_itself_is_freed_before_the_next_job(tmp_path):
    """Only the collector of cycles frees it, and a worker has that look seldom."""
    sizes, job = load_job((6400, 3200), SELF_REFERRING, tmp_path)
    first, second = run_jobs(job, job)
    assert second["peak_memory_bytes"] < first["peak_memory_bytes"] + sum(sizes) / 2
