"""Exit status and last words -> an error that tells people what happened."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestration.crash import explain_exit
from orchestration.errors import CorruptCheckpoint, OutOfMemory, StageCrashed
from orchestration.runtimes.base import ExitStatus, StageSpec

ABORT = ExitStatus(134, signal=6)
KILLED = ExitStatus(137, signal=9)
SPECS = {
    "extract": StageSpec("extract", (), imports="TensorFlow"),
    "pure": StageSpec("extract", (), imports="numpy", home="load", arguments=("--reader", "pure")),
    "load": StageSpec("load", (), imports="torch"),
}


@pytest.mark.parametrize(
    ("stage", "status", "text", "kind", "words"),
    [
        pytest.param("extract", ABORT, [], CorruptCheckpoint, "TensorFlow aborted", id="corrupt"),
        pytest.param("load", ABORT, [], StageCrashed, "exit code 134", id="torch-aborts"),
        pytest.param("extract", KILLED, [], StageCrashed, "killed from outside", id="killed"),
        pytest.param(
            "load",
            ExitStatus(137, signal=9, out_of_memory=True),
            [],
            OutOfMemory,
            "It may use 1,074 MB",
            id="limit-reached",
        ),
        # A container whose child was killed for memory can end with any code.
        pytest.param(
            "extract", ExitStatus(5, out_of_memory=True), [], OutOfMemory, "more memory", id="child"
        ),
        pytest.param(
            "extract",
            ABORT,
            ["terminate called after throwing an instance of 'std::bad_alloc'"],
            OutOfMemory,
            "more memory",
            id="allocation-failed-is-not-corrupt-input",
        ),
        pytest.param("load", ExitStatus(1), ["MemoryError"], OutOfMemory, "memory", id="python"),
        pytest.param("extract", ExitStatus(132, 4), [], StageCrashed, "AVX", id="illegal"),
        pytest.param(
            "extract", ExitStatus(132, 4), [], StageCrashed, "--reader pure", id="emulated"
        ),
        pytest.param("pure", ExitStatus(132, 4), [], StageCrashed, "numpy's builds", id="no-tf"),
        # No native code of TensorFlow's was there to abort.
        pytest.param("pure", ABORT, [], StageCrashed, "exit code 134", id="pure-aborts"),
        pytest.param(
            "extract", ExitStatus(139, 11), [], CorruptCheckpoint, "exit code 139", id="hdf5-falls"
        ),
        pytest.param("load", ExitStatus(139, 11), [], StageCrashed, "139", id="segfault"),
        pytest.param(
            "load",
            ExitStatus(1),
            ["a", "b", "", "c", "d", "ImportError: no torch"],
            StageCrashed,
            "Its last words: b / c / d / ImportError: no torch",
            id="last-words",
        ),
    ],
)
def test_why_a_stage_died(stage, status, text, kind, words):
    error = explain_exit(replace(SPECS[stage], memory_limit_bytes=1 << 30), status, text)
    assert type(error) is kind
    assert words in f"{error.happened} {error.expected} {error.remedy}"


def test_without_a_limit_it_was_the_machine():
    status = ExitStatus(137, signal=9, out_of_memory=True)
    assert "machine itself" in explain_exit(SPECS["load"], status, []).expected
