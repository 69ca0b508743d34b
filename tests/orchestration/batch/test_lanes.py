"""How many lanes fit this process's share of the machine."""

from __future__ import annotations

import os

import pytest

from orchestration.batch.memory import (
    BYTES_PER_CHECKPOINT_BYTE,
    LANE_BYTES,
    available_cores,
    available_memory_bytes,
    plan_lanes,
)

PLENTY = 1 << 44
LARGE = LANE_BYTES // BYTES_PER_CHECKPOINT_BYTE
HERE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("jobs", "memory_bytes", "sizes_bytes", "count", "reason"),
    [
        pytest.param(5, PLENTY, [1] * 9, 5, "--jobs", id="as asked for"),
        pytest.param(5, PLENTY, [1] * 3, 3, "--jobs", id="not more than items"),
        pytest.param(5, 2 * LANE_BYTES, [1] * 9, 1, "more do not fit", id="memory"),
        pytest.param(5, 3 * LANE_BYTES, [0] * 9, 3, "more do not fit", id="memory for three"),
        # The two largest may come together: each needs as much again as an empty lane.
        pytest.param(5, 4 * LANE_BYTES, [0, LARGE, 0, LARGE], 2, "more do not fit", id="sizes"),
        pytest.param(5, 1, [10**12] * 9, 1, "more do not fit", id="at least one"),
        pytest.param(None, PLENTY, [1] * 999, -(-HERE // 2), "core", id="by cores"),
    ],
)
def test_lanes(jobs, memory_bytes, sizes_bytes, count, reason):
    lanes = plan_lanes(jobs, memory_bytes, sizes_bytes, {})
    assert lanes.count == count
    assert lanes.budget_bytes == memory_bytes
    assert reason in lanes.reason


def test_memory_that_nobody_named_is_what_is_free():
    lanes = plan_lanes(1, None, [1], {})
    with open("/proc/meminfo", encoding="ascii") as stream:
        total_bytes = int(stream.readline().split()[1]) * 1024
    assert 0 < lanes.budget_bytes < total_bytes


@pytest.mark.parametrize(
    ("environment", "expected_mb"),
    [
        pytest.param({"SLURM_MEM_PER_NODE": "700"}, 700, id="for a node"),
        pytest.param(
            {"SLURM_MEM_PER_CPU": "300", "SLURM_CPUS_PER_TASK": "1"}, 300, id="for a core"
        ),
        # All of the node's.
        pytest.param({"SLURM_MEM_PER_NODE": "0"}, None, id="all"),
    ],
)
def test_memory_that_slurm_grants(environment, expected_mb):
    granted = available_memory_bytes(environment)
    if expected_mb is None:
        assert granted > 700 << 20
    else:
        assert granted == expected_mb << 20


def test_cores_that_slurm_grants():
    assert available_cores({"SLURM_CPUS_PER_TASK": "1"}) == 1
    assert available_cores({"SLURM_CPUS_PER_TASK": "9999"}) <= HERE
