"""A stage's answer is looked at before anything is made of it."""

from __future__ import annotations

import copy

import pytest

from orchestration.batch.stage_answers import check_answer
from orchestration.errors import StageCrashed

FILE = {"name": "m.index", "size_bytes": 3, "sha256": "ab"}
READ = {"result": {"checkpoint": {"prefix": "m", "files": [FILE]}}, "timings_s": {"read": 0.1}}
LOADED = {
    "result": {
        "verdict": "proven",
        "reason": None,
        "parity": {"worst": "y:0", "max_abs": 1e-7, "max_rel": 2e-7, "tolerance": 1e-4},
        "model": {"name": "unet"},
        "device": "cpu",
        "parameters": 7,
        "tensors": 2,
    },
    "timings_s": {"load": 1},
    "peak_memory_bytes": 12345,
}


@pytest.mark.parametrize(("stage", "done"), [("extract", READ), ("load", LOADED)])
def test_a_whole_answer(stage, done):
    check_answer(stage, done)


# Where the answer is changed, to what, and what is told to be wrong; ... = left out.
BROKEN = [
    pytest.param("extract", ("result", "checkpoint"), ..., "checkpoint", id="no checkpoint"),
    pytest.param("extract", ("result", "checkpoint"), [], "checkpoint", id="checkpoint"),
    pytest.param("extract", ("result", "checkpoint", "files"), [{}], "checkpoint", id="files"),
    pytest.param("extract", ("timings_s",), {"read": "long"}, "timings_s", id="timings"),
    pytest.param("load", ("result", "verdict"), "well", "verdict", id="verdict"),
    pytest.param("load", ("result", "verdict"), ["proven"], "verdict", id="unhashable verdict"),
    pytest.param("load", ("result", "parity"), ..., "parity", id="no parity"),
    pytest.param("load", ("result", "parity", "max_rel"), "0", "parity", id="parity"),
    pytest.param("load", ("result", "model"), {}, "model", id="model"),
    pytest.param("load", ("result", "tensors"), True, "tensors", id="tensors"),
    pytest.param("load", ("peak_memory_bytes",), -1, "peak_memory_bytes", id="memory"),
    pytest.param("load", ("result", "causes"), 3, "causes", id="causes"),
]


@pytest.mark.parametrize(("stage", "path", "value", "told"), BROKEN)
def test_half_an_answer(stage, path, value, told):
    done = copy.deepcopy({"extract": READ, "load": LOADED}[stage])
    *folders, last = path
    place = done
    for name in folders:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    with pytest.raises(StageCrashed, match=f"without {told} "):
        check_answer(stage, done)
