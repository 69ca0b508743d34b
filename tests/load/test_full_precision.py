"""The proof computes in float32, whatever switches a model's file has set."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import torch
from torch import backends
from stage_load.devices import full_precision

def told():
    owners = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn,
              backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn)
    return [owner.fp32_precision for owner in owners]

SET
before = told()
with full_precision():
    assert not set(told()) - {"ieee", "none"}, told()
    assert backends.fp32_precision == "ieee"
    assert torch.get_float32_matmul_precision() == "highest"
    assert not backends.cudnn.allow_tf32 and not backends.cuda.matmul.allow_tf32
    assert backends.cudnn.deterministic and not backends.cudnn.benchmark
assert [new for new, old in zip(told(), before) if old != "none"] == [
    old for old in before if old != "none"
]
assert backends.cudnn.benchmark
"""


@pytest.mark.parametrize(
    "statements",
    [
        pytest.param((), id="nothing"),
        pytest.param(("torch.set_float32_matmul_precision('medium')",), id="older-matmul"),
        pytest.param(
            ("backends.cuda.matmul.allow_tf32 = True", "backends.cudnn.allow_tf32 = True"),
            id="older",
        ),
    ],
)
def test_set_and_taken_back(statements):
    """In a process of its own: the switches belong to the process."""
    lines = "\n".join((*statements, "backends.cudnn.benchmark = True"))
    subprocess.run([sys.executable, "-c", PROGRAM.replace("SET", lines)], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    "statements",
    [
        pytest.param(("backends.fp32_precision = 'tf32'",), id="general"),
        pytest.param(("backends.cudnn.fp32_precision = 'tf32'",), id="cudnn"),
        pytest.param(("backends.cuda.matmul.fp32_precision = 'tf32'",), id="matmul-alone"),
        pytest.param(
            (
                "backends.cuda.matmul.fp32_precision = 'tf32'",
                "backends.cudnn.conv.fp32_precision = 'tf32'",
            ),
            id="matmul-and-convolution",
        ),
    ],
)
def test_newer_switches_in_a_models_file_are_no_bug_of_ours(statements):
    """torch refuses to read the older ones then; the proof goes on in float32, and it stays."""
    lines = "\n".join((*statements, "backends.cudnn.benchmark = True"))
    program = PROGRAM.split("assert [new")[0].replace("SET", lines)
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
